"""What a strategy decides on: the disks that take part and, for each, the units that may leave it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rebalancer.inventory.unit import Unit
from rebalancer.planning.roles import Participant
from rebalancer.planning.selection import Selection


@dataclass(frozen=True, slots=True)
class Stock:
    """The units that may leave a disk, smallest first, and their sizes beside them for bisection."""

    units: Sequence[Unit]
    sizes: Sequence[int]
    total: int


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a strategy may look at. ``stocks`` go with ``disks`` by position."""

    disks: tuple[Participant, ...]
    stocks: tuple[Stock, ...]
    holders: Mapping[str, frozenset[int]]  # disks that hold a part of a split folder, by the unit's path
    selection: Selection

    def used(self) -> list[int]:
        return [disk.used for disk in self.disks]


class Step(NamedTuple):
    """One move, by position: a unit of the source's stock to a destination."""

    source: int
    unit: int
    destination: int


def spread_of(disks: Sequence[Participant], used: Sequence[int]) -> float:
    """Return the highest minus the lowest used percent, in percentage points; 0.0 with fewer than two disks."""
    if len(disks) < 2:
        return 0.0
    levels = [100 * amount / disk.size for disk, amount in zip(disks, used, strict=True)]
    return max(levels) - min(levels)
