"""``schedule health``: which schedules do what they should, and what speaks against the others."""

from typing import TYPE_CHECKING

import click

from rebalancer.cli import output, tables
from rebalancer.cli.options import global_options
from rebalancer.cli.schedule_looking import chosen, moment_of
from rebalancer.cli.schedule_showing import Now, state_in_words
from rebalancer.cli.session import Session
from rebalancer.cli.tables import Cell, Column, Table
from rebalancer.errors import ExitCode

if TYPE_CHECKING:
    from rebalancer.executions.health import ScheduleHealth
    from rebalancer.schedules.schedule import Schedule

_ALARMING = frozenset({"missing runs", "failing"})


@click.command("health")
@click.argument("schedule_id", metavar="[ID]", required=False)
@global_options
@click.pass_obj
def health(session: Session, *, schedule_id: str | None) -> int:
    """Show how every schedule fares: last success, next run, missed runs, who suspended it and why.

    The exit code is 1 when one of them fails or misses runs.
    """
    engine = session.engine()
    now, schedules = moment_of(session, engine), chosen(engine, schedule_id)
    found = engine.health(schedules, now=now.at)
    if session.is_json:
        output.print_json(found)
    elif session.shows:
        _show(found, schedules, now)
    damaged = engine.schedules.damaged() if schedule_id is None else []
    for sentence in damaged:
        output.complain(f"unreadable: {sentence}")
    is_alarming = bool(damaged) or any(one.condition.value in _ALARMING for one in found)
    return ExitCode.FAILED if is_alarming else ExitCode.DONE


def _show(found: "list[ScheduleHealth]", schedules: "list[Schedule]", now: Now) -> None:
    columns = (
        Column("schedule"), Column("health"), Column("last success", may_break=True), Column("next", may_break=True),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            one.schedule_id,
            one.condition.value,
            "never" if one.last_success_time is None else now.moment(one.last_success_time, schedule),
            "-" if one.next_run is None else now.moment(one.next_run.at, schedule),
        )
        for one, schedule in zip(found, schedules, strict=True)
    ]
    if rows:
        tables.show(Table(columns, rows))
    for one, schedule in zip(found, schedules, strict=True):
        for remark in _remarks(one, schedule, now):
            output.say(f"{one.schedule_id}: {remark}")


def _remarks(one: "ScheduleHealth", schedule: "Schedule", now: Now) -> list[str]:
    remarks = list(one.warnings)
    if one.suspension is not None:
        remarks.append(state_in_words(schedule, now))
    if one.holding:
        remarks.append(f"its execution is {one.holding}")
    elif one.last_record_cause == "held":
        remarks.append(f"its last firing did not run: {one.last_record_message}")
    if one.missed_runs:
        remarks.append(f"{output.count(one.missed_runs, 'run')} missed since {one.missed_since}: nothing started it")
    if one.condition.value == "failing":
        remarks.append(f"the last run failed: {one.last_run_message or 'the log says why'}")
    if one.cron_line is False and schedule.enabled:
        remarks.append("cron does not know of it; say 'schedule enable ID', or keep 'unraid-rebalancer serve' running")
    return remarks


COMMANDS = {"health": health}
