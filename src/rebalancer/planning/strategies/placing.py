"""Putting given units on given disks, one by one, so that every step is feasible."""

from collections.abc import Callable, Collection, Iterable

from rebalancer.planning.board import Board
from rebalancer.planning.order import arrange
from rebalancer.planning.situation import Step

Choice = Callable[[Board, int], float]


def emptiest(board: Board, disk: int) -> float:
    return board.level(disk)


def tightest(board: Board, disk: int) -> float:
    return board.room[disk]


def place_all(board: Board, units: Iterable[tuple[int, int]], among: Collection[int], choice: Choice) -> bool:
    """Place units, given as source and position, largest first; say whether every one found a disk."""
    is_complete = True
    for source, unit in largest_first(board, units):
        is_complete &= place(board, source, unit, among=among, choice=choice)
    return is_complete


def place(board: Board, source: int, unit: int, *, among: Iterable[int], choice: Choice) -> bool:
    """Move a unit to the disk with the least choice that allows it; say whether there is one."""
    steps = (Step(source, unit, disk) for disk in among if disk != source)
    best = min(
        (step for step in steps if board.allows(step)),
        key=lambda step: (choice(board, step.destination), step.destination),
        default=None,
    )
    if best is None:
        return False
    board.take(best)
    return True


def largest_first(board: Board, units: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    stocks = board.situation.stocks
    return sorted(units, key=lambda one: (-stocks[one[0]].sizes[one[1]], one))


def take_back(board: Board, length: int) -> None:
    """Undo the last steps until so many are left."""
    while len(board.steps) > length:
        board.undo()


def in_order(board: Board) -> list[Step]:
    """Return the board's steps with those of one pair of disks together, where that is feasible."""
    steps = arrange(board.situation, board.steps, keeps_spread=False)
    return steps if len(steps) == len(board.steps) else list(board.steps)
