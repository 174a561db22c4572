"""The questions that the index answers; each is read from one of its sorted copies, not from the rows."""

import os
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from sqlite3 import Connection, OperationalError

from msgspec import Struct

from rebalancer import records
from rebalancer.errors import DamagedRecordError
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.index_file import Tables
from rebalancer.executions.statistics import Spread, rank_of
from rebalancer.executions.totals import Totals, added

_LOW = 2**30
_LATER_THAN_ALL = (float("inf"), "")
_SUMS = "0, sum(files), 0, sum(bytes)"
_SUMS_IN_PARTS = f"sum(files / {_LOW}), sum(files % {_LOW}), sum(bytes / {_LOW}), sum(bytes % {_LOW})"
_NEWEST_OF = (
    "SELECT name FROM execution INDEXED BY figures WHERE schedule_id = ? ORDER BY start DESC, name DESC LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which executions are asked for; None: any. ``since`` is seconds since 1970 (UTC).

    ``before`` is the start and the id of an execution: only those are meant that come after it, newest first.
    """

    schedule_id: str | None = None
    status: ExecutionStatus | None = None
    since: float | None = None
    before: tuple[float, str] | None = None

    def fits(self, execution: ScheduleExecution) -> bool:
        return (
            self.schedule_id in {None, execution.schedule_id}
            and self.status in {None, execution.status}
            and (self.since is None or execution.start_time >= self.since)
            and (self.before is None or (execution.start_time, execution.execution_id) < self.before)
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """As much of an execution as decides how long its record is kept; ``age_from`` is its end, or its start."""

    execution_id: str
    status: ExecutionStatus
    age_from: float


class Figures(Struct, frozen=True):
    """What the records of one schedule amount to."""

    recorded: Totals
    spread: Spread


def newest(database: Connection, wanted: Filter, *, limit: int) -> list[str]:
    """Return the ids of the newest executions that have ended and fit, newest first."""
    rows = database.execute(
        "SELECT name FROM execution INDEXED BY newest WHERE is_final = 1 AND start >= ? AND (start, name) < (?, ?)"
        " AND schedule_id = coalesce(?, schedule_id) AND status = coalesce(?, status)"
        " ORDER BY start DESC, name DESC LIMIT ?",
        (
            wanted.since or 0.0,
            *(wanted.before or _LATER_THAN_ALL),
            wanted.schedule_id,
            wanted.status and wanted.status.value,
            max(0, limit),
        ),
    )
    return [name for (name,) in rows]


def newest_of_each(database: Connection, schedule_ids: Sequence[str], count: int) -> dict[str, list[str]]:
    """Return the names of the newest executions of several schedules, newest first."""
    return {one: [name for (name,) in database.execute(_NEWEST_OF, (one, count))] for one in schedule_ids}


def active(database: Connection) -> list[str]:
    return [name for (name,) in database.execute("SELECT name FROM execution WHERE is_final = 0")]


def schedule_ids(database: Connection) -> list[str]:
    rows = database.execute("SELECT DISTINCT schedule_id FROM execution INDEXED BY figures ORDER BY schedule_id")
    return [schedule_id for (schedule_id,) in rows]


def entries(database: Connection, schedule_id: str) -> list[Entry]:
    """Return what is known of a schedule's executions, newest first."""
    rows = database.execute(
        "SELECT name, status, coalesce(end, start) FROM execution WHERE schedule_id = ? ORDER BY start DESC, name DESC",
        (schedule_id,),
    )
    return [Entry(name, ExecutionStatus(status), age_from) for name, status, age_from in rows]


def names(database: Connection) -> set[str]:
    """Return the ids of all executions."""
    return {name for (name,) in database.execute("SELECT name FROM execution")}


def damaged(database: Connection) -> list[tuple[str, str]]:
    """Return file name and reason."""
    return [(os.fsdecode(raw), reason) for raw, reason in database.execute("SELECT name, reason FROM damaged")]


def figures(tables: Tables, schedule_id: str, without: AbstractSet[str]) -> Figures:
    """Return the sums over a schedule's records but those ``without``, and how durations and speeds lie.

    Over all records of the schedule they are remembered until a record changes.
    """
    database = tables.database
    passed_over = _of_schedule(database, schedule_id, without)
    found = None if passed_over else _remembered(database, schedule_id)
    if found is None:
        recorded = added(_totals_by_status(database, schedule_id, passed_over))
        found = Figures(recorded, _spread(database, schedule_id))
        if not passed_over:
            _remember(tables, schedule_id, found)
    return found


def forget_figures(database: Connection) -> None:
    """Whoever changes what is known of the records calls this in the same transaction."""
    database.execute("DELETE FROM answer")


def _remembered(database: Connection, schedule_id: str) -> Figures | None:
    row = database.execute("SELECT figures FROM answer WHERE schedule_id = ?", (schedule_id,)).fetchone()
    try:
        return None if row is None else records.decode(row[0], Figures, path="the index")
    except DamagedRecordError:
        return None


def _remember(tables: Tables, schedule_id: str, found: Figures) -> None:
    with tables.changing() as database:
        database.execute("INSERT OR REPLACE INTO answer VALUES (?, ?)", (schedule_id, records.encode(found)))


def _of_schedule(database: Connection, schedule_id: str, names: AbstractSet[str]) -> list[str]:
    """Return those of the names that are records of the schedule: hardly ever any."""
    found = []
    for name in names:
        row = database.execute("SELECT schedule_id FROM execution WHERE name = ?", (name,)).fetchone()
        if row == (schedule_id,):
            found.append(name)
    return found


def _totals_by_status(database: Connection, schedule_id: str, without: list[str]) -> list[Totals]:
    condition = ""
    if without:
        database.execute("CREATE TEMP TABLE passed_over (name TEXT PRIMARY KEY)")
        database.executemany("INSERT INTO passed_over VALUES (?)", [(name,) for name in without])
        condition = "AND name NOT IN passed_over"

    def added_up(sums: str) -> list[Totals]:
        rows = database.execute(
            f"SELECT status, count(*), total(duration > 0), total(duration), {sums}, max(duration), min(start), max(start)"  # noqa: S608
            f" FROM execution INDEXED BY figures WHERE schedule_id = ? {condition} GROUP BY status",
            (schedule_id,),
        )
        return [_totals(row) for row in rows]

    try:
        return added_up(_SUMS)
    except OperationalError:  # planted figures whose sum overflows 64 bits; in parts it takes twice as long
        return added_up(_SUMS_IN_PARTS)


def _totals(row: tuple[str, int, float, float, int, int, int, int, float, float, float]) -> Totals:
    status, count, ran, duration, files_high, files_low, bytes_high, bytes_low, longest, first, last = row
    known = ExecutionStatus(status)
    return Totals(
        **{known.value if known.is_final else "active": count},
        ran=int(ran),
        duration_seconds=duration,
        files_moved=files_high * _LOW + files_low,
        bytes_moved=bytes_high * _LOW + bytes_low,
        longest_seconds=longest,
        first_start=first,
        last_start=last,
        last_success=last if known is ExecutionStatus.COMPLETED else 0.0,
        last_failure=last if known is ExecutionStatus.FAILED else 0.0,
    )


def _spread(database: Connection, schedule_id: str) -> Spread:
    median, high = _percentiles(database, schedule_id, "duration", 50, 95)
    (median_speed,) = _percentiles(database, schedule_id, "speed", 50)
    return Spread(median_duration=median, p95_duration=high, median_speed=median_speed)


def _percentiles(database: Connection, schedule_id: str, column: str, *percents: float) -> list[float | None]:
    """Return values above 0 by nearest rank, each counted from the nearer end."""
    rows = f"FROM execution WHERE schedule_id = ? AND {column} > 0"
    (count,) = database.execute(f"SELECT count(*) {rows}", (schedule_id,)).fetchone()
    found = []
    for percent in percents:
        rank = rank_of(percent, count)
        is_high = 2 * rank > count
        order, offset = ("DESC", count - 1 - rank) if is_high else ("ASC", rank)
        row = database.execute(
            f"SELECT {column} {rows} ORDER BY {column} {order} LIMIT 1 OFFSET ?", (schedule_id, offset)
        ).fetchone()
        found.append(None if row is None else row[0])
    return found
