"""What stopping came to, in words that say no more than what is proven."""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from rebalancer.executions.execution import DiskFill
from rebalancer.executions.family import Pending, Stopped


class Ending(StrEnum):
    """How an attempt to stop an execution ended."""

    STOPPED = "stopped"  #: nothing of it lives any more
    WAS_NOT_RUNNING = "was not running"  #: nothing of it lived when it was to be stopped
    KILL_PENDING = "kill pending"  #: KILL was sent, and the kernel has not let go of it yet
    REFUSED = "not ours, refused"  #: what its record names must not or may not be signalled


class Verdict(Struct, frozen=True, kw_only=True):
    """The answer for one execution; ``seconds`` is how long it took."""

    execution_id: str
    schedule_id: str  # empty when its record could not be read in time
    verdict: Ending
    seconds: float
    detail: str = ""


def ending_of(stopped: Stopped) -> Ending:
    """Judge: whoever lives on makes it pending or refused, whatever else was stopped."""
    if stopped.pending and not stopped.refused:
        return Ending.KILL_PENDING
    if stopped.refused:
        return Ending.REFUSED
    return Ending.STOPPED if stopped.was_running else Ending.WAS_NOT_RUNNING


def detail_of(stopped: Stopped, disks: Sequence[DiskFill]) -> str:
    """Say what a process waits for, or why it was not signalled; nothing when all of it has ended."""
    waits = [_waits(pending, disks) for pending in stopped.pending] if not stopped.refused else []
    return "; ".join([*stopped.refused, *waits])


def _waits(pending: Pending, disks: Sequence[DiskFill]) -> str:
    what = _disk_of(pending, disks) or _file_of(pending)
    where = f" in {pending.waits_in}" if pending.waits_in else ""
    if pending.state != "D":
        return f"process {pending.pid} has not ended yet{where}"
    return f"process {pending.pid} is waiting{f' for {what}' if what else ''}{where} and ends when that answers"


def _disk_of(pending: Pending, disks: Sequence[DiskFill]) -> str:
    by_depth = sorted(disks, key=lambda disk: len(disk.path), reverse=True)
    found = (disk.name for disk in by_depth for path in pending.open_files if path.startswith(f"{disk.path}/"))
    return next(found, "")


def _file_of(pending: Pending) -> str:
    return next((path for path in pending.open_files if not path.startswith(("/dev/", "/proc/"))), "")
