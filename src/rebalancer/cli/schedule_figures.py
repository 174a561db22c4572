"""``schedule stats``: what a schedule's executions amount to; of schedules and disks nothing is loaded or looked at."""

import os

import click

from rebalancer.cli import output, tables
from rebalancer.cli.options import global_options
from rebalancer.cli.session import Session
from rebalancer.executions.statistics import ScheduleStatistics, document
from rebalancer.quantities import format_duration, format_size
from rebalancer.schedules.moments import distance, in_words
from rebalancer.schedules.zones import machine_timezone


@click.command("stats")
@click.argument("schedule_id", metavar="ID")
@global_options
@click.pass_obj
def stats(session: Session, *, schedule_id: str) -> None:
    """Show what the executions of a schedule amount to, also those whose records were cleaned up."""
    monitor = session.monitor()
    found = monitor.index.statistics(schedule_id)
    if found is None:
        from rebalancer.schedules.manager import ScheduleManager

        schedule = ScheduleManager(monitor.folders.config).get(schedule_id)
        found = ScheduleStatistics(schedule_id=schedule.schedule_id)
    if session.is_json:
        output.print_json(document(found))
    elif session.shows:
        _show(session, found)


def _show(session: Session, statistics: ScheduleStatistics) -> None:
    """Show the figures of one schedule; times are the machine's."""
    if not statistics.total_executions:
        output.say(f"{statistics.schedule_id}: no executions yet")
        return
    timezone = machine_timezone(root=session.root, environment=os.environ)
    rows: list[tuple[tables.Cell, ...]] = [
        row for row in _figures(statistics, now=session.clock(), timezone=timezone) if row[1]
    ]
    tables.show(tables.Table((tables.Column(statistics.schedule_id), tables.Column("", may_break=True)), rows))


def _figures(statistics: ScheduleStatistics, *, now: float, timezone: str) -> list[tuple[str, str]]:
    def when(at: float | None) -> str:
        return "never" if at is None else f"{in_words(at, now=now, timezone=timezone)} ({distance(at, now=now)})"

    def lasting(seconds: float | None) -> str:
        return "" if seconds is None else format_duration(seconds)

    return [
        ("executions", f"{statistics.total_executions:,}"),
        ("successful", f"{statistics.successful_executions:,} ({statistics.success_rate:.1f} %)"),
        ("failed", f"{statistics.failed_executions:,}"),
        ("cancelled", f"{statistics.cancelled_executions:,}"),
        ("suspended", f"{statistics.suspended_executions:,}"),
        ("last execution", when(statistics.last_execution_time)),
        ("last success", when(statistics.last_success_time)),
        ("last failure", when(statistics.last_failure_time)),
        ("average duration", lasting(statistics.average_duration_seconds)),
        ("median duration", lasting(statistics.median_duration_seconds)),
        ("95 of 100 within", lasting(statistics.p95_duration_seconds)),
        ("longest", lasting(statistics.longest_duration_seconds)),
        ("files moved", f"{statistics.total_files_moved:,}"),
        ("bytes moved", format_size(statistics.total_bytes_moved)),
        ("speed", f"{format_size(statistics.bytes_per_second)}/s" if statistics.bytes_per_second else ""),
    ]


COMMANDS = {"stats": stats}
