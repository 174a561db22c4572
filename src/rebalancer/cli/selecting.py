"""The selection options that plan and run share: read, checked against each other, and made one `Selection`."""

import functools
import math
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

import click

from rebalancer import names, quantities
from rebalancer.cli.options import Command, Decorator, disk, is_typed, only_typed, option_name, parsed
from rebalancer.errors import UsageError
from rebalancer.planning.selection import MOST_MOVES_AT_ONCE, Selection, Strategy, Verification

DEEPEST_UNIT = 64
NAMES = frozenset(Selection.__struct_fields__)  # every option of the selection is named after its field


def selection_options(command: Command) -> Command:
    """Add the options to a command, which receives the checked result as ``selection``."""

    @functools.wraps(command)
    def with_selection(*arguments: Any, **options: Any) -> Any:
        chosen = {name: options.pop(name) for name in NAMES}
        return command(*arguments, selection=build(chosen), **options)

    for option in reversed(_OPTIONS):
        with_selection = option(with_selection)
    return with_selection


def selection_changes(command: Command) -> Command:
    """Add the same options to a command, which receives as ``selection`` only those that were typed, by field.

    What was there before decides the rest, so they are checked against each other where both come together.
    """
    return only_typed(command, _OPTIONS, fields=NAMES, argument="selection")


def build(options: Mapping[str, Any]) -> Selection:
    """Return the selection of these options; raises UsageError for options that contradict each other."""
    given = {name: value for name, value in options.items() if value not in {None, ()}}
    _check_strategy(given)
    largest = given.get("max_unit_size")
    if largest is not None and largest < given.get("min_unit_size", 0):
        raise UsageError("--max-unit-size: is smaller than --min-unit-size, so no unit would fit")
    if overlap := set(given.get("shares", ())) & set(given.get("exclude_shares", ())):
        raise UsageError(f"--exclude-share: {min(overlap)!r} is also named by --share")
    return Selection(**given)


def _check_strategy(given: Mapping[str, Any]) -> None:
    strategy = given["strategy"]
    if strategy is not Strategy.TARGET and "target_percent" in given:
        raise UsageError("--target-percent: only --strategy target has a target")
    if strategy is not Strategy.GATHER and "paths" in given:
        raise UsageError("--path: only --strategy gather brings folders together")
    if strategy is Strategy.GATHER and "paths" not in given:
        raise UsageError("--strategy gather: name the folders that should come together with --path")
    if strategy is Strategy.EVACUATE and "from_disks" not in given:
        raise UsageError("--strategy evacuate: name the disks that should end empty with --from")


def typed_option(context: click.Context, parameters: Collection[str]) -> str:
    """Return the first of these options that was typed on the command line, as it was typed; nothing when none was."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in parameters and is_typed(context, name):
            return option_name(parameter)
    return ""


def _strategy(text: str, *, field: str) -> Strategy:  # noqa: ARG001 - click has checked the words
    return Strategy(text)


def _verification(text: str, *, field: str) -> Verification:  # noqa: ARG001 - click has checked the words
    return Verification(text)


def _target(text: str, *, field: str) -> float:
    percent = quantities.parse_percent(text, field=field)
    if percent < 1:
        raise UsageError(f"{field}: {text!r} is not a percentage from 1 to 100")
    return percent


def _points(text: str, *, field: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = math.nan
    if not 0 <= points <= 100:
        raise UsageError(f"{field}: {text!r} is not a number of percentage points from 0 to 100")
    return points


def _some(parse: Callable[..., int]) -> Callable[..., int]:
    def parse_some(text: str, *, field: str) -> int:
        value = parse(text, field=field)
        if value == 0:
            raise UsageError(f"{field}: {text!r} leaves nothing to do; leave it out for no limit")
        return value

    return parse_some


def _depth(text: str, *, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and 0 <= int(text) <= DEEPEST_UNIT):
        raise UsageError(f"{field}: {text!r} is not a number of folders from 0 to {DEEPEST_UNIT}")
    return int(text)


def _moves_at_once(text: str, *, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 2 and 1 <= int(text) <= MOST_MOVES_AT_ONCE):
        raise UsageError(f"{field}: {text!r} is not a number from 1 to {MOST_MOVES_AT_ONCE}")
    return int(text)


def _reserve(text: str, *, field: str) -> str:
    quantities.parse_reserve(text, field=field)
    return text


def _share(text: str, *, field: str) -> str:
    if not text or "/" in text or text in {".", ".."}:
        raise UsageError(f"{field}: {text!r} is not a share; a share is a top-level folder such as movies")
    return _as_listed(text)


def _path(text: str, *, field: str) -> str:
    path = text.strip("/") if text.strip("/") else text
    if not names.is_inside(os.fsencode(path)):
        raise UsageError(f"{field}: {text!r} is not a folder below the disks, such as tv/Some Series")
    return _as_listed(path)


def _glob(text: str, *, field: str) -> str:
    if not text:
        raise UsageError(f"{field}: an empty pattern matches nothing")
    return _as_listed(text)


def _as_listed(text: str) -> str:
    """Return what was typed the way inventories write names, so that names that are not UTF-8 can be chosen too."""
    return names.encode(os.fsencode(text))[0]


unit_depth_option: Decorator = click.option("--unit-depth", metavar="N", callback=parsed(_depth), default="1", show_default=True,
                 help="Folders below the share whose content stays together.")  # fmt: skip
_OPTIONS: tuple[Decorator, ...] = (
    click.option("--strategy", type=click.Choice([kind.value for kind in Strategy]), default="even",
                 callback=parsed(_strategy),
                 help="even: all disks equally full (default); target: no disk fuller than --target-percent; "
                      "evacuate: the --from disks end empty; gather: each --path ends on one disk; "
                      "pack: as few disks as possible hold everything; repair: in line with the rules of the shares."),
    click.option("--target-percent", metavar="PERCENT", callback=parsed(_target), help="With --strategy target (default: 80)."),
    click.option("--tolerance", metavar="POINTS", callback=parsed(_points), default="1", show_default=True,
                 help="Percentage points between the fullest and the emptiest disk that are good enough."),
    click.option("--from", "from_disks", metavar="DISK", callback=parsed(disk), multiple=True,
                 help="A disk that may give, by name or path; repeatable (default: all)."),
    click.option("--to", "to_disks", metavar="DISK", callback=parsed(disk), multiple=True,
                 help="A disk that may receive, by name or path; repeatable (default: all)."),
    click.option("--path", "paths", metavar="PATH", callback=parsed(_path), multiple=True,
                 help="With --strategy gather: a folder to bring together, such as tv/Some Series; repeatable."),
    click.option("--share", "shares", metavar="SHARE", callback=parsed(_share), multiple=True,
                 help="Move only from this share; repeatable."),
    click.option("--exclude-share", "exclude_shares", metavar="SHARE", callback=parsed(_share), multiple=True,
                 help="Leave this share alone; repeatable."),
    click.option("--exclude", metavar="GLOB", callback=parsed(_glob), multiple=True,
                 help="Leave alone what matches, by path or last name; repeatable."),
    unit_depth_option,
    click.option("--min-unit-size", metavar="SIZE", callback=parsed(quantities.parse_size), help="Leave smaller units where they are."),
    click.option("--max-unit-size", metavar="SIZE", callback=parsed(_some(quantities.parse_size)),
                 help="Leave larger units where they are."),
    click.option("--min-age", metavar="TIME", callback=parsed(quantities.parse_duration),
                 help="Leave alone what changed more recently, such as 30m or 2d (default: 0)."),
    click.option("--reserve", metavar="SIZE|PERCENT", callback=parsed(_reserve), help="Space to leave free on every disk."),
    click.option("--max-bytes", metavar="SIZE", callback=parsed(_some(quantities.parse_size)), help="Move at most this much."),
    click.option("--max-runtime", metavar="TIME", callback=parsed(_some(quantities.parse_duration)),
                 help="Stop cleanly after this time."),
    click.option("--bandwidth-limit", metavar="RATE", callback=parsed(quantities.parse_rate),
                 help="Copy at most so much, all moves together, such as 50MB/s; verifying reads as fast as it may."),
    click.option("--moves-at-once", metavar="NUMBER", callback=parsed(_moves_at_once),
                 help="How many moves may be under way on different disks (default: 1 with parity, else 2 to 4)."),
    click.option("--verify", type=click.Choice([kind.value for kind in Verification]), default="full",
                 callback=parsed(_verification),
                 help="full: read both sides again from the medium (default); fast: only the copy."),
)  # fmt: skip
