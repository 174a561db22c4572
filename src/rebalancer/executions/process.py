"""Processes told apart beyond doubt, and the only place that sends signals.

A process number alone is no identity: it is given away again, also within the same 10 ms clock tick. So it
goes with the boot, the PID namespace, the start time, the inode of its pidfd and a random token in the
process's environment.
"""

import os
import select
import signal
from functools import cache
from types import TracebackType
from typing import Self

from rebalancer.errors import RefusedError
from rebalancer.executions import process_table
from rebalancer.executions.execution import ProcessIdentity
from rebalancer.executions.process_table import TOKEN, boot_id

__all__ = ["TOKEN", "ProvenProcess", "boot_id", "identity_of", "is_alive"]


def identity_of(pid: int, token: str) -> ProcessIdentity:
    """Describe a living process; raises ProcessLookupError when there is none of that number.

    Raises PermissionError for a process of another user.
    """
    fd = os.pidfd_open(pid)
    try:
        facts = process_table.facts_of(pid)
        if facts is None or _has_ended(fd):
            raise ProcessLookupError(f"there is no process {pid}")
        return ProcessIdentity(
            boot_id=boot_id(),
            pid_namespace=process_table.namespace_of(pid),
            pid=pid,
            start_ticks=facts.start_ticks,
            token=token,
            pidfd_inode=_inode_of(fd),
        )
    except FileNotFoundError as error:
        raise ProcessLookupError(f"there is no process {pid}") from error
    finally:
        os.close(fd)


def is_alive(identity: ProcessIdentity) -> bool:
    """Return whether that very process lives here and now.

    False for a zombie, for another process that was given its number, after a reboot, and for a process of another
    PID namespace, which cannot be seen from here.
    """
    try:
        fd = os.pidfd_open(max(identity.pid, 0))
    except (OSError, OverflowError):  # pidfd_open(2) refuses 0
        return False
    try:
        if _has_ended(fd) or not _is_same(identity, fd) or not _is_of_this_namespace(identity):
            return False
        token = process_table.token_of(identity.pid)  # empty for a process of somebody else: the inode must do
        return not (identity.token and token) or token == identity.token
    finally:
        os.close(fd)


class ProvenProcess:
    """A process held by a descriptor (pidfd_open(2)) and then proven to be the one meant.

    The descriptor never comes to mean another process, so a signal sent through it cannot hit a stranger.
    """

    def __init__(self, identity: ProcessIdentity) -> None:
        """Open and prove; raises ProcessLookupError when it is gone, RefusedError when it is not ours.

        A process that has ended and was not reaped yet can be held: no signal does anything to it.
        """
        if identity.pid in process_table.untouchable() or identity.pid < 0:
            raise RefusedError(f"process {identity.pid} is not one that this program may signal")
        self.identity = identity
        try:
            self._fd = os.pidfd_open(identity.pid)
        except OverflowError as error:
            raise ProcessLookupError(f"there is no process {identity.pid}") from error
        try:
            _prove(identity, self._fd)
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._fd)

    @property
    def has_ended(self) -> bool:
        return _has_ended(self._fd)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process has ended.

        Raises RefusedError when the kernel does not permit it.
        """
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise RefusedError(f"it is not permitted to signal process {self.identity.pid}") from error

    def wait(self, seconds: float) -> bool:
        """Return whether the process ended within that time (its descriptor becomes readable)."""
        return _has_ended(self._fd, seconds)

    def ask_to_stop(self) -> None:
        """Send TERM, then CONT: a stopped process keeps TERM pending until it goes on."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def pause(self, *, paused: bool) -> None:
        """Ask our worker to wait after the chunk it is in, or to go on."""
        self.signal(signal.SIGUSR1 if paused else signal.SIGUSR2)

    def kill(self, *, patience: float = 2.0) -> bool:
        """Send KILL; returns False when it lives on all the same: it waits for a disk and ends when that answers."""
        self.signal(signal.SIGKILL)
        return self.wait(patience)


def _is_same(identity: ProcessIdentity, fd: int) -> bool:
    """Return whether a descriptor holds what was recorded, and not another process that was given its number.

    What /proc says is of the process held, because the number is its own for as long as it has not been reaped.
    """
    facts = process_table.facts_of(identity.pid)
    if identity.boot_id != boot_id() or facts is None or facts.start_ticks != identity.start_ticks:
        return False
    inode = _inode_of(fd)
    return not (inode and identity.pidfd_inode) or inode == identity.pidfd_inode


def _prove(identity: ProcessIdentity, fd: int) -> None:
    if not _is_same(identity, fd):
        raise ProcessLookupError(f"process {identity.pid} is not the one that was recorded")
    reason = _why_not_ours(identity)
    if reason and not _has_ended(fd):  # who has ended has no environment any more
        raise RefusedError(f"process {identity.pid} {reason}")


def _is_of_this_namespace(identity: ProcessIdentity) -> bool:
    return identity.pid_namespace == process_table.namespace_of("self")


def _why_not_ours(identity: ProcessIdentity) -> str:
    """Return why a living process must not be signalled; nothing when it is ours."""
    if not _is_of_this_namespace(identity):
        return "is of another PID namespace"
    if identity.token:
        if process_table.token_of(identity.pid) == identity.token:
            return ""
        is_ending = identity.pidfd_inode and process_table.is_without_memory(identity.pid)  # it has no token any more
        return "" if is_ending else "does not carry its token"
    facts = process_table.facts_of(identity.pid)
    if facts is not None and facts.uid != os.geteuid():
        return f"belongs to another user (uid {facts.uid})"
    return ""


def _has_ended(fd: int, seconds: float = 0.0) -> bool:
    poll = select.poll()  # not select(2), which cannot watch descriptors above 1023
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def _inode_of(fd: int) -> int:
    """Return the inode of a pidfd where it tells processes apart (since Linux 6.9), else 0."""
    return os.fstat(fd).st_ino if _has_pidfs() else 0


@cache
def _has_pidfs() -> bool:
    """Return whether pidfds live on a file system of their own; before that they shared one anonymous inode."""
    pidfd, other = os.pidfd_open(os.getpid()), os.eventfd(0)
    try:
        return os.fstat(pidfd).st_dev != os.fstat(other).st_dev
    finally:
        os.close(pidfd)
        os.close(other)
