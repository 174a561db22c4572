"""Both sides of a copy, read again from their media: at the same time where no disk gets two streams from it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rebalancer.errors import RebalancerError
from rebalancer.transfer import content
from rebalancer.transfer.failure import UnreadableError

WORTH_A_THREAD = 16 * content.WINDOW  # bytes; for less, reading ahead keeps both disks busy already
_LEASH = 4  # windows that one side may be ahead of the other
_LOOK = 0.05  # seconds; how often a stop or a pause is looked for while the other side is waited for


@dataclass(frozen=True, slots=True)
class Side:
    """An open file that is to be read again. ``is_evicted``: none of its pages are in the cache."""

    fd: int
    disk: str
    is_evicted: bool


def read_again(
    sides: Sequence[Side], size: int, *, are_apart: Callable[[], bool], on_chunk: Callable[[int], None]
) -> tuple[bytes, ...]:
    """Return the digest of what each side's medium holds; two that lie on disks apart are read at the same time.

    ``on_chunk(bytes)`` is called in this thread, for bytes of any one disk, and may raise to stop, or wait: then the
    other side stands still a few windows later. No thread is left behind, whatever happens. Raises what
    `content.read_again` raises, an UnreadableError with the name of its disk.
    """
    if len(sides) == 2 and size >= WORTH_A_THREAD and are_apart():
        return _Pair(sides[0], sides[1], size).read(on_chunk)
    return tuple(_read(side, size, on_chunk, content.BUFFER) for side in sides)


class _Stopped(Exception):  # noqa: N818 - never leaves this module
    """The other side failed, or the work was stopped."""


class _Pair:
    """Two sides of which one is read in this thread and the other in a thread of its own, side by side."""

    def __init__(self, one: Side, other: Side, size: int) -> None:
        self._one, self._other, self._size = one, other, size
        self._one_may, self._other_may = threading.Semaphore(_LEASH), threading.Semaphore(_LEASH)
        self._is_stopped = False
        self._digest = b""  # of the other side; empty, which no digest is, until it came to its end
        self._error: RebalancerError | OSError | None = None  # why it did not
        self._thread = threading.Thread(target=self._read_other, daemon=True)

    def read(self, on_chunk: Callable[[int], None]) -> tuple[bytes, bytes]:
        self._thread.start()
        try:
            digest = _read(self._one, self._size, lambda count: self._step(count, on_chunk), content.BUFFER)
            while self._thread.is_alive():
                on_chunk(0)
                self._thread.join(_LOOK)
        finally:  # the descriptors are closed next
            self._is_stopped = True
            self._other_may.release()
            self._thread.join()
        self._demand_no_error()
        return digest, self._digest

    def _step(self, count: int, on_chunk: Callable[[int], None]) -> None:
        """Let the other side go one window further, and wait until it is not far behind."""
        self._other_may.release()
        on_chunk(count)
        while not self._one_may.acquire(timeout=_LOOK):
            self._demand_no_error()
            on_chunk(0)

    def _demand_no_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _read_other(self) -> None:
        try:
            self._digest = _read(self._other, self._size, self._step_of_other, content.new_buffer())
        except _Stopped:
            return
        except (RebalancerError, OSError) as error:
            self._error = error

    def _step_of_other(self, _: int) -> None:
        self._one_may.release()
        self._other_may.acquire()
        if self._is_stopped:
            raise _Stopped


def _read(side: Side, size: int, on_chunk: Callable[[int], None], buffer: memoryview) -> bytes:
    try:
        return content.read_again(side.fd, size, is_evicted=side.is_evicted, on_chunk=on_chunk, buffer=buffer)
    except UnreadableError as error:
        error.disk = error.disk or side.disk  # the other side's error is raised through this one
        raise
