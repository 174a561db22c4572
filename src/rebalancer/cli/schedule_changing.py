"""``schedule create|edit|delete|enable|disable|cron``: schedules are changed, and cron is told."""

import sys
from typing import TYPE_CHECKING

import click
from msgspec import structs

from rebalancer.cli import output
from rebalancer.cli.options import global_options
from rebalancer.cli.schedule_looking import moment_of
from rebalancer.cli.schedule_options import Changes, reset_option, schedule_options
from rebalancer.cli.schedule_showing import document, show_next_lines
from rebalancer.cli.session import Session
from rebalancer.errors import CancelledError, UsageError
from rebalancer.schedules import validation
from rebalancer.schedules.schedule import Schedule

if TYPE_CHECKING:
    from rebalancer.engine import Engine

EPILOG = """\
\b
Examples:
  unraid-rebalancer schedule create --template nightly
  unraid-rebalancer schedule create weekend --at 06:00 --on sat --on sun --max-runtime 12h
  unraid-rebalancer schedule create --name "When it gets tight" --template above --above-percent 85
  unraid-rebalancer --disk /mnt/a --disk /mnt/b schedule create --cron "30 5 * * *" --timezone Europe/Berlin

Disks named with --disk are remembered; without them, the disks are discovered at each run.
"""
EDIT_EPILOG = """\
\b
Examples:
  unraid-rebalancer schedule edit nightly --at 05:30 --max-runtime 4h
  unraid-rebalancer schedule edit nightly --reset max-runtime --reset disk
  unraid-rebalancer schedule edit nightly --max-temperature 42 --ignore-guard backups
"""
_BASE = Schedule(schedule_id="", cron="15 4 * * *")  # a time of day that no zone skips or doubles: see `templates`


@click.command("create", epilog=EPILOG)
@click.argument("schedule_id", metavar="[ID]", required=False)
@schedule_options
@global_options
@click.pass_obj
def create(session: Session, *, schedule_id: str | None, changes: Changes) -> None:
    """Make a schedule. Say when with --template, --cron, or --at and --on; without an ID its name or template gives it one."""
    if not changes.is_timed:
        raise UsageError("say when it runs: --template nightly, --at 05:30, or --cron '30 5 * * *'")
    engine = session.engine()
    name = schedule_id if schedule_id is not None else _free_id(engine, changes)
    wanted = structs.replace(_BASE, schedule_id=name, **changes.fields(_BASE))
    schedule = engine.schedules.create(wanted, now=session.clock())
    _conclude(session, engine, schedule, "created")


@click.command("edit", epilog=EDIT_EPILOG)
@click.argument("schedule_id", metavar="ID")
@schedule_options
@reset_option
@global_options
@click.pass_obj
def edit(session: Session, *, schedule_id: str, changes: Changes) -> None:
    """Change the options that are named; the others stay as they are."""
    if not (changes.is_timed or changes.values or changes.selection or changes.guards or changes.reset):
        raise UsageError("nothing to change: name at least one option")
    engine = session.engine()
    schedule = engine.schedules.change(
        schedule_id, lambda stored: structs.replace(stored, **changes.fields(stored)), now=session.clock()
    )
    _conclude(session, engine, schedule, "changed")


@click.command("delete")
@click.argument("schedule_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@global_options
@click.pass_obj
def delete(session: Session, *, schedule_id: str, yes: bool) -> None:
    """Remove a schedule; what runs goes on, and the records of its executions stay."""
    engine = session.engine()
    if sys.stdin.isatty() and not yes:
        _ask(f"remove schedule {schedule_id}? what is recorded of its executions stays")
    engine.schedules.delete(schedule_id)
    warnings = engine.tell_cron("the schedule is removed")
    if session.is_json:
        output.print_json({"schedule_id": schedule_id, "deleted": True, "warnings": warnings})
        return
    if session.shows:
        output.say(f"removed {schedule_id}")
    _warn(warnings)


@click.command("enable")
@click.argument("schedule_id", metavar="ID")
@global_options
@click.pass_obj
def enable(session: Session, *, schedule_id: str) -> None:
    """Let a schedule fire again; the same again only tells cron again."""
    engine = session.engine()
    schedule = engine.schedules.set_enabled(schedule_id, enabled=True, now=session.clock())
    _conclude(session, engine, schedule, "enabled")


@click.command("disable")
@click.argument("schedule_id", metavar="ID")
@global_options
@click.pass_obj
def disable(session: Session, *, schedule_id: str) -> None:
    """Keep a schedule without firing it; what runs goes on, and schedule run still works."""
    engine = session.engine()
    schedule = engine.schedules.set_enabled(schedule_id, enabled=False, now=session.clock())
    _conclude(session, engine, schedule, "disabled")


@click.command("cron")
@global_options
@click.pass_obj
def cron(session: Session) -> None:
    """Give cron the lines of all schedules again: after a restart of a server that keeps its crontab in memory.

    Nothing is written when they are there already.
    """
    engine = session.engine()
    changes = engine.cron.synchronize(engine.schedules.list())
    if session.is_json:
        output.print_json({"changes": changes})
    elif session.shows:
        for change in changes or ["cron knows every schedule already"]:
            output.say(change)


def _conclude(session: Session, engine: "Engine", schedule: Schedule, done: str) -> None:
    """Say what was done, when it runs next, and what speaks against it."""
    warnings = engine.tell_cron("the schedule is saved")
    if session.is_json or not session.is_quiet:
        warnings += _objections(session, engine, schedule)
    now = moment_of(session, engine)
    if session.is_json:
        output.print_json({**document(schedule, now), "warnings": warnings})
        return
    if session.shows:
        output.say(f"{done} {schedule.schedule_id}: {schedule.cron} ({now.zone_of(schedule)})")
        show_next_lines(schedule, now)
    _warn(warnings)


def _objections(session: Session, engine: "Engine", schedule: Schedule) -> list[str]:
    """Return what the cron daemon of this machine would do differently, and which named disks cannot be used now."""
    said = engine.objections(schedule, now=session.clock())
    if not session.disks:
        return said
    return [*said, *(f"{disk.name} cannot be used now: {disk.reason}" for disk in engine.disks() if disk.reason)]


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        output.complain(f"note: {warning}")


def _free_id(engine: "Engine", changes: Changes) -> str:
    """Return an id made of the name, or of the template, or of how often it runs; with a number when it is taken."""
    words = str(changes.values.get("name", "")) or (changes.template.name if changes.template is not None else "")
    taken = {schedule.schedule_id for schedule in engine.schedules.list()}
    return validation.free_id(words or _how_often(changes), taken)


def _how_often(changes: Changes) -> str:
    _minute, _hour, day, _month, weekday = changes.fields(_BASE)["cron"].split()
    if day == weekday == "*":
        return "daily"
    return "weekly" if day == "*" else "monthly"


def _ask(question: str) -> None:
    if not click.confirm(question, default=False, err=sys.stderr.isatty()):
        raise CancelledError("cancelled, nothing was changed")


COMMANDS = {"create": create, "edit": edit, "delete": delete, "enable": enable, "disable": disable, "cron": cron}
