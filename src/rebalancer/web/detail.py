"""What the page of one execution tells, from its record and the end of its log."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rebalancer import names
from rebalancer.errors import NotFoundError
from rebalancer.executions.execution import DiskFill, LeftFile, ScheduleExecution
from rebalancer.executions.log import last_of
from rebalancer.executions.monitor import MANUAL, ScheduleMonitor
from rebalancer.executions.statistics import is_longer_than_usual
from rebalancer.executions.story import events_of, sentences_of
from rebalancer.schedules.zones import zone
from rebalancer.state import StateFolders
from rebalancer.web import charts
from rebalancer.web.charts import Drawing, Share, Words
from rebalancer.web.pages.layout import badge

LOG_SHOWN = 64 * 1024  # bytes
_LEFT_SHOWN = 10  # of each reason


@dataclass(frozen=True, slots=True)
class Step:
    """An event: ``clock`` is its local time, ``after`` the seconds since the first, ``lasted`` those until the next."""

    at: float
    clock: str
    after: float
    lasted: float | None  # None: it is the last one, and the execution has ended
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some files stayed; ``count`` of those that are listed in the record, ``first`` the first of them."""

    reason: str
    count: int
    first: tuple[LeftFile, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A disk before and after, in bytes; None for a side that was not noted."""

    name: str
    path: str
    size_bytes: int
    before: int | None
    after: int | None

    @property
    def by(self) -> int | None:
        return None if self.before is None or self.after is None else self.after - self.before

    def percent(self, used: int | None) -> float:
        return 100.0 * used / self.size_bytes if used and self.size_bytes else 0.0


@dataclass(frozen=True, slots=True)
class LogEnd:
    text: str  # made safe to show
    is_cut: bool  # there is more before it
    size: int  # bytes of the whole log


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Everything that is told of one execution; ``again`` is the command that does the same once more."""

    execution: ScheduleExecution
    kind: str
    sentences: tuple[str, ...]
    steps: tuple[Step, ...]
    disks: tuple[Change, ...]
    drawing: Drawing | None  # None: the disks were not noted
    spread: tuple[float, float] | None  # percentage points before and after
    reasons: tuple[Reason, ...]
    unlisted: int  # files that stayed and are counted only
    log: LogEnd | None  # None: it is gone
    has_schedule: bool
    is_long: bool
    speed: float | None  # bytes per second of work
    again: str


def account_of(monitor: ScheduleMonitor, execution: ScheduleExecution, *, timezone: str) -> Account:
    """Return what is told of an execution that the monitor has just loaded."""
    now = monitor.clock()
    statistics = monitor.get_schedule_statistics(execution.schedule_id)
    disks = changes_of(execution.disks_before, execution.disks_after)
    both = [disk for disk in disks if disk.before is not None and disk.after is not None and disk.size_bytes]
    is_manual = execution.schedule_id == MANUAL
    worked, size = execution.duration_seconds, execution.bytes_moved
    return Account(
        execution=execution,
        kind=badge(execution),
        sentences=tuple(sentences_of(execution)),
        steps=tuple(steps_of(execution, now=now, timezone=timezone)),
        disks=disks,
        drawing=_drawing(both) if both else None,
        spread=(_spread(both, "before"), _spread(both, "after")) if both else None,
        reasons=reasons_of(execution.left),
        unlisted=max(0, execution.files_left - len(execution.left)),
        log=end_of_log(monitor.folders, execution.execution_id),
        has_schedule=not is_manual and os.path.lexists(monitor.folders.schedules / f"{execution.schedule_id}.json"),
        is_long=is_longer_than_usual(execution, statistics, now=now),
        speed=size / worked if worked > 0 and size else None,
        again="unraid-rebalancer run" if is_manual else f"unraid-rebalancer schedule run {execution.schedule_id}",
    )


def steps_of(execution: ScheduleExecution, *, now: float, timezone: str) -> list[Step]:
    """Return what happened, with the time in between; of an active one the last step lasts until now."""
    events = events_of(execution)
    local = zone(timezone)
    ends: list[float | None] = [event.at for event in events[1:]]
    ends.append(None if execution.status.is_final else now)
    return [
        Step(
            at=event.at,
            clock=f"{datetime.fromtimestamp(event.at, local):%Y-%m-%d %H:%M:%S}",
            after=max(0.0, event.at - events[0].at),
            lasted=None if end is None else max(0.0, end - event.at),
            what=event.what,
            why=event.why,
        )
        for event, end in zip(events, ends, strict=True)
    ]


def reasons_of(left: Sequence[LeftFile]) -> tuple[Reason, ...]:
    """Return why files stayed, the most frequent reason first, with the first files of each."""
    counted = Counter(one.reason for one in left).most_common()
    return tuple(
        Reason(reason, count, tuple(one for one in left if one.reason == reason)[:_LEFT_SHOWN])
        for reason, count in counted
    )


def changes_of(before: Sequence[DiskFill], after: Sequence[DiskFill]) -> tuple[Change, ...]:
    """Return every disk that was noted on either side, in the order in which they were noted."""
    early, late = ({disk.name: disk for disk in disks} for disks in (before, after))
    found = []
    for name, disk in {**early, **late}.items():
        was, became = early.get(name), late.get(name)
        found.append(
            Change(
                name,
                disk.path,
                disk.size_bytes,
                was.used_bytes if was is not None else None,
                became.used_bytes if became is not None else None,
            )
        )
    return tuple(found)


def end_of_log(folders: StateFolders, execution_id: str) -> LogEnd | None:
    """Return the last 64 KiB of an execution's own log at most; None when there is none, or it is no plain file."""
    try:
        text = last_of(folders, execution_id, size=LOG_SHOWN)
        size = (folders.logs / f"{execution_id}.log").lstat().st_size
    except (NotFoundError, OSError):
        return None
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    return LogEnd("\n".join(map(names.display, lines)), size > LOG_SHOWN, size)


def _drawing(disks: Sequence[Change]) -> Drawing:
    shares = [Share(names.display(disk.name), disk.percent(disk.before), disk.percent(disk.after)) for disk in disks]
    told = "; ".join(f"{one.name} from {one.before:.1f} % to {one.after:.1f} %" for one in shares)
    return charts.bars(shares, Words("How full the disks were before and after", told))


def _spread(disks: Sequence[Change], side: str) -> float:
    percents = [disk.percent(getattr(disk, side)) for disk in disks]
    return max(percents) - min(percents)
