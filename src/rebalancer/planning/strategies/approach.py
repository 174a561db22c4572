"""What every strategy is made of, so that a new one is a new file and a row in the planner's table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rebalancer.planning.situation import Situation, Step


@dataclass(frozen=True, slots=True)
class Approach:
    """A strategy as functions. ``used`` is always the used bytes per disk, in the order of the situation's disks.

    ``draw`` returns steps that are feasible one after another; the second argument says when it has searched enough. ``measure`` says how far from the goal the disks are
    (smaller is better) and ``is_reached`` whether that is near enough. ``ceilings`` are the used bytes above which
    a disk has missed the goal. ``least_bytes`` bounds the bytes of every plan that ends as well as this one.
    """

    draw: Callable[[Situation, Callable[[], bool]], list[Step]]
    measure: Callable[[Situation, Sequence[int]], float]
    is_reached: Callable[[Situation, Sequence[int]], bool]
    ceilings: Callable[[Situation, Sequence[int]], list[int]]
    least_bytes: Callable[[Situation, Sequence[int]], int]
