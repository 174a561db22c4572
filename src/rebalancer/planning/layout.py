"""Where every unit ends: the final picture of a plan, which a search may change freely before any order is chosen."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rebalancer.planning.situation import Situation, Step


class Resident(NamedTuple):
    """A unit, named by its size, the disk it was found on and its place in that disk's stock."""

    size: int
    home: int
    unit: int


class Layout:
    """The disk each unit ends on. Units that no change has touched stay at home and cost nothing."""

    __slots__ = ("_arrived", "_gone", "_parts_in", "_parts_out", "moved", "situation", "used")

    def __init__(self, situation: Situation, steps: Sequence[Step] = ()) -> None:
        self.situation = situation
        self.used = situation.used()
        self.moved = 0  # bytes that end away from home
        self._gone: list[dict[int, int]] = [{} for _ in self.used]  # by home: the unit and where it ends
        self._arrived: list[list[Resident]] = [[] for _ in self.used]
        self._parts_in: Counter[tuple[str, int]] = Counter()
        self._parts_out: Counter[tuple[str, int]] = Counter()
        for source, unit, destination in steps:
            self.put(Resident(situation.stocks[source].sizes[unit], source, unit), source, destination)

    def put(self, resident: Resident, origin: int, destination: int) -> None:
        """Let a unit that ends on ``origin`` end on ``destination``."""
        size, home, unit = resident
        if origin != home:
            del self._arrived[origin][bisect_left(self._arrived[origin], resident)]
            self._count(resident, origin, -1)
            self.moved -= size
        self._gone[home].pop(unit, None)
        if destination != home:
            insort(self._arrived[destination], resident)
            self._gone[home][unit] = destination
            self._count(resident, destination, 1)
            self.moved += size
        self.used[origin] -= size
        self.used[destination] += size

    def may_end(self, resident: Resident, disk: int) -> bool:
        """Say whether the rules let a unit end on a disk; its home is always allowed. Room is not looked at."""
        situation = self.situation
        if disk == resident.home:
            return True
        if not situation.disks[disk].receives or not situation.stocks[resident.home].reaches(resident.unit, disk):
            return False
        if not situation.holders:
            return True
        parts = situation.parts_of(resident.home, resident.unit)
        return not any(self._parts_in[path, resident.home] or self._parts_out[path, disk] for path in parts)

    def level(self, disk: int) -> float:
        return self.used[disk] / self.situation.disks[disk].size

    def is_at_home(self, resident: Resident) -> bool:
        return resident.unit not in self._gone[resident.home]

    def steps(self) -> list[Step]:
        """Return a step for every unit that ends away from home, in no order that could be carried out as it is."""
        return [
            Step(home, unit, destination) for home, gone in enumerate(self._gone) for unit, destination in gone.items()
        ]

    def arrivals(self, disk: int) -> Sequence[Resident]:
        """Return the units that end on a disk which is not their home, smallest first."""
        return self._arrived[disk]

    def near(self, disk: int, size: int) -> Iterator[Resident]:
        """Yield the units on a disk on either side of a size: those at home, then those that arrive."""
        yield from self.near_at_home(disk, size)
        yield from self.near_arrived(disk, size)

    def near_at_home(self, disk: int, size: int) -> Iterator[Resident]:
        sizes, gone = self.situation.stocks[disk].sizes, self._gone[disk]
        at = bisect_left(sizes, size)
        above = at
        while above < len(sizes) and above in gone:
            above += 1
        if above < len(sizes):
            yield Resident(sizes[above], disk, above)
        below = at - 1
        while below >= 0 and below in gone:
            below -= 1
        if below >= 0:
            yield Resident(sizes[below], disk, below)

    def near_arrived(self, disk: int, size: int) -> Sequence[Resident]:
        arrived = self._arrived[disk]
        place = bisect_left(arrived, (size,))
        return arrived[max(0, place - 1) : place + 1]

    def sample(self, disk: int, count: int) -> Iterator[Resident]:
        """Yield up to twice so many units of a disk, evenly over the sizes of those at home and of those that arrive."""
        sizes, gone = self.situation.stocks[disk].sizes, self._gone[disk]
        for unit in range(0, len(sizes), max(1, len(sizes) // count)):
            if unit not in gone:
                yield Resident(sizes[unit], disk, unit)
        arrived = self._arrived[disk]
        yield from arrived[:: max(1, len(arrived) // count)]

    def _count(self, resident: Resident, destination: int, change: int) -> None:
        if self.situation.holders:
            for path in self.situation.parts_of(resident.home, resident.unit):
                self._parts_in[path, destination] += change
                self._parts_out[path, resident.home] += change
