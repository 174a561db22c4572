"""``run``: scan, plan and carry the plan out, recorded as an execution."""

import os
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebalancer import names
from rebalancer.cli import documents, output
from rebalancer.cli.guard_options import guard_options
from rebalancer.cli.options import file_option, global_options
from rebalancer.cli.plan import make_plan
from rebalancer.cli.selecting import NAMES, selection_options, typed_option
from rebalancer.cli.session import Session
from rebalancer.errors import CancelledError, ExitCode, UsageError
from rebalancer.guards.options import EVERY_GUARD, GuardOptions
from rebalancer.planning.selection import Selection
from rebalancer.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rebalancer.cancel import Cancel
    from rebalancer.engine import Engine
    from rebalancer.executions.execution import ScheduleExecution
    from rebalancer.planning.plan import Plan
    from rebalancer.transfer.messages import Message

EPILOG = """\
\b
Examples:
  unraid-rebalancer run
  unraid-rebalancer run --max-runtime 6h --bandwidth-limit 80MB/s --yes
  unraid-rebalancer run --max-temperature 42 --ignore-guard backups
  unraid-rebalancer run --plan plan.json --json

Asks first when a person is there to answer. Ctrl-C stops cleanly: what was moved stays moved, the rest stays where
it was, and the next run goes on from there.
"""

_WITH_PLAN = frozenset({"max_runtime", "bandwidth_limit", "moves_at_once", "verify", "min_age"})


@click.command("run", epilog=EPILOG)
@file_option("--plan", "plan_file", help="Carry out a saved plan instead of making one.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@selection_options
@guard_options
@global_options
@click.pass_context
def command(
    context: click.Context, *, selection: Selection, guards: GuardOptions, plan_file: Path | None, yes: bool
) -> int:
    """Make the disks as full as they should be: scan, plan, move, verify.

    The exit code is that of the execution: 0 done or nothing to do, 1 something failed or was left,
    75 held by a guard or a lock, 130 cancelled.
    """
    session = context.ensure_object(Session)
    if plan_file is not None and (option := typed_option(context, NAMES - _WITH_PLAN)):
        raise UsageError(f"{option}: is decided when a plan is made, not when a saved plan is carried out")
    plan = documents.read_plan(plan_file) if plan_file is not None else None
    if plan is not None and not session.disks:
        session.disks = [f"{disk.path},name={disk.name}" for disk in plan.disks]
    engine = session.engine()
    engine.demand_nothing_holds(guards)
    _finish_begun(session, engine, selection, guards)
    if plan is None:
        plan = make_plan(session, engine, selection)
    with output.reader_may_leave():
        _introduce(session, plan)
    if plan.moves and not yes:
        _ask(session, plan)
    execution = carry_out(session, engine, plan, selection=selection, guards=guards)
    with output.reader_may_leave():
        conclude(session, execution)
    return ExitCode.FAILED if execution.exit_code is None else execution.exit_code


def carry_out(
    session: Session,
    engine: "Engine",
    plan: "Plan",
    *,
    selection: Selection,
    guards: GuardOptions = EVERY_GUARD,
) -> "ScheduleExecution":
    """Run the plan with its progress shown; signals ask it to stop after the current chunk."""
    session.log("info", "run begins moves=%d bytes=%d", len(plan.moves), plan.bytes_to_move)
    with watched(session) as (cancel, on_message):
        execution = engine.run(plan, selection, cancel=cancel, on_message=on_message, guards=guards)
    _log(session, execution)
    return execution


def _finish_begun(session: Session, engine: "Engine", selection: Selection, guards: GuardOptions) -> None:
    """Let what an earlier run began be finished first, so that the plan is made for whole units.

    Raises CancelledError when it was stopped.
    """
    with watched(session) as (cancel, on_message):
        execution = engine.finish_begun(selection, cancel=cancel, on_message=on_message, guards=guards)
    if execution is None:
        return
    _log(session, execution)
    if execution.exit_code == ExitCode.CANCELLED:
        raise CancelledError("cancelled while what an earlier run began was being finished; the next run goes on")
    with output.reader_may_leave():
        if session.shows and execution.exit_code == ExitCode.DONE:
            output.say(f"finished what an earlier run began: {output.count(execution.files_moved, 'file')}")


@contextmanager
def watched(session: Session) -> "Iterator[tuple[Cancel, Callable[[Message], None]]]":
    """Show progress and turn signals into a request to stop while the block runs."""
    from rebalancer.cancel import Cancel
    from rebalancer.cli import progress
    from rebalancer.cli.stopping import stop_on_signals

    cancel = Cancel()
    is_drawn = session.shows and output.is_terminal()  # the drawing says it itself
    with (
        _standing_nowhere(cancel),
        stop_on_signals(cancel, announces=not is_drawn and not session.is_quiet),
        progress.of_run(cancel, shows=session.shows, clock=time.monotonic) as on_message,
    ):
        yield cancel, on_message


@contextmanager
def _standing_nowhere(cancel: "Cancel") -> "Iterator[None]":
    """Leave the working folder meanwhile, and for good when stopped: a disk on which we stand cannot be unmounted."""
    try:
        before = os.getcwdb()
    except OSError:  # the folder was removed
        before = b"/"
    os.chdir("/")
    try:
        yield
    finally:
        if not cancel.is_requested:
            with suppress(OSError):  # it is gone, or its disk is
                os.chdir(before)


def _log(session: Session, execution: "ScheduleExecution") -> None:
    for left in execution.left:
        session.log("warning", "left disk=%s path=%s reason=%s", left.disk, names.display(left.path), left.reason)
    session.log(
        "info",
        "run ends execution=%s status=%s exit_code=%s files_moved=%d bytes_moved=%d files_left=%d",
        execution.execution_id,
        execution.status.value,
        execution.exit_code,
        execution.files_moved,
        execution.bytes_moved,
        execution.files_left,
    )


def _introduce(session: Session, plan: "Plan") -> None:
    from rebalancer.cli import showing

    if session.shows:
        showing.show_plan(plan, every_detail=session.is_verbose)
        output.say()


def conclude(session: Session, execution: "ScheduleExecution") -> None:
    """Show how an execution ended, or print its record."""
    from rebalancer.cli import showing

    if session.is_json:
        output.print_json(execution)
    elif session.shows:
        showing.show_execution(execution, every_detail=session.is_verbose)


def _ask(session: Session, plan: "Plan") -> None:
    """Ask whoever sits at the terminal; cron and pipes have nobody to ask and go on.

    Raises CancelledError when the answer is no, UsageError when the question could not be seen.
    """
    if not sys.stdin.isatty():
        return
    if not sys.stderr.isatty() and (session.is_json or not sys.stdout.isatty()):
        raise UsageError("there is no terminal to ask on; say --yes")
    question = f"move {format_size(plan.bytes_to_move)} in {output.count(len(plan.moves), 'move')} now?"
    if not click.confirm(question, default=False, err=sys.stderr.isatty()):
        raise CancelledError("cancelled, nothing was moved")
