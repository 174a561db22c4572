"""``execution``: what runs, what ran and why it went as it did; cancelling; cleaning up."""

import time
from typing import TYPE_CHECKING, Any

import click

from rebalancer import records
from rebalancer.cli import output
from rebalancer.cli.options import global_options, parsed
from rebalancer.cli.session import Session
from rebalancer.errors import CancelledError, ExitCode, RebalancerError, UsageError
from rebalancer.executions.execution import ExecutionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rebalancer.executions.execution import ScheduleExecution
    from rebalancer.executions.monitor import ScheduleMonitor
    from rebalancer.executions.verdict import Verdict
    from rebalancer.transfer.messages import Progress

EPILOG = """\
\b
Examples:
  unraid-rebalancer execution list
  unraid-rebalancer execution history nightly --status failed --since 7d
  unraid-rebalancer execution explain 20261123T031500Z-nightly-4f2a1c
  unraid-rebalancer execution cancel 20261123T031500Z-nightly-4f2a1c --reason "movie night"
  unraid-rebalancer execution pause 20261123T031500Z-nightly-4f2a1c
  unraid-rebalancer execution cleanup --days 60 --dry-run
"""
DEFAULT_LIMIT, DEFAULT_DAYS = 50, 30
_LOOK_EVERY = 0.5  # seconds between two looks at an execution that is watched


def whole_number(text: str, *, field: str) -> int:
    """Return a number that people count with; raises UsageError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 7):
        raise UsageError(f"{field}: {text!r} is not a whole number")
    return int(text)


def _positive(text: str, *, field: str) -> int:
    if (number := whole_number(text, field=field)) < 1:
        raise UsageError(f"{field}: {text!r} is less than 1")
    return number


def _status(text: str, *, field: str) -> ExecutionStatus:
    try:
        return ExecutionStatus(text.lower())
    except ValueError as error:
        allowed = ", ".join(status.value for status in ExecutionStatus)
        raise UsageError(f"{field}: {text!r} is none of {allowed}") from error


@click.group("execution", epilog=EPILOG, invoke_without_command=True)
@global_options
@click.pass_context
def command(context: click.Context) -> int | None:
    """Look at executions, pause and cancel them, clean up their records."""
    if context.invoked_subcommand is not None:
        return None
    output.complain("no command was named")
    click.echo(context.get_help(), err=True)
    return ExitCode.WRONG_USAGE


@command.command("list")
@global_options
@click.pass_obj
def list_executions(session: Session) -> None:
    """Show what runs or waits now, whichever process started it."""
    from rebalancer.cli.execution_showing import show_running

    monitor = session.monitor()
    running = monitor.get_running_executions()
    if session.is_json:
        output.print_json(running)
    elif session.shows:
        show_running(running, _progress_of(monitor, running), now=session.clock())


@command.command("history")
@click.argument("schedule_id", metavar="[ID]", required=False)
@click.option("--status", metavar="STATUS", callback=parsed(_status), help="Only those that stand so, such as failed.")
@click.option("--since", metavar="WHEN", help="Only those that started since: 7d, 12h or 2026-11-01.")
@click.option(
    "--limit", metavar="N", callback=parsed(_positive), default=str(DEFAULT_LIMIT), show_default=True,
    help="How many, from the newest on.",
)  # fmt: skip
@global_options
@click.pass_obj
def history(
    session: Session, *, schedule_id: str | None, status: ExecutionStatus | None, since: str | None, limit: int
) -> None:
    """Show what ran, newest first, of one schedule or of all."""
    from rebalancer.cli.execution_showing import show_history

    monitor = session.monitor()
    begun = None if since is None else _moment_past(since, field="--since", now=session.clock())
    if schedule_id is not None:
        monitor.demand_schedule(schedule_id)
    found = monitor.get_execution_history(schedule_id, limit, status=status, since=begun)
    if session.is_json:
        output.print_json(found)
    elif session.shows:
        show_history(found, now=session.clock())
    for name, reason in monitor.index.damaged():
        output.complain(f"unreadable: {name}: {reason}")


@command.command("show")
@click.argument("execution_id", metavar="ID")
@global_options
@click.pass_obj
def show(session: Session, *, execution_id: str) -> None:
    """Show one execution: how it ended, what it moved, what stayed and why."""
    execution = session.monitor().get_execution(execution_id)
    if session.is_json:
        output.print_json(execution)
    elif session.shows:
        _show_in_full(session, execution)
        _note_length(session, execution)


def _note_length(session: Session, execution: "ScheduleExecution") -> None:
    from rebalancer.executions.statistics import is_longer_than_usual

    statistics = session.monitor().get_schedule_statistics(execution.schedule_id)
    if is_longer_than_usual(execution, statistics, now=session.clock()):
        output.say("this is longer than usual for what it had to move: see schedule stats")


@command.command("explain")
@click.argument("execution_id", metavar="ID")
@global_options
@click.pass_obj
def explain(session: Session, *, execution_id: str) -> None:
    """Show what happened to an execution, when and why, from its record alone."""
    from rebalancer.cli.execution_showing import show_story
    from rebalancer.executions.story import events_of, sentences_of

    execution = session.monitor().get_execution(execution_id)
    if session.is_json:
        document: dict[str, Any] = {
            "execution_id": execution.execution_id,
            "schedule_id": execution.schedule_id,
            "status": execution.status.value,
            "cause": execution.cause,
            "sentences": sentences_of(execution),
            "timeline": records.to_builtins(events_of(execution)),
        }
        output.print_json(document)
    elif session.shows:
        show_story(execution, now=session.clock())


@command.command("watch")
@click.argument("execution_id", metavar="ID")
@global_options
@click.pass_obj
def watch(session: Session, *, execution_id: str) -> int:
    """Follow an execution to its end; ends with its exit code. Ctrl-C ends the watching, not the execution."""
    monitor = session.monitor()
    try:
        execution = _follow(session, monitor, execution_id)
    except KeyboardInterrupt as error:
        raise CancelledError(f"no longer watching; {execution_id} goes on") from error
    if session.is_json:
        output.print_json(execution)
    elif session.shows:
        _show_in_full(session, execution)
    return ExitCode.FAILED if execution.exit_code is None else execution.exit_code


@command.command("cancel")
@click.argument("execution_id", metavar="ID", required=False)
@click.option("--all", "everything", is_flag=True, help="Every execution that runs or waits, instead of one.")
@click.option("--array-stop", is_flag=True, help="The same because the array is being stopped: for Unraid's events.")
@click.option("--reason", metavar="TEXT", default="", help="Why; it becomes part of the record.")
@global_options
@click.pass_obj
def cancel(session: Session, *, execution_id: str | None, everything: bool, array_stop: bool, reason: str) -> int:
    """Stop one execution, or all: what was moved stays moved, the rest stays where it was."""
    if [execution_id is not None, everything, array_stop].count(True) != 1:
        raise UsageError("name one execution, or say --all or --array-stop")
    control = session.monitor().control
    if execution_id is not None:
        verdict = control.cancel(execution_id, reason=reason)
        return _conclude(session, [verdict], document=verdict)
    verdicts = control.stop_with_the_array() if array_stop else control.cancel_all(reason=reason)
    return _conclude(session, verdicts, document=verdicts)


@command.command("pause")
@click.argument("execution_id", metavar="ID")
@click.option("--reason", metavar="TEXT", default="", help="Why; whoever looks is told.")
@global_options
@click.pass_obj
def pause(session: Session, *, execution_id: str, reason: str) -> None:
    """Let an execution wait, within seconds, until `continue`; the time does not count as work."""
    session.monitor().control.pause(execution_id, reason=reason)
    if session.is_json:
        output.print_json({"execution_id": execution_id, "paused": True})
    elif session.shows:
        output.say(f"{execution_id} pauses after the chunk it is in; go on with: execution continue {execution_id}")


@command.command("continue")
@click.argument("execution_id", metavar="ID")
@global_options
@click.pass_obj
def go_on(session: Session, *, execution_id: str) -> None:
    """Let an execution that was paused by hand go on; what guards hold, they go on holding."""
    was_paused = session.monitor().control.go_on(execution_id)
    if session.is_json:
        output.print_json({"execution_id": execution_id, "paused": False, "was_paused": was_paused})
    elif session.shows:
        output.say(f"{execution_id} goes on" if was_paused else f"{execution_id} was not paused by hand")


def _conclude(session: Session, verdicts: "Sequence[Verdict]", *, document: object) -> int:
    if session.is_json:
        output.print_json(document)
    elif session.shows:
        for verdict in verdicts:
            _show_verdict(verdict)
    return exit_code_of(verdicts)


@command.command("cleanup")
@click.option(
    "--days", metavar="N", callback=parsed(whole_number), default=str(DEFAULT_DAYS), show_default=True,
    help="Remove records of executions that ended longer ago.",
)  # fmt: skip
@click.option("--keep-failed-days", metavar="N", callback=parsed(whole_number), help="Keep records of failures longer.")
@click.option(
    "--keep-at-least", metavar="N", callback=parsed(whole_number), default="0", show_default=True,
    help="Keep the newest records of each schedule, whatever their age.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would go; change nothing.")
@global_options
@click.pass_obj
def cleanup(session: Session, *, days: int, keep_failed_days: int | None, keep_at_least: int, dry_run: bool) -> None:
    """Remove old records and set damaged ones aside; the statistics keep what they stood for."""
    from rebalancer.cli.execution_showing import show_cleaned
    from rebalancer.executions.cleanup import clean_up

    monitor = session.monitor()
    cleaned = clean_up(
        monitor.folders,
        days=days,
        keep_failed_days=days if keep_failed_days is None else keep_failed_days,
        keep_at_least=keep_at_least,
        now=session.clock(),
        dry_run=dry_run,
    )
    if session.is_json:
        output.print_json(cleaned)
    elif session.shows:
        show_cleaned(cleaned, is_dry=dry_run, every_detail=session.is_verbose)


def exit_code_of(verdicts: "Sequence[Verdict]") -> int:
    """Return 0 when nothing lives any more, 4 when something was refused, else 1."""
    from rebalancer.executions.verdict import Ending

    endings = {verdict.verdict for verdict in verdicts}
    if Ending.REFUSED in endings:
        return ExitCode.REFUSED
    return ExitCode.FAILED if Ending.KILL_PENDING in endings else ExitCode.DONE


def _show_verdict(verdict: "Verdict") -> None:
    from rebalancer.quantities import format_duration

    detail = f": {verdict.detail}" if verdict.detail else ""
    took = f" after {format_duration(verdict.seconds)}" if verdict.seconds >= 0.05 else ""
    output.say(f"{verdict.execution_id}: {verdict.verdict.value}{took}{detail}")


def _show_in_full(session: Session, execution: "ScheduleExecution") -> None:
    from rebalancer.cli.execution_showing import show_details
    from rebalancer.cli.showing import show_execution

    show_details(execution, now=session.clock())
    output.say()
    show_execution(execution, every_detail=session.is_verbose)


def _follow(session: Session, monitor: "ScheduleMonitor", execution_id: str) -> "ScheduleExecution":
    from rebalancer.cancel import Cancel
    from rebalancer.cli import progress
    from rebalancer.executions.story import standing_of

    told = ""
    with progress.of_run(Cancel(), shows=session.shows, clock=time.monotonic) as on_message:
        while not (execution := monitor.get_execution(execution_id)).status.is_final:
            if (message := _progress_of(monitor, [execution]).get(execution_id)) is not None:
                on_message(message)
            elif session.shows and (standing := standing_of(execution)) != told:
                told = standing
                output.say(standing)
            time.sleep(_LOOK_EVERY)
    return execution


def _progress_of(monitor: "ScheduleMonitor", executions: "Sequence[ScheduleExecution]") -> "Mapping[str, Progress]":
    from rebalancer.transfer.messages import Progress

    found = {}
    for execution in executions:
        try:
            path = monitor.folders.progress / f"{execution.execution_id}.json"
            found[execution.execution_id] = records.read(path, Progress)
        except RebalancerError:  # it waits, or another program runs it
            continue
    return found


def _moment_past(text: str, *, field: str, now: float) -> float:
    from datetime import datetime

    from rebalancer.quantities import parse_duration

    try:
        if text[:4].isdecimal() and text[4:5] == "-":
            return datetime.fromisoformat(text).timestamp()
        return now - parse_duration(text, field=field)
    except (ValueError, UsageError, OverflowError) as error:
        raise UsageError(f"{field}: {text!r} is no time; write 7d, 12h or 2026-11-01") from error
