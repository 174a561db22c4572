"""The options that say which guards may hold the work, and from which value on: shared by run and schedules."""

import functools
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from rebalancer import quantities
from rebalancer.cli.options import Command, Decorator, only_typed, parsed
from rebalancer.errors import UsageError
from rebalancer.guards.options import NAMES as GUARDS
from rebalancer.guards.options import GuardOptions

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


def _guard(text: str, *, field: str) -> str:
    if text not in GUARDS:
        raise UsageError(f"{field}: {text!r} is no guard; there are {', '.join(GUARDS)}")
    return text


def _complete_guard(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in GUARDS if name.startswith(begun)]


def _in_range(name: str, parse: Callable[..., float]) -> Callable[..., float]:
    def parse_in_range(text: str, *, field: str) -> float:
        from rebalancer.schedules import validation  # which knows the time zones too: not for --help

        value = parse(text, field=field)
        validation.check_range(name, value, called=field)
        return value

    return parse_in_range


def _number(text: str, *, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"{field}: {text!r} is not a number")
    return int(text)


def _degrees(text: str, *, field: str) -> int:
    """Return whole degrees Celsius, from ``45``, ``45C`` or ``45 °C``."""
    return _number(text.strip().removesuffix("C").removesuffix("°").strip(), field=field)


def _option(name: str, metavar: str, parse: Callable[..., float], help: str) -> Decorator:  # noqa: A002 - click's own word
    return click.option(
        f"--{name.replace('_', '-')}", name, metavar=metavar, callback=parsed(_in_range(name, parse)), help=help
    )


_OPTIONS: tuple[Decorator, ...] = (
    click.option("--ignore-guard", "ignored", metavar="NAME", callback=parsed(_guard), multiple=True,
                 shell_complete=_complete_guard,
                 help=f"Do not let this hold the work; repeatable: {', '.join(GUARDS)}."),
    _option("max_temperature", "CELSIUS", _degrees, "Pause while a disk is hotter (default: the host's own limits)."),
    _option("cool_down", "DEGREES", _degrees, "Go on when it is that much below the limit (default: 3)."),
    _option("max_cpu", "PERCENT", quantities.parse_percent, "Pause while others use more of all processors."),
    _option("min_memory", "SIZE", quantities.parse_size, "Pause while less memory is available."),
    _option("max_disk_activity", "RATE", quantities.parse_rate, "Pause while others use one of the disks more."),
    _option("max_streams", "N", _number, "Pause while others have more files of the disks open."),
)  # fmt: skip
