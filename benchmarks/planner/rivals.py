"""The balancing rules of others, in our own words: greedy, one unit after the other, no search and no exchange.

They are given more than they have: the same rules and reserves as the planner, no unit moved twice, and an end as
soon as the spread is within the tolerance.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from planner.arrays import Trial
from planner.checker import Rulebook
from rebalancer.inventory.unit import Unit


@dataclass(slots=True)
class Outcome:
    """Where a rule ended."""

    spread: float
    bytes: int


class Heap:
    """The disks while a greedy rule works on them; a unit that was moved stays where it went."""

    def __init__(self, trial: Trial, tolerance: float) -> None:
        self.rules = Rulebook(trial.inventory, trial.constraints)
        self.tolerance = tolerance
        self.used = {disk.name: disk.used_bytes for disk in trial.inventory.disks}
        self.size = {disk.name: disk.size_bytes for disk in trial.inventory.disks}
        self.mean = sum(self.used.values()) / sum(self.size.values())
        self.units: dict[str, list[Unit]] = {name: [] for name in self.used}
        for unit in trial.inventory.units:
            if not self.rules.stays(unit):
                self.units[unit.disk].append(unit)
        self.moved = 0

    def level(self, disk: str) -> float:
        return self.used[disk] / self.size[disk]

    def excess(self, disk: str) -> float:
        """Return the bytes above the mean level; negative below it."""
        return self.used[disk] - self.mean * self.size[disk]

    def spread(self) -> float:
        levels = [self.level(disk) for disk in self.used]
        return 100 * (max(levels) - min(levels))

    def is_even(self) -> bool:
        return self.spread() <= self.tolerance

    def takes(self, disk: str, unit: Unit) -> bool:
        room = self.size[disk] - self.used[disk] - self.rules.reserves[disk]
        return self.rules.may_hold(unit, disk) and unit.size_bytes <= room

    def move(self, unit: Unit, destination: str) -> None:
        self.used[unit.disk] -= unit.size_bytes
        self.used[destination] += unit.size_bytes
        self.moved += unit.size_bytes


def fullest_to_emptiest(heap: Heap) -> None:
    """The next unit by name goes from the fullest disk to the emptiest, until that helps no more (mergerfs.balance)."""
    queues = {disk: sorted(units, key=lambda unit: unit.path, reverse=True) for disk, units in heap.units.items()}
    while not heap.is_even():
        source, destination = max(heap.used, key=heap.level), min(heap.used, key=heap.level)
        while queues[source] and not heap.takes(destination, queues[source][-1]):
            queues[source].pop()
        if not queues[source]:
            return
        before = heap.spread()
        unit = queues[source].pop()
        heap.move(unit, destination)
        if heap.spread() > before:  # it overshot: undone, and that is the end
            heap.used[unit.disk] += unit.size_bytes
            heap.used[destination] -= unit.size_bytes
            heap.moved -= unit.size_bytes
            return


def largest_that_fits(heap: Heap) -> None:
    """Each disk above the mean gives its largest units that fit its excess to the disk that lacks most (Array Rebalance)."""
    for source in sorted(heap.used, key=heap.excess, reverse=True):
        for unit in sorted(heap.units[source], key=lambda unit: -unit.size_bytes):
            if heap.is_even() or heap.excess(source) <= 0:
                break
            if unit.size_bytes > heap.excess(source):
                continue
            lacking = min(heap.used, key=heap.excess)
            if unit.size_bytes <= -heap.excess(lacking) and heap.takes(lacking, unit):
                heap.move(unit, lacking)


def shave(heap: Heap) -> None:
    """Each disk above the mean gives units, the largest first, to the disk with most free space (rebalancer.py)."""
    for source in sorted(heap.used, key=heap.level, reverse=True):
        for unit in sorted(heap.units[source], key=lambda unit: -unit.size_bytes):
            if heap.is_even() or heap.excess(source) <= 0:
                break
            freest = max(heap.used, key=lambda disk: heap.size[disk] - heap.used[disk])
            below = heap.mean * heap.size[freest] - heap.used[freest]
            if freest != source and heap.takes(freest, unit) and unit.size_bytes <= below:
                heap.move(unit, freest)


def best_fit(heap: Heap) -> None:
    """From the fullest disk to the emptiest goes the largest unit that overshoots neither (a careful greedy of ours)."""
    stocks = {disk: sorted(units, key=lambda unit: unit.size_bytes) for disk, units in heap.units.items()}
    while not heap.is_even():
        source, destination = max(heap.used, key=heap.level), min(heap.used, key=heap.level)
        most = min(heap.excess(source), -heap.excess(destination))
        at = bisect_right(stocks[source], most, key=lambda unit: unit.size_bytes) - 1
        while at >= 0 and not heap.takes(destination, stocks[source][at]):
            at -= 1
        if at < 0:
            return
        heap.move(stocks[source].pop(at), destination)


RIVALS: Mapping[str, Callable[[Heap], None]] = MappingProxyType(
    {
        "fullest to emptiest": fullest_to_emptiest,
        "largest that fits": largest_that_fits,
        "shave": shave,
        "best fit": best_fit,
    }
)


def compete(trial: Trial, tolerance: float) -> dict[str, Outcome]:
    """Return where each rule ends on this array."""
    results = {}
    for name, rule in RIVALS.items():
        heap = Heap(trial, tolerance)
        rule(heap)
        results[name] = Outcome(heap.spread(), heap.moved)
    return results
