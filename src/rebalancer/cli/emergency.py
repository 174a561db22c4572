"""``emergency-stop``: everything at once, and the hold that keeps it so."""

import click

from rebalancer.cli import output
from rebalancer.cli.execution import exit_code_of
from rebalancer.cli.options import global_options
from rebalancer.cli.session import Session

EPILOG = """\
\b
Examples:
  unraid-rebalancer emergency-stop
  unraid-rebalancer emergency-stop --hold "disk3 makes noises"
  unraid-rebalancer emergency-stop release

Ends with 0 when nothing lives any more, 1 when a process still waits for a disk, 4 when something was refused.
"""


@click.group("emergency-stop", epilog=EPILOG, invoke_without_command=True)
@click.option("--hold", "hold_reason", metavar="REASON", help="Let nothing new start until it is released.")
@global_options
@click.pass_context
def command(context: click.Context, *, hold_reason: str | None) -> int | None:
    """Stop all executions immediately; `release` lets them start again after --hold.

    Every file is complete on one of its disks whenever it is stopped, and the next run finishes what was begun.
    """
    if context.invoked_subcommand is not None:
        return None
    from rebalancer.cli.execution_showing import show_stopped

    session = context.ensure_object(Session)
    verdicts = session.monitor().control.emergency_stop(hold_reason=hold_reason)
    if session.is_json:
        output.print_json(verdicts)
    elif session.shows:
        show_stopped(verdicts)
        if hold_reason is not None:
            output.say("nothing new starts until: unraid-rebalancer emergency-stop release")
    return exit_code_of(verdicts)


@command.command("release")
@global_options
@click.pass_obj
def release(session: Session) -> None:
    """Let executions start again."""
    was_held = session.monitor().control.release()
    if session.is_json:
        output.print_json({"was_held": was_held})
    elif session.shows:
        output.say("executions may start again" if was_held else "nothing was held")
