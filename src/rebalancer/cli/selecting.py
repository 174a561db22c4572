"""The selection options that plan and run share: read, checked against each other, and made one `Selection`."""

import functools
from collections.abc import Collection
from typing import Any

import click

from rebalancer.cli.options import Command, Decorator, is_typed, only_typed, option_name, parsed
from rebalancer.planning.selection import Selection, Strategy, Verification
from rebalancer.schedules.written import SELECTION, selection_of

NAMES = frozenset(Selection.__struct_fields__)  # every option of the selection is named after its field


def selection_options(command: Command) -> Command:
    """Add the options to a command, which receives the checked result as ``selection``."""

    @functools.wraps(command)
    def with_selection(*arguments: Any, **options: Any) -> Any:
        chosen = {name: options.pop(name) for name in NAMES}
        return command(*arguments, selection=selection_of(chosen), **options)

    for option in reversed(_OPTIONS):
        with_selection = option(with_selection)
    return with_selection


def selection_changes(command: Command) -> Command:
    """Add the same options to a command, which receives as ``selection`` only those that were typed, by field.

    What was there before decides the rest, so they are checked against each other where both come together.
    """
    return only_typed(command, _OPTIONS, fields=NAMES, argument="selection")


def typed_option(context: click.Context, parameters: Collection[str]) -> str:
    """Return the first of these options that was typed on the command line, as it was typed; nothing when none was."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in parameters and is_typed(context, name):
            return option_name(parameter)
    return ""


unit_depth_option: Decorator = click.option("--unit-depth", metavar="N", callback=parsed(SELECTION["unit_depth"]), default="1", show_default=True,
                 help="Folders below the share whose content stays together.")  # fmt: skip
_OPTIONS: tuple[Decorator, ...] = (
    click.option("--strategy", type=click.Choice([kind.value for kind in Strategy]), default="even",
                 callback=parsed(SELECTION["strategy"]),
                 help="even: all disks equally full (default); target: no disk fuller than --target-percent; "
                      "evacuate: the --from disks end empty; gather: each --path ends on one disk; "
                      "pack: as few disks as possible hold everything; repair: in line with the rules of the shares."),
    click.option("--target-percent", metavar="PERCENT", callback=parsed(SELECTION["target_percent"]), help="With --strategy target (default: 80)."),
    click.option("--tolerance", metavar="POINTS", callback=parsed(SELECTION["tolerance"]), default="1", show_default=True,
                 help="Percentage points between the fullest and the emptiest disk that are good enough."),
    click.option("--from", "from_disks", metavar="DISK", callback=parsed(SELECTION["from_disks"]), multiple=True,
                 help="A disk that may give, by name or path; repeatable (default: all)."),
    click.option("--to", "to_disks", metavar="DISK", callback=parsed(SELECTION["to_disks"]), multiple=True,
                 help="A disk that may receive, by name or path; repeatable (default: all)."),
    click.option("--path", "paths", metavar="PATH", callback=parsed(SELECTION["paths"]), multiple=True,
                 help="With --strategy gather: a folder to bring together, such as tv/Some Series; repeatable."),
    click.option("--share", "shares", metavar="SHARE", callback=parsed(SELECTION["shares"]), multiple=True,
                 help="Move only from this share; repeatable."),
    click.option("--exclude-share", "exclude_shares", metavar="SHARE", callback=parsed(SELECTION["exclude_shares"]), multiple=True,
                 help="Leave this share alone; repeatable."),
    click.option("--exclude", metavar="GLOB", callback=parsed(SELECTION["exclude"]), multiple=True,
                 help="Leave alone what matches, by path or last name; repeatable."),
    unit_depth_option,
    click.option("--min-unit-size", metavar="SIZE", callback=parsed(SELECTION["min_unit_size"]), help="Leave smaller units where they are."),
    click.option("--max-unit-size", metavar="SIZE", callback=parsed(SELECTION["max_unit_size"]),
                 help="Leave larger units where they are."),
    click.option("--min-age", metavar="TIME", callback=parsed(SELECTION["min_age"]),
                 help="Leave alone what changed more recently, such as 30m or 2d (default: 0)."),
    click.option("--reserve", metavar="SIZE|PERCENT", callback=parsed(SELECTION["reserve"]), help="Space to leave free on every disk."),
    click.option("--max-bytes", metavar="SIZE", callback=parsed(SELECTION["max_bytes"]), help="Move at most this much."),
    click.option("--max-runtime", metavar="TIME", callback=parsed(SELECTION["max_runtime"]),
                 help="Stop cleanly after this time."),
    click.option("--bandwidth-limit", metavar="RATE", callback=parsed(SELECTION["bandwidth_limit"]),
                 help="Copy at most so much, all moves together, such as 50MB/s; verifying reads as fast as it may."),
    click.option("--moves-at-once", metavar="NUMBER", callback=parsed(SELECTION["moves_at_once"]),
                 help="How many moves may be under way on different disks (default: 1 with parity, else 2 to 4)."),
    click.option("--verify", type=click.Choice([kind.value for kind in Verification]), default="full",
                 callback=parsed(SELECTION["verify"]),
                 help="full: read both sides again from the medium (default); fast: only the copy."),
)  # fmt: skip
