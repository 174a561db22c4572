"""Executions, verdicts and cleanups as the lines and tables that people read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rebalancer.cli import output, tables
from rebalancer.cli.tables import Cell, Column, Table
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.story import events_of, sentences_of, standing_of
from rebalancer.quantities import format_duration, format_size
from rebalancer.transfer.messages import Progress

if TYPE_CHECKING:
    from rebalancer.executions.cleanup import Cleaned
    from rebalancer.executions.verdict import Verdict

_WHY = Column("why", may_break=True)


def show_running(executions: Sequence[ScheduleExecution], progress: Mapping[str, Progress], *, now: float) -> None:
    """Show what runs; ``progress`` is by execution."""
    if not executions:
        output.say("nothing is running")
        return
    columns = (
        Column("execution"), Column("schedule"), Column("status"), Column("started"), Column("process", is_number=True),
        Column("done", is_number=True), Column("doing", may_break=True),
    )  # fmt: skip
    tables.show(Table(columns, [_running_row(one, progress.get(one.execution_id), now) for one in executions]))


def show_history(executions: Sequence[ScheduleExecution], *, now: float) -> None:
    if not executions:
        output.say("no executions are recorded")
        return
    columns = (
        Column("execution"), Column("schedule"), Column("status"), Column("started"), Column("took", is_number=True),
        Column("files", is_number=True), Column("moved", is_number=True), _WHY,
    )  # fmt: skip
    tables.show(Table(columns, [_history_row(execution, now) for execution in executions]))


def show_details(execution: ScheduleExecution, *, now: float) -> None:
    """Show what identifies an execution, before `show_execution` shows what it did."""
    rows: list[tuple[Cell, ...]] = [
        ("schedule", execution.schedule_id),
        ("started", moment(execution.start_time, now=now)),
        ("ended", moment(execution.end_time, now=now) if execution.end_time is not None else "not yet"),
        ("exit code", "" if execution.exit_code is None else str(execution.exit_code)),
        ("operation", execution.operation_id),
        ("held for", format_duration(execution.held_seconds) if execution.held_seconds else ""),
        ("log", execution.log),
    ]
    columns = (Column(execution.execution_id), Column("", may_break=True))
    tables.show(Table(columns, [row for row in rows if row[1]]))


def show_story(execution: ScheduleExecution, *, now: float) -> None:
    """Show what happened when, and why."""
    output.say(f"{execution.execution_id} of {execution.schedule_id}: {'; '.join(sentences_of(execution))}")
    output.say()
    columns = (Column("when"), Column("after", is_number=True), Column("what"), _WHY)
    events = events_of(execution)
    rows: list[tuple[Cell, ...]] = [
        (_clock(event.at), format_duration(max(0.0, event.at - events[0].at)), event.what, event.why)
        for event in events
    ]
    tables.show(Table(columns, rows))
    if not execution.status.is_final:
        output.say(f"still {execution.status.value}, {format_duration(max(0.0, now - events[0].at))} after it began")


def show_stopped(verdicts: Sequence["Verdict"]) -> None:
    """Show a verdict for each execution that was to be stopped."""
    if not verdicts:
        output.say("nothing was running")
        return
    columns = (
        Column("execution"), Column("schedule"), Column("verdict"), Column("took", is_number=True),
        Column("details", may_break=True),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (one.execution_id, one.schedule_id, one.verdict.value, format_duration(one.seconds), one.detail)
        for one in verdicts
    ]
    tables.show(Table(columns, rows))


def show_cleaned(cleaned: "Cleaned", *, is_dry: bool, every_detail: bool) -> None:
    did = "would remove" if is_dry else "removed"
    output.say(f"{did} {output.count(len(cleaned.removed), 'record')}, {format_size(cleaned.bytes_freed)}")
    for name, reason in cleaned.set_aside:
        output.say(f"{'would set' if is_dry else 'set'} aside {name}: {reason}")
    for execution_id in cleaned.removed if every_detail else ():
        output.say(execution_id)


def moment(at: float, *, now: float) -> str:
    """Return a local time and how far away it is: ``2026-11-23 04:15 (3 min ago)``."""
    ago = now - at
    if ago < 0:
        return f"{_clock(at)} (in the future)"
    return f"{_clock(at)} ({_ago(ago)})"


def _ago(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s ago"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago" if seconds < 172800 else f"{seconds / 86400:.0f} d ago"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"


def _running_row(execution: ScheduleExecution, progress: Progress | None, now: float) -> tuple[Cell, ...]:
    process = execution.process.pid if execution.process is not None else execution.pid
    return (
        execution.execution_id,
        execution.schedule_id,
        execution.status.value,
        moment(execution.start_time, now=now),
        "" if process is None else str(process),
        "" if progress is None or not progress.bytes_total else _percent(progress),
        standing_of(execution) if progress is None else _doing(progress),
    )


def _percent(progress: Progress) -> str:
    return f"{100 * min(progress.bytes_copied / progress.bytes_total, 1.0):.0f} %"


def _doing(progress: Progress) -> str:
    if progress.why:
        return f"{progress.phase}: {progress.why}"
    moves = f"{progress.moves_done:,} of {output.count(progress.moves_total, 'move')}"
    beside = f"{output.count(progress.beside, 'move')} beside it" if progress.beside else ""
    return ", ".join(part for part in (moves, progress.phase, progress.path, beside) if part)


def _history_row(execution: ScheduleExecution, now: float) -> tuple[Cell, ...]:
    took = format_duration(execution.duration_seconds) if execution.status.is_final else ""
    return (
        execution.execution_id,
        execution.schedule_id,
        execution.status.value,
        moment(execution.start_time, now=now),
        took,
        f"{execution.files_moved:,}",
        format_size(execution.bytes_moved),
        execution.error_message,
    )
