"""The flags of the specification on the program itself: each runs the subcommand that does the same."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from rebalancer.errors import UsageError

_ALL = "\0"  # what --execution-history means without an id; no id holds it

#: parameter -> what is typed
COMMANDS = {
    "list_executions": "--list-executions",
    "execution_history": "--execution-history",
    "schedule_stats": "--schedule-stats",
    "cancel_execution": "--cancel-execution",
    "suspend_schedule": "--suspend-schedule",
    "resume_schedule": "--resume-schedule",
    "cleanup_executions": "--cleanup-executions",
    "emergency_stop": "--emergency-stop",
}
#: parameter -> what is typed, and the command it belongs to
DETAILS = {
    "limit": ("--limit", "execution_history"),
    "suspend_reason": ("--suspend-reason", "suspend_schedule"),
    "cleanup_days": ("--cleanup-days", "cleanup_executions"),
}
_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--list-executions", is_flag=True, help="List all currently running executions."),
    click.option("--execution-history", metavar="[ID]", is_flag=False, flag_value=_ALL,
                 help="Show what ran, of one schedule or of all."),
    click.option("--limit", metavar="N", help="With --execution-history: how many, from the newest on (50)."),
    click.option("--schedule-stats", metavar="ID", help="Show the statistics of a schedule."),
    click.option("--cancel-execution", metavar="ID", help="Cancel a running execution."),
    click.option("--suspend-schedule", metavar="ID", help="Suspend a schedule and stop what runs of it."),
    click.option("--suspend-reason", metavar="TEXT", help="With --suspend-schedule: why."),
    click.option("--resume-schedule", metavar="ID", help="Resume a suspended schedule."),
    click.option("--cleanup-executions", is_flag=True, help="Remove the records of old executions."),
    click.option("--cleanup-days", metavar="N", help="With --cleanup-executions: older than this many days (30)."),
    click.option("--emergency-stop", is_flag=True, help="Cancel all running executions immediately."),
)  # fmt: skip


def specification_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags to the program; `command_line` says what they ask for."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def command_line(given: Mapping[str, Any]) -> list[str]:
    """Return the arguments of the subcommand that the flags stand for; none when no flag was given.

    Raises UsageError for two commands at once, and for a detail without its command.
    """
    asked = [name for name in COMMANDS if given[name] not in {None, False}]
    if len(asked) > 1:
        raise UsageError(f"{COMMANDS[asked[0]]} and {COMMANDS[asked[1]]} are two commands; give one at a time")
    for detail, (typed, of) in DETAILS.items():
        if given[detail] is not None and of not in asked:
            raise UsageError(f"{typed}: belongs to {COMMANDS[of]}")
    return _arguments(asked[0], given) if asked else []


def carry_out(context: click.Context, arguments: list[str]) -> Any:
    """Run a subcommand with arguments as if they had been typed."""
    assert isinstance(context.command, click.Group)  # noqa: S101 - the program is a group
    name, *rest = arguments
    command = context.command.get_command(context, name)
    assert command is not None  # noqa: S101 - the names are those of `_arguments`
    with command.make_context(name, rest, parent=context) as inner:
        return command.invoke(inner)


def _arguments(name: str, given: Mapping[str, Any]) -> list[str]:
    value = given[name]
    if name == "execution_history":
        limit = [] if given["limit"] is None else ["--limit", given["limit"]]
        return ["execution", "history", *limit, *([] if value == _ALL else ["--", value])]
    if name == "suspend_schedule":
        return ["schedule", "suspend", "--reason", given["suspend_reason"] or "", "--", value]
    if name == "cleanup_executions":
        days = [] if given["cleanup_days"] is None else ["--days", given["cleanup_days"]]
        return ["execution", "cleanup", *days]
    plain = {
        "list_executions": ["execution", "list"],
        "emergency_stop": ["emergency-stop"],
        "schedule_stats": ["schedule", "stats", "--", value],
        "cancel_execution": ["execution", "cancel", "--", value],
        "resume_schedule": ["schedule", "resume", "--", value],
    }
    return plain[name]
