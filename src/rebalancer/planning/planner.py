"""From an inventory and a selection to a plan: looks at what may move, lets the strategy draw, says what stays."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from rebalancer.errors import UsageError
from rebalancer.inventory.unit import Inventory
from rebalancer.planning.board import Board
from rebalancer.planning.capacity import reserve_of
from rebalancer.planning.document import check_plan
from rebalancer.planning.explain import explain_limit, explain_shortfall
from rebalancer.planning.left_behind import Remainder
from rebalancer.planning.limits import Constraints
from rebalancer.planning.order import cut_to_limit
from rebalancer.planning.plan import Move, Plan, PlannedDisk
from rebalancer.planning.selection import Selection, Strategy
from rebalancer.planning.sifting import sift
from rebalancer.planning.situation import Situation, Step, spread_of
from rebalancer.planning.strategies.approach import Approach
from rebalancer.planning.strategies.even import EVEN
from rebalancer.planning.strategies.target import TARGET

Patience = Callable[[], bool]

APPROACHES: Mapping[Strategy, Approach] = MappingProxyType({Strategy.EVEN: EVEN, Strategy.TARGET: TARGET})


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
    del constraints, patience  # not looked at yet
    _check(selection)
    plan, is_reached = _attempt(inventory, selection, spares_use=True)
    if not is_reached and any(unit.in_use for unit in inventory.units):
        plan, _ = _attempt(inventory, selection, spares_use=False)
    check_plan(plan)  # an inventory may come from a file as well
    return plan


def _attempt(inventory: Inventory, selection: Selection, *, spares_use: bool) -> tuple[Plan, bool]:
    """Return a plan and whether it reaches the goal."""
    remainder = Remainder()
    situation = sift(inventory, selection, remainder, spares_use=spares_use)
    approach = APPROACHES[selection.strategy]
    drawn = approach.draw(situation)
    kept = _within_limit(situation, approach, drawn)
    board = Board(situation)
    for step in kept:
        board.take(step)
    explain_limit(situation, drawn[len(kept) :], remainder)
    is_reached = approach.is_reached(situation, board.used)
    if not is_reached:
        explain_shortfall(board, drawn[len(kept) :], approach.ceilings(situation, board.used), remainder)
    plan = Plan(
        strategy=selection.strategy.value,
        disks=_planned_disks(inventory, selection, board),
        moves=tuple(_move(situation, step) for step in kept),
        bytes_to_move=sum(board.unit(step).size_bytes for step in kept),
        lower_bound_bytes=approach.least_bytes(situation, board.used),
        spread_before=spread_of(situation.disks, situation.used()),
        spread_after=spread_of(situation.disks, board.used),
        left_behind=remainder.rows(),
    )
    return plan, is_reached


def _check(selection: Selection) -> None:
    if not 0 <= selection.target_percent <= 100:
        raise UsageError(f"the target of {selection.target_percent:g} % is not a percentage from 0 to 100")
    if not (math.isfinite(selection.tolerance) and selection.tolerance >= 0):
        raise UsageError(f"the tolerance of {selection.tolerance:g} points must be 0 or more")
    if selection.max_bytes is not None and selection.max_bytes < 0:
        raise UsageError("the limit of bytes for this run cannot be negative")


def _within_limit(situation: Situation, approach: Approach, drawn: Sequence[Step]) -> Sequence[Step]:
    limit = situation.selection.max_bytes
    if limit is None:
        return drawn
    return cut_to_limit(situation, drawn, limit, lambda used: approach.measure(situation, used))


def _planned_disks(inventory: Inventory, selection: Selection, board: Board) -> tuple[PlannedDisk, ...]:
    """Return every disk that can be used, those that take no part unchanged."""
    planned = {disk.name: used for disk, used in zip(board.situation.disks, board.used, strict=True)}
    return tuple(
        PlannedDisk(
            name=disk.name,
            path=disk.path,
            size_bytes=disk.size_bytes,
            used_bytes=disk.used_bytes,
            planned_used_bytes=planned.get(disk.name, disk.used_bytes),
            reserve_bytes=reserve_of(disk, selection),
        )
        for disk in inventory.disks
        if disk.is_usable
    )


def _move(situation: Situation, step: Step) -> Move:
    unit = situation.stocks[step.source].units[step.unit]
    return Move(
        share=unit.share,
        path=unit.path,
        size_bytes=unit.size_bytes,
        files=unit.files,
        source=unit.disk,
        destination=situation.disks[step.destination].name,
        path_base64=unit.path_base64,
        kind=unit.kind,
        also=unit.also,
    )
