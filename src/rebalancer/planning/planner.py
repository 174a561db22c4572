"""From an inventory and a selection to a plan: looks at what may move, lets the strategy draw, says what stays."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from rebalancer.errors import UsageError
from rebalancer.inventory.unit import Inventory
from rebalancer.planning.board import Board
from rebalancer.planning.capacity import reserve_of
from rebalancer.planning.document import check_plan
from rebalancer.planning.explain import best_spread, coarseness, explain_limit, explain_shortfall
from rebalancer.planning.layout import Layout
from rebalancer.planning.left_behind import Remainder
from rebalancer.planning.limits import Constraints
from rebalancer.planning.order import cut_to_limit, waves_of
from rebalancer.planning.plan import Move, Plan, PlannedDisk
from rebalancer.planning.selection import Selection, Strategy
from rebalancer.planning.settling import joined, outcome
from rebalancer.planning.sifting import sift
from rebalancer.planning.situation import Situation, Step, spread_of
from rebalancer.planning.strategies.approach import Approach
from rebalancer.planning.strategies.evacuate import EVACUATE
from rebalancer.planning.strategies.even import EVEN, feasible
from rebalancer.planning.strategies.even import is_reached as is_even
from rebalancer.planning.strategies.gather import GATHER, check_paths, explain_absent
from rebalancer.planning.strategies.pack import PACK
from rebalancer.planning.strategies.repair import REPAIR
from rebalancer.planning.strategies.target import TARGET

Patience = Callable[[], bool]

_ROUNDS = 8  # of planning on from where a plan ends

APPROACHES: Mapping[Strategy, Approach] = MappingProxyType(
    {
        Strategy.EVEN: EVEN,
        Strategy.TARGET: TARGET,
        Strategy.EVACUATE: EVACUATE,
        Strategy.GATHER: GATHER,
        Strategy.PACK: PACK,
        Strategy.REPAIR: REPAIR,
    }
)


def make_plan(
    inventory: Inventory,
    selection: Selection,
    constraints: Constraints = Constraints(),  # noqa: B008 - frozen
    *,
    patience: Patience | None = None,
) -> Plan:
    """Return the plan for what a scan found; the same input gives the same plan, in whatever order the units come.

    Every move finds room for its unit above the reserve of its destination when the moves before it are done.
    A unit of which somebody has a file open for writing would be torn apart, so it moves only when the goal
    cannot be reached without it. Raises UsageError for a selection or an inventory that makes no sense,
    RefusedError for a named disk that cannot be used.
    """
    request = _Request(inventory, selection, constraints, patience or _never)
    _check(inventory, selection)
    plan, is_reached = _attempt(request, spares_use=True)
    if not is_reached and any(unit.in_use for unit in inventory.units):
        plan, _ = _attempt(request, spares_use=False)
    check_plan(plan)  # an inventory may come from a file as well
    return plan


@dataclass(frozen=True, slots=True)
class _Request:
    inventory: Inventory
    selection: Selection
    constraints: Constraints
    is_over: Patience


def _never() -> bool:
    return False


def _attempt(request: _Request, *, spares_use: bool) -> tuple[Plan, bool]:
    """Return a plan and whether it reaches the goal."""
    remainder = Remainder()
    approach = APPROACHES[request.selection.strategy]
    situation = _sifted(request, remainder, spares_use=spares_use)
    drawn = approach.draw(situation, request.is_over)
    if approach is EVEN:
        drawn = _settled(request, situation, drawn, spares_use=spares_use)
    kept = _within_limit(situation, approach, drawn)
    board = Board(situation)
    for step in kept:
        board.take(step)
    explain_absent(request.inventory, situation, remainder)
    explain_limit(situation, drawn[len(kept) :], remainder)
    is_reached = approach.is_reached(board)
    if not is_reached:
        explain_shortfall(board, drawn[len(kept) :], approach.ceilings(board), remainder)
    return _plan(request, board, approach, remainder), is_reached


def _sifted(request: _Request, remainder: Remainder, *, spares_use: bool) -> Situation:
    return sift(request.inventory, request.selection, remainder, request.constraints, spares_use=spares_use)


def _settled(request: _Request, situation: Situation, steps: list[Step], *, spares_use: bool) -> list[Step]:
    """Go on from where steps end that miss the tolerance, until that finds nothing more."""
    for _ in range(_ROUNDS):
        reached = Layout(situation, steps).used
        if not steps or is_even(situation, reached):
            break
        after = outcome(request.inventory, situation, steps)
        later = _sifted(replace(request, inventory=after), Remainder(), spares_use=spares_use)
        both = feasible(Layout(situation, joined(situation, steps, later, EVEN.draw(later, request.is_over))))
        if spread_of(situation.disks, Layout(situation, both).used) >= spread_of(situation.disks, reached):
            break
        steps = both
    return steps


def _plan(request: _Request, board: Board, approach: Approach, remainder: Remainder) -> Plan:
    situation = board.situation
    moved = sum(board.unit(step).size_bytes for step in board.steps)
    bound = min(moved, approach.least_bytes(board))
    return Plan(
        strategy=request.selection.strategy.value,
        disks=_planned_disks(request, board),
        moves=_moves(board),
        bytes_to_move=moved,
        lower_bound_bytes=bound,
        spread_before=spread_of(situation.disks, situation.used()),
        spread_after=spread_of(situation.disks, board.used),
        left_behind=remainder.rows(),
        excess_percent=100 * (moved / bound - 1) if bound else 0.0,
        best_spread=best_spread(situation),
        coarseness=coarseness(board),
    )


def _check(inventory: Inventory, selection: Selection) -> None:
    if not 0 <= selection.target_percent <= 100:
        raise UsageError(f"the target of {selection.target_percent:g} % is not a percentage from 0 to 100")
    if not (math.isfinite(selection.tolerance) and selection.tolerance >= 0):
        raise UsageError(f"the tolerance of {selection.tolerance:g} points must be 0 or more")
    if selection.strategy is Strategy.EVACUATE and not selection.from_disks:
        raise UsageError("evacuate needs to know which disks to empty: name them with --from")
    if (selection.strategy is Strategy.GATHER) != bool(selection.paths):
        raise UsageError("gather needs the folders to bring together, and only gather takes any: name them with --path")
    check_paths(inventory, selection.paths)
    if selection.max_bytes is not None and selection.max_bytes < 0:
        raise UsageError("the limit of bytes for this run cannot be negative")


def _within_limit(situation: Situation, approach: Approach, drawn: Sequence[Step]) -> Sequence[Step]:
    limit = situation.selection.max_bytes
    if limit is None:
        return drawn
    return cut_to_limit(situation, drawn, limit, lambda used: approach.measure(situation, used))


def _planned_disks(request: _Request, board: Board) -> tuple[PlannedDisk, ...]:
    """Return every disk that can be used, those that take no part unchanged."""
    planned = {disk.name: used for disk, used in zip(board.situation.disks, board.used, strict=True)}
    return tuple(
        PlannedDisk(
            name=disk.name,
            path=disk.path,
            size_bytes=disk.size_bytes,
            used_bytes=disk.used_bytes,
            planned_used_bytes=planned.get(disk.name, disk.used_bytes),
            reserve_bytes=reserve_of(disk, request.selection, request.constraints),
        )
        for disk in request.inventory.disks
        if disk.is_usable
    )


def _moves(board: Board) -> tuple[Move, ...]:
    """Return a move for every unit; those that are kept together follow each other."""
    situation = board.situation
    pairs = [(situation.disks[step.source].name, situation.disks[step.destination].name) for step in board.steps]
    return tuple(
        Move(
            share=unit.share,
            path=unit.path,
            size_bytes=unit.size_bytes,
            files=unit.files,
            source=source,
            destination=destination,
            path_base64=unit.path_base64,
            kind=unit.kind,
            also=unit.also,
            wave=wave,
            floor_bytes=situation.floor_of(unit, step.destination) if situation.floors else 0,
        )
        for step, wave, (source, destination) in zip(board.steps, waves_of(pairs), pairs, strict=True)
        for unit in situation.units_of(step.source, step.unit)
    )
