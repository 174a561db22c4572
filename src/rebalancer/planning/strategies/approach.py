"""What every strategy is made of, so that a new one is a new file and a row in the planner's table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rebalancer.planning.board import Board
from rebalancer.planning.situation import Situation, Step


@dataclass(frozen=True, slots=True)
class Approach:
    """A strategy as functions; a board is the array after the steps that were kept.

    ``draw`` returns steps that are feasible one after another; its second argument says when it has searched enough.
    ``measure`` says how far from the goal disks with so many used bytes are (smaller is better) and ``is_reached``
    whether the end is near enough. ``ceilings`` are the used bytes above which a disk has missed the goal.
    ``least_bytes`` bounds the bytes of every plan that ends as well as this one.
    """

    draw: Callable[[Situation, Callable[[], bool]], list[Step]]
    measure: Callable[[Situation, Sequence[int]], float]
    is_reached: Callable[[Board], bool]
    ceilings: Callable[[Board], list[int]]
    least_bytes: Callable[[Board], int]


def indifferent(_situation: Situation, _used: Sequence[int]) -> float:
    """Measure nothing: the used bytes alone do not say how far from the goal this is."""
    return 0.0


def filled(board: Board) -> list[int]:
    """Return ceilings that no disk is above: what stays has been explained already."""
    return list(board.used)
