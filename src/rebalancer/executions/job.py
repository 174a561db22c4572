"""What one execution is to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rebalancer.array.disk import Disk
from rebalancer.guards.hold import Hold
from rebalancer.transfer.operation import Operation

Look = Callable[[Sequence[Disk]], Sequence[Hold]]  # at what holds work on these disks


def nothing_holds(_disks: Sequence[Disk]) -> Sequence[Hold]:
    return ()


def never_over() -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One execution's task and terms; times and durations in seconds."""

    disks: Callable[[], tuple[Disk, ...]]  # what it works on, looked at when it is its turn; locked while it runs
    prepare: Callable[[], Operation]  # scans and plans, once the work may begin
    measure: Callable[[], Sequence[Disk]]  # the disks' fill anew
    schedule_id: str = "manual"
    slot: str = ""
    fired_by: str = "hand"
    attempt: int = 1
    max_runtime: int | None = None  # of work; held time does not count
    time_is_over: Callable[[], str] = never_over  # why it must end now although it is not done; empty: it need not
    max_wait: int = 0  # 0: what holds it is an error at once
    holds: Look = nothing_holds  # why it must not start now
    pauses: Look = nothing_holds  # why it must not go on now
