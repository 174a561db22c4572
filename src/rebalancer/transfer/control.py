"""What may interrupt the worker: a stop, a pause, a bandwidth limit, somebody who wants a file we hold."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rebalancer.cancel import Cancel
from rebalancer.transfer.shared import Shared

PAUSING = (signal.SIGUSR1, signal.SIGUSR2)

_CREDIT = 0.1  # seconds of unused bandwidth that may be made up for
_SLICE = 0.05  # seconds; how long a stop may go unseen while waiting


class Control:
    """Looked at before every chunk and every file. Signal handlers only set its fields.

    A stop or a pause of one process is one of all processes that were forked from it, and they share the bandwidth.
    """

    def __init__(self, cancel: Cancel) -> None:
        self.cancel = cancel
        self.shared = Shared()
        self.is_lease_wanted = False  # set by SIGIO: somebody waits for a file that we hold a lease on
        self.on_lease_wanted: Callable[[], None] = _nothing
        self.on_pause: Callable[[], None] = _nothing
        self._rate: int | None = None
        self._has_company = False

    @property
    def is_paused(self) -> bool:
        return self.shared.is_paused

    @property
    def is_stopped(self) -> bool:
        """Whether a stop was asked for, of this process or of one it shares the work with."""
        if self.shared.is_stopped:
            self.cancel.request("cancelled")
        return self.cancel.is_requested

    def stop(self, reason: str) -> None:
        """Ask for a stop; the first reason stands."""
        self.cancel.request(reason)
        self.shared.stop()

    def has_company(self) -> None:
        """Say that other processes work on the same disks: folders above units are changed by one at a time."""
        self._has_company = True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one who changes folders that are above a unit."""
        if not self._has_company:
            yield
            return
        with self.shared.alone():
            yield

    def limit(self, bytes_per_second: int | None) -> None:
        """Set the bandwidth limit; None for none."""
        self._rate = bytes_per_second

    def check(self) -> None:
        """Let a waiting opener have its file, wait while paused, raise CancelledError when asked to stop."""
        self.answer_leases()
        if not (self.shared.is_asking or self.cancel.is_requested):  # nearly always: this is asked for every small file
            return
        if self.is_paused:
            self.on_pause()
        while self.is_paused and not self.is_stopped:
            self.answer_leases()
            time.sleep(_SLICE)
        if self.is_stopped:
            self.cancel.check()

    def answer_leases(self) -> None:
        """Give up, at once, every file that somebody waits for."""
        if self.is_lease_wanted:
            self.is_lease_wanted = False
            self.on_lease_wanted()

    def spend(self, size: int) -> None:
        """Wait as long as the bandwidth limit asks for after that many bytes."""
        if self._rate is None:
            return
        due = self.shared.book(size / self._rate, not_before=time.monotonic() - _CREDIT)
        while (wait := due - time.monotonic()) > 0:
            time.sleep(min(wait, _SLICE))
            self.check()

    def listen(self) -> None:
        """Let signals set the token: TERM and INT stop, USR1 pauses, USR2 resumes, IO says a lease is wanted.

        SIGIO would end the process if nobody listened (fcntl(2), F_SETLEASE).
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self.stop("cancelled"))
        signal.signal(signal.SIGUSR1, lambda *_: self._pause(paused=True))
        signal.signal(signal.SIGUSR2, lambda *_: self._pause(paused=False))
        signal.signal(signal.SIGIO, lambda *_: self._want_lease())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PAUSING)  # blocked by whoever started us, until now

    def _pause(self, *, paused: bool) -> None:
        self.shared.is_paused = paused

    def _want_lease(self) -> None:
        self.is_lease_wanted = True


def _nothing() -> None:
    return
