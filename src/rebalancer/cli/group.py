"""The program as a tree of commands; a command's module is imported only when it is asked for."""

import importlib
from typing import Any

import click

from rebalancer.cli import output
from rebalancer.cli.flags import carry_out, command_line, specification_flags
from rebalancer.cli.options import global_options
from rebalancer.errors import ExitCode, UsageError

#: section -> command -> its module, and the line that ``--help`` shows without importing it
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Look, change nothing": {
        "disks": ("disks", "How full every disk is."),
        "scan": ("scan", "What is on the disks, as units that can be moved."),
        "plan": ("plan", "Which units should move where."),
    },
    "Move": {
        "run": ("run", "Scan, plan and carry the plan out, recorded as an execution."),
    },
    "By itself": {
        "schedule": ("schedule", "Make, look at, change, run and suspend schedules."),
        "serve": ("serve", "The dashboard in a browser, and a clock that needs no cron."),
    },
    "Watch and control": {
        "execution": ("execution", "What runs, what ran and why; cancel it, clean up."),
        "access": ("access", "Who may use the dashboard: its password, tokens of programs."),
        "emergency-stop": ("emergency", "Stop everything at once, and keep it so if asked."),
    },
    "Try and set up": {
        "notify": ("notify", "Try out how you are told of what happens."),
        "demo": ("demo", "Balance a sample array in a temporary folder; keeps nothing."),
        "completion": ("completion", "Print the completion script of a shell."),
    },
}

EPILOG = """\
\b
Examples:
  unraid-rebalancer disks
  unraid-rebalancer plan --exclude-share appdata
  unraid-rebalancer run --from disk1 --max-runtime 6h --yes
  unraid-rebalancer --disk /mnt/a --disk /mnt/b run --strategy target --target-percent 85

\b
Exit codes:
  0    done, or nothing to do
  1    the work failed or partly failed
  2    wrong usage or configuration
  3    no such schedule, execution or file
  4    refused: not ours, not permitted, unreadable record
  75   not now: a guard or a lock holds it
  130  cancelled

Options before and after the command mean the same. No file is ever removed before its copy was read back and compared.
"""


class Program(click.Group):
    """Commands by section; global options mean the same before and after a command's name."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return [name for commands in SECTIONS.values() for name in commands]

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        for commands in SECTIONS.values():
            if cmd_name in commands:
                module = importlib.import_module(f"rebalancer.cli.{commands[cmd_name][0]}")
                command: click.Command = module.command
                return command
        return None

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, line) for name, (_module, line) in commands.items()])


@click.group(
    cls=Program, epilog=EPILOG, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@global_options
@specification_flags
@click.pass_context
def program(context: click.Context, /, **options: Any) -> Any:
    """Keep the disks of a NAS evenly filled: plan which folders should live where, and move them safely."""
    arguments = command_line(options)
    if arguments and context.invoked_subcommand is not None:
        raise UsageError(f"{context.invoked_subcommand} and a flag that is a command of its own; give one at a time")
    if context.invoked_subcommand is not None:
        return None
    if arguments:
        return carry_out(context, arguments)
    output.complain("no command was named")
    click.echo(context.get_help(), err=True)
    return ExitCode.WRONG_USAGE
