"""``plan --explain``: a plan told in words, disk by disk, with the reason for everything that stays."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rebalancer.cli import output
from rebalancer.planning.plan import LeftBehind, Plan, PlannedDisk
from rebalancer.planning.selection import Selection, Strategy
from rebalancer.quantities import format_size

NAMED = 20  # units of a disk that are named for one reason; the rest is counted

_GOALS = {
    Strategy.EVEN: "all disks equally full",
    Strategy.TARGET: "no disk above the target",
    Strategy.EVACUATE: "nothing left on the disks that give",
    Strategy.GATHER: "scattered folders on one disk each",
    Strategy.PACK: "as few disks in use as possible",
    Strategy.REPAIR: "every unit where the rules of its share allow it",
}


def explain_plan(plan: Plan, selection: Selection) -> None:
    """Print what the plan is after, how near it comes, and a paragraph for every disk."""
    for line in (*_overview(plan, selection), *(line for disk in plan.disks for line in _paragraph(plan, disk))):
        output.say(line)


def _overview(plan: Plan, selection: Selection) -> Iterator[str]:
    yield ""
    yield f"Goal: {_GOALS[selection.strategy]}, for the fewest bytes moved."
    if plan.lower_bound_bytes:
        yield (
            f"No plan that ends as well moves less than {format_size(plan.lower_bound_bytes)};"
            f" this one moves {format_size(plan.bytes_to_move)}, {plan.excess_percent:.2f} % more."
        )
    if plan.moves:
        waves = len({move.wave for move in plan.moves})
        yield f"The moves form {output.count(waves, 'wave')}; moves of one wave that share no disk may run side by side."


def _paragraph(plan: Plan, disk: PlannedDisk) -> Iterator[str]:
    yield ""
    yield f"{disk.name}: {_percent(disk, disk.used_bytes)} → {_percent(disk, disk.planned_used_bytes)}" + (
        f"; {format_size(disk.reserve_bytes)} stay free at every moment" if disk.reserve_bytes else ""
    )
    yield from (f"  {line}" for line in _traffic(plan, disk.name))
    yield from (f"  {line}" for line in _staying([left for left in plan.left_behind if left.disk == disk.name]))


def _traffic(plan: Plan, disk: str) -> Iterator[str]:
    given, received = Counter[str](), Counter[str]()
    for move in plan.moves:
        if move.source == disk:
            given[move.destination] += move.size_bytes
        if move.destination == disk:
            received[move.source] += move.size_bytes
    for verb, word, amounts in (("gives", "to", given), ("receives", "from", received)):
        if amounts:
            listed = ", ".join(f"{format_size(size)} {word} {other}" for other, size in amounts.most_common())
            yield f"{verb} {listed}"
    if not given and not received:
        yield "nothing moves from or to it"


def _staying(left: Sequence[LeftBehind]) -> Iterator[str]:
    reasons: dict[str, list[LeftBehind]] = {}
    for item in left:
        reasons.setdefault(item.reason, []).append(item)
    for reason, items in reasons.items():
        named = [item for item in items if item.path]
        if not named:
            yield reason
            continue
        yield f"{output.count(len(named), 'unit')} left behind: {reason}"
        yield from (f"  {_unit(item)}" for item in named[:NAMED])
        if len(named) > NAMED:
            yield f"  … and {len(named) - NAMED:,} more"


def _unit(item: LeftBehind) -> str:
    return f"{item.path} ({format_size(item.size_bytes)})" if item.size_bytes else item.path


def _percent(disk: PlannedDisk, used: int) -> str:
    return f"{100 * used / disk.size_bytes:.1f} %" if disk.size_bytes else "no size"
