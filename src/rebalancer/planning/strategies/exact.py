"""Few units: every way to place them is looked at, but for those that cannot be better than the best known."""

from collections.abc import Sequence
from typing import NamedTuple

from rebalancer.planning.layout import Layout, Resident
from rebalancer.planning.situation import Situation, Step, spread_of

UNITS = 16  # more than this is left to the search
_NODES = 60_000
_ERROR = 1e-9


class Outcome(NamedTuple):
    """How good an end is: the smaller the better."""

    missed: float  # points above the tolerance
    moved: int


class Enumeration:
    """Places the largest unit first and turns back where the least spread or bytes still possible are no gain."""

    def __init__(self, situation: Situation, best: Outcome) -> None:
        self.best = best
        self.steps: list[Step] | None = None  # None: nothing better was found
        self._situation = situation
        self._sizes = [disk.size for disk in situation.disks]
        self._most = [disk.used + max(0, disk.room) for disk in situation.disks]
        self._load = [disk.used - stock.total for disk, stock in zip(situation.disks, situation.stocks, strict=True)]
        self._units = sorted(
            (
                Resident(size, home, unit)
                for home, stock in enumerate(situation.stocks)
                for unit, size in enumerate(stock.sizes)
            ),
            reverse=True,
        )
        layout = Layout(situation)
        self._ends = [[disk for disk in range(len(self._load)) if layout.may_end(unit, disk)] for unit in self._units]
        self._rest = [sum(unit.size for unit in self._units[place:]) for place in range(len(self._units) + 1)]
        self._chosen: list[int] = []
        self._nodes = 0

    def run(self) -> None:
        self._place(0)

    def _place(self, moved: int) -> None:
        place = len(self._chosen)
        self._nodes += 1
        if self._nodes > _NODES or self._is_hopeless(place, moved):
            return
        if place == len(self._units):
            self._keep(moved)
            return
        size, home, _ = self._units[place]
        for disk in sorted(self._ends[place], key=lambda disk: (disk != home, self._load[disk] / self._sizes[disk])):
            if disk != home and self._load[disk] + size > self._most[disk]:
                continue
            self._load[disk] += size
            self._chosen.append(disk)
            self._place(moved + size * (disk != home))
            self._chosen.pop()
            self._load[disk] -= size

    def _is_hopeless(self, place: int, moved: int) -> bool:
        missed, best = self._least_missed(self._rest[place]), self.best
        return missed > best.missed + _ERROR or (missed > best.missed - _ERROR and moved >= best.moved)

    def _least_missed(self, rest: int) -> float:
        """Return what is missed if the rest were water: it raises the lowest levels, and no end is more even."""
        levels = sorted((load / size, size) for load, size in zip(self._load, self._sizes, strict=True))
        width, level = 0, levels[0][0]
        for above, size in levels:
            if (above - level) * width > rest:
                break
            rest -= int((above - level) * width)
            width, level = width + size, above
        water = level + rest / width
        return max(0.0, 100 * (max(levels[-1][0], water) - water) - self._situation.selection.tolerance)

    def _keep(self, moved: int) -> None:
        used = self._load
        spread = spread_of(self._situation.disks, used)
        self.best = Outcome(max(0.0, spread - self._situation.selection.tolerance), moved)
        self.steps = [
            Step(unit.home, unit.unit, disk)
            for unit, disk in zip(self._units, self._chosen, strict=True)
            if disk != unit.home
        ]


def is_small(situation: Situation) -> bool:
    return sum(len(stock.units) for stock in situation.stocks) <= UNITS and not situation.holders


def enumerate_ends(situation: Situation, best: Outcome) -> Sequence[Step] | None:
    """Return steps to a better end than the best known, the best there is if it can be found in time."""
    enumeration = Enumeration(situation, best)
    enumeration.run()
    return enumeration.steps
