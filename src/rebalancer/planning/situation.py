"""What a strategy decides on: the disks that take part and, for each, the units that may leave it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rebalancer.inventory.unit import Unit
from rebalancer.planning.capacity import cost_of
from rebalancer.planning.roles import Participant
from rebalancer.planning.selection import Selection


@dataclass(frozen=True, slots=True)
class Stock:
    """The units that may leave a disk, smallest first, and their sizes beside them for bisection."""

    units: Sequence[Unit]
    sizes: Sequence[int]
    total: int
    masks: Sequence[int] | None = None  # per unit, a bit for each disk it may go to; None: any that receives
    fixed: int = 0  # units of the disk that must stay

    def reaches(self, unit: int, disk: int) -> bool:
        return self.masks is None or bool(self.masks[unit] >> disk & 1)


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a strategy may look at. ``stocks`` go with ``disks`` by position."""

    disks: tuple[Participant, ...]
    stocks: tuple[Stock, ...]
    holders: Mapping[str, frozenset[int]]  # disks that hold a part of a split folder, by the unit's path
    selection: Selection
    floors: Mapping[str, Sequence[int]]  # by share, for each disk: bytes that stay free where some of it arrives
    bundles: Mapping[tuple[str, str], tuple[Unit, ...]]  # by disk and path: the units that one unit here stands for
    ties: Mapping[tuple[str, str], str]  # by disk and path: the folder or group that a unit belongs to as a whole
    staying: Sequence[Unit]  # what must stay where it is; only where a strategy looks at places, not at bytes
    misplaced: frozenset[tuple[str, str]]  # by disk and path: where the rules do not want a unit; only for `repair`

    def used(self) -> list[int]:
        return [disk.used for disk in self.disks]

    def need(self, source: int, unit: int, destination: int) -> int:
        """Return the room above the reserve that a disk must have to take a unit."""
        return self.need_of(self.stocks[source].units[unit], destination)

    def need_of(self, unit: Unit, destination: int) -> int:
        if not self.floors:
            return cost_of(unit)
        return cost_of(unit) + max(0, self.floor_of(unit, destination) - self.disks[destination].reserve)

    def floor_of(self, unit: Unit, destination: int) -> int:
        """Return the bytes that the shares of a unit want free on a disk after its arrival."""
        shares = {member.path.partition("/")[0] for member in unit.members} if unit.also else (unit.share,)
        return max((self.floors[share][destination] for share in shares if share in self.floors), default=0)

    def units_of(self, source: int, unit: int) -> tuple[Unit, ...]:
        """Return the units that move as this one; as a rule it alone."""
        one = self.stocks[source].units[unit]
        return self.bundles.get((one.disk, one.path), (one,)) if self.bundles else (one,)

    def parts_of(self, source: int, unit: int) -> list[str]:
        """Return the paths of a unit that other disks have too."""
        one = self.stocks[source].units[unit]
        if not one.also:
            return [one.path] if one.path in self.holders else []
        return [member.path for member in one.members if member.path in self.holders]


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
