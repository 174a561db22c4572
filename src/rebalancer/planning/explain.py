"""Why the units of a disk that missed the goal did not move."""

from collections.abc import Callable, Sequence

from rebalancer.inventory.unit import Unit
from rebalancer.names import display
from rebalancer.planning.board import Board
from rebalancer.planning.bounds import least_spread, spans_of
from rebalancer.planning.capacity import cost_of
from rebalancer.planning.left_behind import ROWS_PER_DISK, Remainder
from rebalancer.planning.plan import LeftBehind
from rebalancer.planning.selection import Strategy
from rebalancer.planning.situation import Situation, Step, spread_of
from rebalancer.quantities import format_size

_RULE = "goal"
_SMALLEST = 1000  # units that are tried


def explain_limit(situation: Situation, beyond: Sequence[Step], remainder: Remainder) -> None:
    """Note the steps that the limit of this run leaves for another one."""
    limit = situation.selection.max_bytes or 0
    for step in beyond:
        unit = situation.stocks[step.source].units[step.unit]
        remainder.add("beyond", unit, f"beyond the limit of {format_size(limit)} for this run")


def explain_shortfall(board: Board, noted: Sequence[Step], ceilings: Sequence[int], remainder: Remainder) -> None:
    """Note, for each disk that stays above its ceiling, why its units stay: the largest ones by name, the rest counted.

    ``noted`` are steps of which the reason is known already.
    """
    for disk, ceiling in enumerate(ceilings):
        excess = board.used[disk] - ceiling
        if excess <= 0:
            continue
        if not board.situation.disks[disk].gives:
            _add_disk(board, disk, "it is above the goal, but it may not give", remainder)
            continue
        known = {step.unit for step in (*board.steps, *noted) if step.source == disk}
        units = board.situation.stocks[disk].units
        staying = [unit for index, unit in enumerate(units) if index not in known]
        if not staying:
            _add_disk(board, disk, "it is above the goal, but nothing more on it may move", remainder)
        reason = _reasons(board, disk, excess, ceilings)
        for unit in staying[-ROWS_PER_DISK:]:
            remainder.add(_RULE, unit, reason(unit))
        if len(staying) > ROWS_PER_DISK:
            count = len(staying) - ROWS_PER_DISK
            _add_disk(board, disk, f"{count:,} smaller units stay: moving them would not bring it nearer", remainder)


def best_spread(situation: Situation) -> float:
    """Return the spread in points that divisible units could reach: where it is above the tolerance, no plan can."""
    return 100 * least_spread(spans_of(situation)) if len(situation.disks) > 1 else 0.0


def coarseness(board: Board) -> str:
    """Say in a sentence why an even plan ends above the tolerance; nothing when it does not."""
    situation = board.situation
    reached, tolerance = spread_of(situation.disks, board.used), situation.selection.tolerance
    if situation.selection.strategy is not Strategy.EVEN or reached <= tolerance:
        return ""
    least = best_spread(situation)
    if least > tolerance:
        return (
            f"no plan can do better than {least:.2f} points: full disks, rules and units that must stay set the limit"
        )
    if not _can_move(board):
        return (
            f"{reached:.2f} points is the best found: no unit of the fullest disk may go anywhere that has room for it"
        )
    largest = max((stock.sizes[-1] for stock in situation.stocks if stock.sizes), default=0)
    return (
        f"{reached:.2f} points is the best found: the units, up to {format_size(largest)} each, are too coarse for less"
    )


def _can_move(board: Board) -> bool:
    """Say whether a small unit of the fullest disk finds a disk that may hold it and has room."""
    disks = range(len(board.used))
    fullest = max(disks, key=board.level)
    gone = {step.unit for step in board.steps if step.source == fullest}
    units = [unit for unit in range(len(board.situation.stocks[fullest].units)) if unit not in gone][:_SMALLEST]
    return any(board.allows(Step(fullest, unit, disk)) for unit in units for disk in disks if disk != fullest)


def _add_disk(board: Board, disk: int, reason: str, remainder: Remainder) -> None:
    remainder.add_row(LeftBehind(disk=board.situation.disks[disk].name, path="", reason=reason))


def _reasons(board: Board, disk: int, excess: int, ceilings: Sequence[int]) -> Callable[[Unit], str]:
    """Return the sentence for a unit of a disk, with what is the same for all its units worked out once."""
    others = [other for other, to in enumerate(board.situation.disks) if to.receives and other != disk]
    room = max((board.room[other] for other in others), default=0)
    space = max((min(board.room[other], ceilings[other] - board.used[other]) for other in others), default=0)
    name = display(board.situation.disks[disk].name)

    def wants_more(unit: Unit) -> bool:
        """Say whether every disk that has room for a unit would be left with less free space than its share wants."""
        fitting = [other for other in others if cost_of(unit) <= board.room[other]]
        return all(board.situation.need_of(unit, other) > board.room[other] for other in fitting)

    def reason(unit: Unit) -> str:
        if not others:
            return "no other disk may receive it"
        if cost_of(unit) <= room and board.situation.floors and wants_more(unit):
            least = format_size(min(board.situation.floor_of(unit, other) for other in others))
            return f"no disk would keep the {least} free that its share wants"
        if cost_of(unit) > room:
            most = format_size(max(0, room))
            return (
                f"no disk has room for it: {format_size(cost_of(unit))} needed, at most {most} free above the reserve"
            )
        if unit.size_bytes > space:
            return f"moving it would overshoot: no disk can take more than {format_size(max(0, space))} below the goal"
        if unit.size_bytes > excess:
            return f"moving it would overshoot: {name} has only {format_size(excess)} above the goal"
        return "no move of it, nor an exchange with a smaller unit, was found that helps"

    return reason
