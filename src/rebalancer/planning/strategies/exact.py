"""Few units: the best plan there is, disk by disk, from all sets of units that a disk could end with."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from rebalancer.planning.layout import Layout, Resident
from rebalancer.planning.situation import Situation, Step
from rebalancer.planning.strategies.sequence import Sequencer

UNITS = 16  # more than this is left to the search
_WORK = 45_000_000  # sets of units compared: some four seconds, which one small array in a hundred comes near
_CHOICE = 60  # what it costs to give a disk its content, in sets compared
_SEQUENCE = 90  # what looking at one set of steps costs, likewise
_ERROR = 1e-9  # points
_NARROW = 0.25  # points: the first spread that is tried for a tolerance of nothing


class Outcome(NamedTuple):
    """How good an end is: the smaller the better."""

    missed: float  # points above the tolerance
    moved: int


class _Content(NamedTuple):
    """What a disk could end with: units as bits, the level in points, the bytes that left it and that came to it."""

    units: int
    level: float
    left: int
    came: int


_Open = dict[int, list[_Content]]  # by disk without content: what it could still end with, the least level first
_level = attrgetter("level")


class _Begun(NamedTuple):
    """The disks that have their content so far."""

    contents: tuple[tuple[int, int], ...] = ()  # disk and units
    lowest: float = float("inf")
    highest: float = float("-inf")
    left: int = 0
    came: int = 0

    def and_so(self, disk: int, content: _Content) -> "_Begun":
        return _Begun(
            (*self.contents, (disk, content.units)),
            min(self.lowest, content.level),
            max(self.highest, content.level),
            self.left + content.left,
            self.came + content.came,
        )


class Enumeration:
    """Gives one disk after the other its content, and turns back where the rest cannot end near enough or cheap enough.

    Every level lies within the spread allowed of the mean of all, so few sets of units are possible for a disk, and
    fewer with every unit that is taken. A set of ends is kept only when its steps can be carried out in some order.
    """

    def __init__(self, situation: Situation, best: Outcome, *, keeps_spread: bool = True) -> None:
        self.steps: list[Step] | None = None  # in order; None: nothing better was found
        self._situation = situation
        self._keeps_spread = keeps_spread
        self._tolerance = situation.selection.tolerance
        self._spread = best.missed + self._tolerance  # points: the least that can be carried out, as far as is known
        self._moved = best.moved
        self._width = self._spread  # points: no more spread than this is looked at
        self._is_narrowing = False
        self._unreachable: set[tuple[tuple[int, int], ...]] = set()  # ends to which no order of steps leads
        self._units = [
            Resident(size, home, unit)
            for home, stock in enumerate(situation.stocks)
            for unit, size in enumerate(stock.sizes)
        ]
        self._twins = self._bits_like_the_one_before()
        self._sums = _sums([unit.size for unit in self._units])
        self._sets = sorted(range(len(self._sums)), key=self._sums.__getitem__)
        self._top = max((self._least_level(unit) for unit in self._units), default=0.0)  # no fullest disk is below it
        self._work = 0

    def run(self) -> None:
        """Find the least spread first, or the tolerance, and then the least bytes for it."""
        self._narrow()
        self._width = max(self._spread, self._tolerance)
        self._search()

    @property
    def is_complete(self) -> bool:
        """Say whether everything was looked at, so that nothing better exists."""
        return self._work <= _WORK

    def _narrow(self) -> None:
        """Look within a small spread first and double it until there is something: a small one is searched fast."""
        self._is_narrowing = True
        known, width = self._spread, max(self._tolerance, _NARROW)
        while self._spread > self._tolerance and self._spread == known and self.is_complete:
            self._width = min(width, known)
            self._search()
            if width >= known:
                break
            width *= 2
        self._is_narrowing = False

    def _search(self) -> None:
        everything = len(self._sums) - 1
        contents = {disk: self._contents(disk) for disk in range(len(self._situation.disks))}
        still = self._still_open(_Begun(), everything, contents) if all(contents.values()) else None
        if still is not None:
            self._give(_Begun(), everything, still)

    def _contents(self, disk: int) -> list[_Content]:
        """Return what a disk could end with if the others were water."""
        situation, sums = self._situation, self._sums
        one, stock = situation.disks[disk], situation.stocks[disk]
        mean = 100 * sum(situation.used()) / sum(each.size for each in situation.disks)
        fixed, most = one.used - stock.total, one.used + max(0, one.room)
        home, foreign = self._bits_that_may_end(disk)
        lowest, highest = ((mean + way * (self._width + _ERROR)) * one.size / 100 - fixed for way in (-1, 1))
        start = bisect_left(self._sets, lowest, key=sums.__getitem__)
        end = bisect_right(self._sets, highest, key=sums.__getitem__)
        self._work += end - start
        found = []
        for units in self._sets[start:end]:
            if units & ~(home | foreign) or (units & foreign and fixed + sums[units] > most):
                continue
            stayed = sums[units & home]
            level = 100 * (fixed + sums[units]) / one.size
            found.append(_Content(units, level, stock.total - stayed, sums[units] - stayed))
        return found

    def _bits_like_the_one_before(self) -> int:
        """Return the units that differ in nothing from the one before: it does not matter which of them goes where."""
        stocks = self._situation.stocks
        traits = [
            (size, home, one.files, one.share, masks[unit] if masks else None)
            for size, home, unit in self._units
            for one, masks in ((stocks[home].units[unit], stocks[home].masks),)
        ]
        return sum(1 << bit + 1 for bit, (one, other) in enumerate(pairwise(traits)) if one == other)

    def _least_level(self, unit: Resident) -> float:
        """Return the lowest level a disk can have that ends with a unit, wherever it goes."""
        situation, layout = self._situation, Layout(self._situation)
        return min(
            100 * (disk.used - stock.total + unit.size) / disk.size
            for place, (disk, stock) in enumerate(zip(situation.disks, situation.stocks, strict=True))
            if layout.may_end(unit, place)
        )

    def _bits_that_may_end(self, disk: int) -> tuple[int, int]:
        layout = Layout(self._situation)
        home = sum(1 << bit for bit, unit in enumerate(self._units) if unit.home == disk)
        may = sum(1 << bit for bit, unit in enumerate(self._units) if layout.may_end(unit, disk))
        return home, may & ~home

    def _give(self, begun: _Begun, rest: int, contents: _Open) -> None:
        if not contents:
            if not rest:
                self._consider(begun)
            return
        disk = min(contents, key=lambda disk: (len(contents[disk]), disk))
        others = {other: choices for other, choices in contents.items() if other != disk}
        for content in self._sorted(contents[disk]):
            if not self.is_complete:
                return
            if (content.units & self._twins) >> 1 & rest & ~content.units:
                continue  # the same with two twins in each other's place is looked at
            following = begun.and_so(disk, content)
            still = self._still_open(following, rest & ~content.units, others)
            if still is not None:
                self._give(following, rest & ~content.units, still)

    def _sorted(self, contents: list[_Content]) -> list[_Content]:
        if not self._is_narrowing:
            return sorted(contents, key=lambda content: (content.left + content.came, content.units))
        middle = sum(content.level for content in contents) / max(1, len(contents))
        return sorted(contents, key=lambda content: (abs(content.level - middle), content.units))

    def _still_open(self, begun: _Begun, rest: int, contents: _Open) -> _Open | None:
        """Return what the other disks can still end with, or None where that leads to nothing better."""
        if not self._is_better(begun):
            return None
        if not contents:
            return {}
        self._work += _CHOICE
        still, left, came, passed = _Open(), begun.left, begun.came, begun.left + begun.came
        for disk, (lowest, highest) in self._limits(begun, rest, contents).items():
            choices = contents[disk]
            choices = choices[bisect_left(choices, lowest, key=_level) : bisect_right(choices, highest, key=_level)]
            self._work += len(choices)
            still[disk] = [one for one in choices if not one[0] & ~rest]
            if not still[disk]:
                return None
            left += min(one[2] for one in still[disk])
            came += min(one[3] for one in still[disk])
            passed += min(one[2] + one[3] for one in still[disk])
        return still if self._is_narrowing or max(left, came, passed / 2) < self._moved else None

    def _limits(self, begun: _Begun, rest: int, contents: _Open) -> dict[int, tuple[float, float]]:
        """Return between which levels each disk may end, as what the others cannot hold it must, and the reverse."""
        disks, stocks = self._situation.disks, self._situation.stocks
        sizes = {disk: disks[disk].size for disk in contents}
        water = 100 * (self._sums[rest] + sum(disks[disk].used - stocks[disk].total for disk in contents))
        mean = water / sum(sizes.values())
        top = max(begun.highest, self._top, mean, *(choices[0].level for choices in contents.values()))
        bottom = min(begun.lowest, mean, *(choices[-1].level for choices in contents.values()))
        lowest, highest = top - self._width, bottom + self._width
        least = sum(lowest * size for size in sizes.values())
        most = sum(highest * size for size in sizes.values())
        return {
            disk: (
                max(lowest, highest - (most - water) / size) - _ERROR,
                min(highest, lowest + (water - least) / size) + _ERROR,
            )
            for disk, size in sizes.items()
        }

    def _is_better(self, begun: _Begun) -> bool:
        spread = begun.highest - begun.lowest
        if self._is_narrowing:
            return self._spread > self._tolerance and spread <= self._width and spread < self._spread - _ERROR
        return spread <= self._width and max(begun.left, begun.came) < self._moved

    def _consider(self, begun: _Begun) -> None:
        """Keep an end whose steps can be carried out, and look only for better ones from here."""
        end = tuple(sorted(begun.contents))
        if end in self._unreachable:
            return
        sequencer = Sequencer(self._situation, self._steps(begun), keeps_spread=self._keeps_spread)
        order = sequencer.find()
        self._work += len(sequencer.dead) * _SEQUENCE
        if order is None:
            self._unreachable.add(end)
            return
        self.steps, self._moved = order, begun.left
        if self._is_narrowing:
            self._spread = begun.highest - begun.lowest
            self._width = min(self._width, self._spread)

    def _steps(self, begun: _Begun) -> list[Step]:
        return [
            Step(unit.home, unit.unit, disk)
            for disk, units in begun.contents
            for bit, unit in enumerate(self._units)
            if units >> bit & 1 and unit.home != disk
        ]


def _sums(sizes: Sequence[int]) -> list[int]:
    """Return the bytes of every set of units, by its bits."""
    sums = [0]
    for size in sizes:
        sums += [total + size for total in sums]
    return sums


def is_small(situation: Situation) -> bool:
    return sum(len(stock.units) for stock in situation.stocks) <= UNITS and not situation.holders


def enumerate_ends(situation: Situation, best: Outcome) -> list[Step] | None:
    """Return steps in order to a better end than the best known, the best there is if it can be found in time."""
    enumeration = Enumeration(situation, best)
    enumeration.run()
    return enumeration.steps
