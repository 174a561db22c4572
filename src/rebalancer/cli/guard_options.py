"""The options that say which guards may hold the work, and from which value on: shared by run and schedules."""

import functools
from typing import Any

import click
from click.shell_completion import CompletionItem

from rebalancer.cli.options import Command, Decorator, only_typed, parsed
from rebalancer.guards.options import NAMES as GUARDS
from rebalancer.guards.options import GuardOptions
from rebalancer.schedules.written import GUARD

NAMES = GuardOptions.__struct_fields__  # every option is named after its field; --ignore-guard sets ``ignored``


def guard_options(command: Command) -> Command:
    """Add the options to a command, which receives the checked result as ``guards``."""

    @functools.wraps(command)
    def with_guards(*arguments: Any, guards: dict[str, Any], **options: Any) -> Any:
        return command(*arguments, guards=GuardOptions(**guards), **options)

    return guard_changes(with_guards)


def guard_changes(command: Command) -> Command:
    """Add the same options to a command, which receives as ``guards`` only those that were typed, by field."""
    return only_typed(command, _OPTIONS, fields=NAMES, argument="guards")


def _complete_guard(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in GUARDS if name.startswith(begun)]


def _option(name: str, metavar: str, help: str) -> Decorator:  # noqa: A002 - click's own word
    return click.option(f"--{name.replace('_', '-')}", name, metavar=metavar, callback=parsed(GUARD[name]), help=help)


_OPTIONS: tuple[Decorator, ...] = (
    click.option("--ignore-guard", "ignored", metavar="NAME", callback=parsed(GUARD["ignored"]), multiple=True,
                 shell_complete=_complete_guard,
                 help=f"Do not let this hold the work; repeatable: {', '.join(GUARDS)}."),
    _option("max_temperature", "CELSIUS", "Pause while a disk is hotter (default: the host's own limits)."),
    _option("cool_down", "DEGREES", "Go on when it is that much below the limit (default: 3)."),
    _option("max_cpu", "PERCENT", "Pause while others use more of all processors."),
    _option("min_memory", "SIZE", "Pause while less memory is available."),
    _option("max_disk_activity", "RATE", "Pause while others use one of the disks more."),
    _option("max_streams", "N", "Pause while others have more files of the disks open."),
)  # fmt: skip
