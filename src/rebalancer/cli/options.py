"""The global options, accepted before the subcommand, after it, or both; and how options are read at all."""

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from rebalancer.cli.session import Session
from rebalancer.errors import UsageError
from rebalancer.version import VERSION

C = TypeVar("C", bound=Callable[..., Any] | click.Command)
Decorator = Callable[[Any], Any]
Command = Callable[..., Any]


def global_options(command: C) -> C:
    """Add the global options to a command; their values land in the `Session`, in any order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def parsed(parse: Callable[..., Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return a callback that reads each text of an option with one function, which names the option when it refuses."""

    def read(_context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, tuple):
            return tuple(parse(text, field=option_name(parameter)) for text in value)
        return parse(value, field=option_name(parameter))

    return read


def is_typed(context: click.Context, name: str) -> bool:
    """Return whether the option of that name was typed on the command line."""
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def take_typed(options: dict[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """Take these options out of all of a command; return those that were typed."""
    context = click.get_current_context()
    taken = {name: options.pop(name) for name in fields}
    return {name: value for name, value in taken.items() if is_typed(context, name)}


def only_typed(command: Command, added: Sequence[Decorator], *, fields: Iterable[str], argument: str) -> Command:
    """Add options to a command, which receives as one argument those that were typed, by field."""

    @functools.wraps(command)
    def with_typed(*arguments: Any, **options: Any) -> Any:
        return command(*arguments, **{argument: take_typed(options, fields)}, **options)

    for option in reversed(added):
        with_typed = option(with_typed)
    return with_typed


def option_name(parameter: click.Parameter) -> str:
    """Return the option as it is typed, for sentences about it."""
    return parameter.opts[0]


def _disk(text: str, *, field: str) -> str:
    from rebalancer.schedules.written import disk  # not for --help

    return disk(text, field=field)


def file(text: str, *, field: str) -> Path:
    """Return the path of a file; whether it is there is looked at when it is opened."""
    if not text or "\0" in text:
        raise UsageError(f"{field}: name a file")
    return Path(text)


def file_option(*names: str, help: str) -> Decorator:  # noqa: A002 - click's own word
    """Return an option that names a file, completed by shells."""
    return click.option(*names, type=click.Path(), metavar="FILE", callback=parsed(file), help=help)


def _folder(text: str, *, field: str) -> Path:
    if not text:
        raise UsageError(f"{field}: name a folder")
    return Path(text)


def _root(text: str, *, field: str) -> Path:
    if not Path(text).is_dir() or not text:
        raise UsageError(f"{field}: {text!r} is not a folder")
    return Path(text)


def _flag(value: bool, *, field: str) -> bool:  # noqa: ARG001 - read like every other option
    return value


def _say_version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        click.echo(f"unraid-rebalancer {VERSION}")
        context.exit()


def _remembered(parse: Callable[..., Any]) -> Callable[[click.Context, click.Parameter, Any], None]:
    read = parsed(parse)

    def remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        session = context.ensure_object(Session)
        given = read(context, parameter, value)
        if parameter.multiple:
            session.disks.extend(given)
        elif given is not None and given is not False:  # an option that was not typed here may have been elsewhere
            setattr(session, str(parameter.name), given)

    return remember


def _global(*names: str, parse: Callable[..., Any], **attributes: Any) -> Decorator:
    return click.option(*names, callback=_remembered(parse), expose_value=False, **attributes)


_OPTIONS: tuple[Decorator, ...] = (
    _global("--config-dir", parse=_folder, type=click.Path(), metavar="DIR",
            help="Where settings and records are kept."),
    _global("--disk", "disks", parse=_disk, type=click.Path(), metavar="PATH", multiple=True,
            help="A disk of the array, instead of discovery; repeat for each."),
    _global("--root", parse=_root, type=click.Path(), metavar="DIR",
            help="Where Unraid's own files are looked up (default: /)."),
    _global("--json", "is_json", parse=_flag, is_flag=True, help="Print one JSON document and nothing else."),
    _global("--quiet", "is_quiet", parse=_flag, is_flag=True,
            help="Print nothing but errors, and JSON where asked for."),
    _global("-v", "--verbose", "is_verbose", parse=_flag, is_flag=True, help="Print every detail."),
    _global("--log-file", parse=file, type=click.Path(), metavar="FILE",
            help="Append a line per event to this file."),
    click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_say_version,
                 help="Print the version and end."),
)  # fmt: skip
