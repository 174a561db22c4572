"""What ran, as a page lists it and as a table that other programs read: filtered, newest first, a page at a time."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Self
from urllib.parse import urlencode

from rebalancer import names
from rebalancer.errors import UsageError
from rebalancer.executions import checking
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.index_query import Filter
from rebalancer.executions.monitor import ScheduleMonitor
from rebalancer.executions.story import holding_of, standing_of
from rebalancer.schedules.zones import zone
from rebalancer.web.pages.layout import badge

ON_A_PAGE = 50  # executions
IN_A_TABLE = 10_000  # executions that are written for other programs at most
_IN_A_PART = 500
_DAMAGED_SHOWN = 20
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the begin of one
_COLUMNS = (
    "execution_id", "schedule_id", "status", "started", "ended", "duration_seconds", "held_seconds", "files_moved",
    "bytes_moved", "moves_planned", "moves_done", "files_left", "exit_code", "cause", "fired_by", "slot", "attempt",
    "actor", "error_message",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Typed:
    """What somebody asked for, as it stands in the address; empty: everything."""

    schedule: str = ""
    status: str = ""
    since: str = ""
    before: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        return cls(
            query.get("schedule", "").strip(),
            query.get("status", "").strip(),
            query.get("from", "").strip(),
            query.get("before", ""),
        )

    @property
    def is_narrow(self) -> bool:
        return bool(self.schedule or self.status or self.since)

    def address(self, path: str) -> str:
        """Return the address of what is asked for."""
        told = {"schedule": self.schedule, "status": self.status, "from": self.since, "before": self.before}
        query = urlencode({name: value for name, value in told.items() if value})
        return f"{path}?{query}" if query else path

    def filter(self, timezone: str) -> Filter:
        """Return what fits; a day begins at midnight of the zone. Raises UsageError for what cannot be."""
        if self.schedule and not checking.is_id(self.schedule):
            raise UsageError(f"schedule: {names.display(self.schedule)!r} cannot be the id of a schedule")
        return Filter(
            self.schedule or None,
            _status(self.status) if self.status else None,
            _begin_of(self.since, timezone) if self.since else None,
            _place(self.before) if self.before else None,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One execution; ``kind`` is that of its badge, ``why`` says in a line how it ended or what it does."""

    execution: ScheduleExecution
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class Listing:
    """``running`` stands first, on the first page only; ``older`` is the address of what follows, empty at the end."""

    typed: Typed
    running: tuple[Row, ...] = ()
    rows: tuple[Row, ...] = ()
    older: str = ""
    schedules: tuple[str, ...] = ()
    damaged: tuple[tuple[str, str], ...] = ()  # name and reason of files, the first of them
    damaged_count: int = 0
    problem: str = ""  # why nothing could be looked for

    @property
    def newest(self) -> str:
        return replace(self.typed, before="").address("/executions")

    @property
    def table(self) -> str:
        return replace(self.typed, before="").address("/executions.csv")


def listing(monitor: ScheduleMonitor, typed: Typed, *, timezone: str) -> Listing:
    """Return a page of what is asked for; what cannot be asked is said on it."""
    index = monitor.index
    damaged = index.damaged()
    empty = Listing(
        typed,
        schedules=tuple(sorted({*index.schedule_ids(), *filter(checking.is_id, [typed.schedule])})),
        damaged=tuple(damaged[:_DAMAGED_SHOWN]),
        damaged_count=len(damaged),
    )
    try:
        wanted = typed.filter(timezone)
    except UsageError as error:
        return replace(empty, problem=str(error))
    running = [one for one in monitor.get_running_executions() if wanted.fits(one)]
    found = _ended(monitor, wanted, count=ON_A_PAGE + 1, besides=len(running))
    return replace(
        empty,
        running=() if typed.before else tuple(map(row_of, running)),
        rows=tuple(map(row_of, found[:ON_A_PAGE])),
        older=_after(found[ON_A_PAGE - 1], typed) if len(found) > ON_A_PAGE else "",
    )


def parts_of_table(monitor: ScheduleMonitor, wanted: Filter) -> Iterator[str]:
    """Yield the newest executions that fit as comma-separated values, part by part, with a line of names first."""
    yield _lines([_COLUMNS])
    count, before = 0, wanted.before
    while count < IN_A_TABLE:
        found = monitor.index.history(
            schedule_id=wanted.schedule_id,
            status=wanted.status,
            since=wanted.since,
            before=before,
            limit=min(_IN_A_PART, IN_A_TABLE - count),
        )
        if not found:
            return
        yield _lines(map(_cells, found))
        count, before = count + len(found), (found[-1].start_time, found[-1].execution_id)


def row_of(execution: ScheduleExecution) -> Row:
    return Row(execution, badge(execution), why_of(execution))


def why_of(execution: ScheduleExecution) -> str:
    """Return in one line why it ended as it did, or what it waits for; empty when all is as it should be."""
    if not execution.status.is_final:
        return holding_of(execution) or standing_of(execution)
    if execution.error_message or execution.cause not in {"", "done"}:
        return execution.error_message or execution.cause
    return f"{execution.files_left:,} left where they were" if execution.files_left else ""


def harmless(text: str) -> str:
    """Return text that no spreadsheet takes for a formula, without control characters."""
    shown = names.display(text)
    return f"'{shown}" if text.startswith(_FORMULA) else shown


def _ended(monitor: ScheduleMonitor, wanted: Filter, *, count: int, besides: int) -> list[ScheduleExecution]:
    found = monitor.index.history(
        schedule_id=wanted.schedule_id,
        status=wanted.status,
        since=wanted.since,
        before=wanted.before,
        limit=count + besides,
    )
    return [execution for execution in found if execution.status.is_final][:count]


def _after(last: ScheduleExecution, typed: Typed) -> str:
    return replace(typed, before=f"{last.start_time!r},{last.execution_id}").address("/executions")


def _status(text: str) -> ExecutionStatus:
    try:
        return ExecutionStatus(text)
    except ValueError as error:
        allowed = ", ".join(status.value for status in ExecutionStatus)
        raise UsageError(f"status: {names.display(text)!r} is none of {allowed}") from error


def _begin_of(text: str, timezone: str) -> float:
    try:
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=zone(timezone)).timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"from: {names.display(text)!r} is no day; write it like 2026-11-01") from error


def _place(text: str) -> tuple[float, str]:
    start, _, execution_id = text.partition(",")
    try:
        at = float(start)
    except ValueError:
        at = math.nan
    if not math.isfinite(at) or not checking.is_id(execution_id):
        raise UsageError("before: that is no place in the list; go back to the newest")
    return at, execution_id


def _lines(rows: "Iterator[Sequence[object]] | Sequence[Sequence[object]] | map[tuple[object, ...]]") -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cells(execution: ScheduleExecution) -> tuple[object, ...]:
    values = {
        "status": execution.status.value,
        "started": _written(execution.start_time),
        "ended": "" if execution.end_time is None else _written(execution.end_time),
    }
    found = [values.get(name, getattr(execution, name, "")) for name in _COLUMNS]
    return tuple(harmless(value) if isinstance(value, str) else value for value in found)


def _written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
