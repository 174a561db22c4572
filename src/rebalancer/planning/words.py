"""A plan in sentences: what becomes of each disk, how near the bound it is, and what stays and why."""

from collections.abc import Iterable, Sequence

from rebalancer.names import display
from rebalancer.planning.plan import LeftBehind, Move, Plan, PlannedDisk
from rebalancer.quantities import format_size

_NAMED = 20  # units that are named for each disk; the others are counted


def explain(plan: Plan) -> tuple[str, ...]:
    """Return the sentences of `plan --explain`: the whole first, then disk by disk."""
    shown = {disk.name for disk in plan.disks}
    absent = (f"{display(row.disk)} {row.reason}." for row in plan.left_behind if row.disk not in shown)
    return (*_whole(plan), *(line for disk in plan.disks for line in _disk(plan, disk)), *absent)


def _whole(plan: Plan) -> Iterable[str]:
    yield f"{_count(plan.moves)} move {format_size(plan.bytes_to_move)}; the spread goes from {plan.spread_before:.2f} to {plan.spread_after:.2f} points."
    if plan.lower_bound_bytes:
        yield (
            f"If units were divisible, {format_size(plan.lower_bound_bytes)} would have to move: "
            f"the plan is {plan.excess_percent:.2f} % above that."
        )
    if plan.coarseness:
        yield f"The tolerance is missed: {plan.coarseness}."


def _disk(plan: Plan, disk: PlannedDisk) -> Iterable[str]:
    name = display(disk.name)
    gives = [move for move in plan.moves if move.source == disk.name]
    receives = [move for move in plan.moves if move.destination == disk.name]
    ends = f"{_percent(disk, disk.planned_used_bytes)} full"
    if not gives and not receives:
        yield f"{name} stays as it is, {ends}."
    else:
        parts = [*_part("gives", gives), *_part("receives", receives)]
        yield f"{name} was {_percent(disk, disk.used_bytes)} full, {' and '.join(parts)}, and ends {ends}."
    left = [row for row in plan.left_behind if row.disk == disk.name]
    yield from (_left(row) for row in left[:_NAMED])
    if len(left) > _NAMED:
        yield f"  and {len(left) - _NAMED:,} more stay on {name}."


def _part(verb: str, moves: Sequence[Move]) -> Iterable[str]:
    if moves:
        yield f"{verb} {_count(moves)} ({format_size(sum(move.size_bytes for move in moves))})"


def _left(row: LeftBehind) -> str:
    return f"  {display(row.path)} stays: {row.reason}." if row.path else f"  {row.reason}."


def _count(moves: Sequence[Move]) -> str:
    return "1 unit" if len(moves) == 1 else f"{len(moves):,} units"


def _percent(disk: PlannedDisk, used: int) -> str:
    return f"{100 * used / disk.size_bytes:.1f} %" if disk.size_bytes else "0.0 %"
