"""Repair: what exists comes into line with the share rules, and units split over disks are joined again."""

from collections.abc import Callable

from rebalancer.inventory.unit import Unit
from rebalancer.planning.board import Board
from rebalancer.planning.situation import Situation, Step
from rebalancer.planning.strategies.approach import Approach, filled, indifferent
from rebalancer.planning.strategies.gather import Scattered, join
from rebalancer.planning.strategies.placing import emptiest, in_order, place_all


def draw(situation: Situation, _is_over: Callable[[], bool]) -> list[Step]:
    """Move what is where the rules do not want it, and the smaller parts of what is split; minimise bytes, then moves.

    The parts of one folder or group meet on the allowed disk that has most of it. What only stands on the wrong disk
    goes to the emptiest allowed one, the largest first.
    """
    board = Board(situation)
    for scattered, barred in _split(situation):
        join(board, scattered, barred)
    went = {step[:2] for step in board.steps}
    wrong = [one for one in _wrong(situation) if one not in went]
    place_all(board, wrong, range(len(situation.disks)), emptiest)
    return in_order(board)


def _wrong(situation: Situation) -> list[tuple[int, int]]:
    return [
        (disk, index)
        for disk, stock in enumerate(situation.stocks)
        for index, unit in enumerate(stock.units)
        if (unit.disk, unit.path) in situation.misplaced
    ]


def _split(situation: Situation) -> list[tuple[Scattered, set[int]]]:
    """Return what is on several disks and belongs together, and the disks where the rules do not want it."""
    groups: dict[str, tuple[Scattered, set[int]]] = {}
    for disk, stock in enumerate(situation.stocks):
        for index, unit in enumerate(stock.units):
            if key := _key(situation, unit):
                scattered, barred = groups.setdefault(key, (Scattered(), set()))
                scattered.add(disk, index, unit.size_bytes)
                if (unit.disk, unit.path) in situation.misplaced:
                    barred.add(disk)
    position = {one.name: disk for disk, one in enumerate(situation.disks)}
    for unit in situation.staying:
        if unit.disk in position and (key := _key(situation, unit)) in groups:
            groups[key][0].anchor(position[unit.disk], unit.size_bytes)
    return [groups[key] for key in sorted(groups) if len(groups[key][0].held) > 1]


def _key(situation: Situation, unit: Unit) -> str:
    """Return the name of the whole that a unit is a part of; nothing for a whole one."""
    tie = situation.ties.get((unit.disk, unit.path), "")
    return tie or next((member.path for member in unit.members if member.path in situation.holders), "")


def _is_reached(board: Board) -> bool:
    went = {step[:2]: step.destination for step in board.steps}
    is_joined = all(
        len(scattered.anchors | {went.get(one, one[0]) for one in scattered.units}) <= 1
        for scattered, _ in _split(board.situation)
    )
    return is_joined and all(one in went for one in _wrong(board.situation))


def _least_bytes(board: Board) -> int:
    """Return what is misplaced, and of what was split and is joined now all but its largest part."""
    situation = board.situation
    went = {step[:2]: step.destination for step in board.steps}
    moved = {one: situation.stocks[one[0]].sizes[one[1]] for one in went}
    least = sum(moved.get(one, 0) for one in _wrong(situation))
    for scattered, barred in _split(situation):
        right = [size for disk, size in scattered.held.items() if disk not in barred]
        if len(scattered.anchors | {went.get(one, one[0]) for one in scattered.units}) <= 1:
            least += sum(right) - max(right, default=0)
    return least


REPAIR = Approach(draw=draw, measure=indifferent, is_reached=_is_reached, ceilings=filled, least_bytes=_least_bytes)
