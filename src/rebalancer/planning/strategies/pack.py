"""Pack: as few disks as possible hold everything, so that the others can sleep."""

from collections.abc import Callable, Sequence

from rebalancer.planning.board import Board
from rebalancer.planning.situation import Situation, Step
from rebalancer.planning.strategies.approach import Approach, filled, indifferent
from rebalancer.planning.strategies.placing import in_order, place_all, take_back, tightest


def draw(situation: Situation, is_over: Callable[[], bool]) -> list[Step]:
    """Empty as many disks as the others can hold; minimise the disks in use, then the bytes moved, then the moves.

    For each number of disks, from the most that the free space allows, two choices are tried: those with the least to
    move, and those that are smallest. Units go to the fullest disk that holds them, the largest first.
    """
    board = Board(situation)
    eligible = _eligible(situation)
    for count in range(_most(situation, eligible), 0, -1):
        for chosen in _choices(situation, eligible, count):
            others = [disk for disk, one in enumerate(situation.disks) if disk not in chosen and one.receives]
            units = [(disk, unit) for disk in chosen for unit in range(len(situation.stocks[disk].units))]
            if place_all(board, units, _in_use(situation, others), tightest):
                return in_order(board)
            take_back(board, 0)
        if is_over():
            break
    return []


def _eligible(situation: Situation) -> list[int]:
    """Return the disks of which every unit may leave, the one with the least to move first."""
    return sorted(
        (
            disk
            for disk, stock in enumerate(situation.stocks)
            if situation.disks[disk].gives and stock.units and not stock.fixed
        ),
        key=lambda disk: (situation.stocks[disk].total, disk),
    )


def _choices(situation: Situation, eligible: Sequence[int], count: int) -> list[frozenset[int]]:
    by_size = sorted(eligible, key=lambda disk: (_footprint(situation, disk), disk))
    return [frozenset(eligible[:count]), frozenset(by_size[:count])]


def _most(situation: Situation, eligible: Sequence[int]) -> int:
    """Return how many disks could be emptied if units were divisible: those first that need and offer the least."""
    room = sum(max(0, disk.room) for disk in situation.disks if disk.receives)
    count = 0
    for disk in sorted(eligible, key=lambda disk: (_footprint(situation, disk), disk)):
        room -= _footprint(situation, disk)
        if room < 0:
            break
        count += 1
    return count


def _footprint(situation: Situation, disk: int) -> int:
    one = situation.disks[disk]
    return situation.stocks[disk].total + (max(0, one.room) if one.receives else 0)


def _in_use(situation: Situation, others: Sequence[int]) -> list[int]:
    """Return the disks that are in use anyway; an empty one would be woken for nothing."""
    return [disk for disk in others if situation.stocks[disk].units or situation.stocks[disk].fixed]


def _is_reached(board: Board) -> bool:
    return len(_emptied(board)) >= _most(board.situation, _eligible(board.situation))


def _emptied(board: Board) -> frozenset[int]:
    return frozenset(step.source for step in board.steps)


def _least_bytes(board: Board) -> int:
    """Return the least that emptying so many disks can take: those that have the least to move."""
    situation = board.situation
    totals = [situation.stocks[disk].total for disk in _eligible(situation)]
    return sum(totals[: len(_emptied(board))])


PACK = Approach(draw=draw, measure=indifferent, is_reached=_is_reached, ceilings=filled, least_bytes=_least_bytes)
