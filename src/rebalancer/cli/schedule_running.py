"""``schedule run|suspend|resume``: a schedule's turn, and its rest."""

from typing import TYPE_CHECKING, Any

import click

from rebalancer import records
from rebalancer.cli import output
from rebalancer.cli.options import global_options, parsed
from rebalancer.cli.run import conclude, watched
from rebalancer.cli.schedule_looking import moment_of
from rebalancer.cli.schedule_showing import Now, document, show_next_lines, show_verdicts
from rebalancer.cli.session import Session
from rebalancer.errors import ExitCode
from rebalancer.schedules import validation
from rebalancer.schedules.moments import parse_moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebalancer.executions.verdict import Verdict
    from rebalancer.schedules.schedule import Schedule

RUN_EPILOG = """\
\b
Examples:
  unraid-rebalancer schedule run nightly
  unraid-rebalancer schedule run nightly --json

Ends with the exit code of its execution: 0 done or nothing to do, 1 something failed or was left, 75 held by a
guard or a lock, 130 cancelled.
"""
SUSPEND_EPILOG = """\
\b
Examples:
  unraid-rebalancer schedule suspend nightly --reason "Maintenance window"
  unraid-rebalancer schedule suspend nightly --reason holidays --until 2026-12-27
"""
BY_HAND = "hand"
_FIRED_BY = (BY_HAND, "cron", "clock", "catch-up")  # a retry is not fired: it is the same firing once more
_ENDED = frozenset({"stopped", "was not running"})


def _reason(text: str, *, field: str) -> str:
    validation.check_text(field, text)
    return text


@click.command("run", epilog=RUN_EPILOG)
@click.argument("schedule_id", metavar="ID")
@click.option("--fired-by", type=click.Choice(_FIRED_BY), default=BY_HAND, hidden=True)
@click.option("--slot", metavar="KEY", hidden=True)
@global_options
@click.pass_obj
def run(session: Session, *, schedule_id: str, fired_by: str, slot: str | None) -> int:
    """Run a schedule now, with its own disks and options, recorded as an execution."""
    if fired_by != BY_HAND:  # nobody is there to read along, and cron mails whatever is said
        session.is_quiet = True
    engine = session.engine()
    with watched(session) as (cancel, on_message):
        execution = engine.fire(schedule_id, fired_by=fired_by, slot=slot, cancel=cancel, on_message=on_message)
    if execution is None:
        if session.is_json:
            output.print_json(None)
        return ExitCode.DONE
    with output.reader_may_leave():
        conclude(session, execution)
    return ExitCode.FAILED if execution.exit_code is None else execution.exit_code


@click.command("suspend", epilog=SUSPEND_EPILOG)
@click.argument("schedule_id", metavar="ID")
@click.option("--reason", metavar="TEXT", callback=parsed(_reason), default="", help="Why; it is part of every record.")
@click.option("--until", metavar="WHEN", help="When it ends by itself: 3d, 2026-12-01 or '2026-12-01 08:00'.")
@global_options
@click.pass_obj
def suspend(session: Session, *, schedule_id: str, reason: str, until: str | None) -> int:
    """Stop what the schedule runs now and keep it from firing until it is resumed."""
    engine = session.engine()
    now = moment_of(session, engine)
    zone = now.zone_of(engine.schedules.get(schedule_id))
    end = parse_moment(until, field="--until", now=now.at, timezone=zone) if until is not None else None
    verdicts = engine.control.suspend(schedule_id, reason=reason, until=end)
    schedule = engine.schedules.get(schedule_id)
    _conclude(session, schedule, now, verdicts=verdicts, warnings=engine.tell_cron("the schedule is suspended"))
    return ExitCode.DONE if all(verdict.verdict.value in _ENDED for verdict in verdicts) else ExitCode.FAILED


@click.command("resume")
@click.argument("schedule_id", metavar="ID")
@global_options
@click.pass_obj
def resume(session: Session, *, schedule_id: str) -> None:
    """End a suspension; nothing happens when there is none."""
    engine = session.engine()
    engine.schedules.get(schedule_id)
    engine.control.resume(schedule_id)
    schedule = engine.schedules.get(schedule_id)
    now = moment_of(session, engine)
    _conclude(session, schedule, now, verdicts=(), warnings=engine.tell_cron("the schedule is resumed"))


def _conclude(
    session: Session, schedule: "Schedule", now: Now, *, verdicts: "Sequence[Verdict]", warnings: list[str]
) -> None:
    if session.is_json:
        stopped: Any = records.to_builtins(list(verdicts))
        output.print_json({**document(schedule, now), "executions": stopped, "warnings": warnings})
        return
    if session.shows:
        show_verdicts(verdicts)
        output.say(f"{'suspended' if schedule.suspension is not None else 'resumed'} {schedule.schedule_id}")
        show_next_lines(schedule, now)
    for warning in warnings:
        output.complain(f"note: {warning}")


COMMANDS = {"run": run, "suspend": suspend, "resume": resume}
