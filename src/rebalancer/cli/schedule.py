"""``schedule``: the group of everything that is done with schedules; a command is imported only when it is asked for."""

import importlib
from typing import Any

import click

from rebalancer.cli import output
from rebalancer.cli.options import global_options
from rebalancer.errors import ExitCode

#: command -> its module, and the line that ``--help`` shows without importing it
COMMANDS: dict[str, tuple[str, str]] = {
    "create": ("schedule_changing", "Make a schedule, from a template or from scratch."),
    "list": ("schedule_looking", "All schedules: when they run next, and what keeps them from it."),
    "show": ("schedule_looking", "One schedule with all its options."),
    "edit": ("schedule_changing", "Change the options that are named; the others stay."),
    "delete": ("schedule_changing", "Remove a schedule; the records of its executions stay."),
    "enable": ("schedule_changing", "Let a schedule fire again."),
    "disable": ("schedule_changing", "Keep a schedule without firing it."),
    "run": ("schedule_running", "Run a schedule now."),
    "suspend": ("schedule_running", "Stop its execution and keep it from firing, with a reason."),
    "resume": ("schedule_running", "End a suspension."),
    "next": ("schedule_looking", "Which schedule fires when."),
    "stats": ("schedule_figures", "What the executions of a schedule amount to."),
    "cron": ("schedule_changing", "Give cron the lines of all schedules again."),
    "health": ("schedule_health", "Which schedules do what they should."),
}

EPILOG = """\
\b
Examples:
  unraid-rebalancer schedule create --template nightly
  unraid-rebalancer schedule create weekend --at 06:00 --on sat --on sun --active-hours 06:00-23:00
  unraid-rebalancer --disk /mnt/a --disk /mnt/b schedule create --template above --above-percent 85
  unraid-rebalancer schedule edit nightly --max-runtime 5h
  unraid-rebalancer schedule suspend nightly --reason "new disk" --until 3d
"""


class Schedules(click.Group):
    """Its commands live in several modules."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"rebalancer.cli.{COMMANDS[cmd_name][0]}")
        found: click.Command = module.COMMANDS[cmd_name]
        return found

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_module, line) in COMMANDS.items()])


@click.group("schedule", cls=Schedules, epilog=EPILOG, invoke_without_command=True)
@global_options
@click.pass_context
def command(context: click.Context, /, **_options: Any) -> ExitCode | None:
    """Let the work be done by itself: at which times, on which disks, with which options."""
    if context.invoked_subcommand is not None:
        return None
    output.complain("no command was named")
    click.echo(context.get_help(), err=True)
    return ExitCode.WRONG_USAGE
