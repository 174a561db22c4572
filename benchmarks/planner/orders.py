"""The best end that steps can lead to: every end better than a plan's is looked at, and every order of its steps."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.arrays import Trial
from planner.checker import Rulebook

MOST = 400_000_000  # ends: a minute or two; arrays with more are not looked at
_BLOCK = 1_000_000  # ends looked at together
_ERROR = 1e-6  # points
_TRACE = 1e-6  # of the bytes


class Reached(NamedTuple):
    """Where a plan ends: the points above the tolerance and the bytes it moves. The smaller the better."""

    missed: float
    bytes: int


class _Move(NamedTuple):
    source: int
    destination: int
    size: int


@dataclass(frozen=True, slots=True)
class _Array:
    used: Sequence[int]
    sizes: Sequence[int]
    room: Sequence[int]
    homes: Sequence[int]
    units: Sequence[int]
    places: Sequence[Sequence[int]]  # by unit: where it may end, its home first

    def spread(self, used: Sequence[int]) -> float:
        levels = [100 * amount / size for amount, size in zip(used, self.sizes, strict=True)]
        return max(levels) - min(levels)


@dataclass(frozen=True, slots=True)
class _Ends:
    """Where some of the units go: a column for every combination of their places."""

    changes: NDArray[np.int64]  # by disk: bytes that come and go
    moved: NDArray[np.int64]


def count_of(trial: Trial) -> int:
    """Return how many ends there are."""
    return math.prod(len(places) for places in _array(trial).places)


def best_in_order(trial: Trial, known: Reached, *, tolerance: float, keeps_spread: bool) -> Reached:
    """Return the best that can be carried out: each unit moved once at most, each step within the room at its time.

    With ``keeps_spread`` no step leaves the disks less even than at the start, unless the next one mends it. What is
    known already is returned when nothing better can be carried out, which is then proven.
    """
    array = _array(trial)
    for reached, moves in sorted(_better(array, known, tolerance)):
        if _has_order(array, moves, keeps_spread=keeps_spread):
            return reached
    return known


def _array(trial: Trial) -> _Array:
    rules = Rulebook(trial.inventory, trial.constraints)
    disks, units = trial.inventory.disks, trial.inventory.units
    names = [disk.name for disk in disks]
    homes = [names.index(unit.disk) for unit in units]
    return _Array(
        used=[disk.used_bytes for disk in disks],
        sizes=[disk.size_bytes for disk in disks],
        room=[disk.size_bytes - disk.used_bytes - rules.reserves[disk.name] for disk in disks],
        homes=homes,
        units=[unit.size_bytes for unit in units],
        places=[
            [home] if rules.stays(unit) else [home, *(n for n, name in enumerate(names) if rules.may_hold(unit, name))]
            for unit, home in zip(units, homes, strict=True)
        ],
    )


def _better(array: _Array, known: Reached, tolerance: float) -> Iterator[tuple[Reached, list[_Move]]]:
    """Yield every end that is better than the known one, whether it can be reached or not."""
    half = len(array.units)
    while math.prod(len(places) for places in array.places[:half]) > _BLOCK:
        half -= 1
    front = _ends(array, range(half))
    sizes = np.array(array.sizes)[:, None]
    for rest in product(*array.places[half:]):
        tail = dict(zip(range(half, len(array.units)), rest, strict=True))
        used = front.changes + np.array(_after(array, _moves(array, tail)))[:, None]
        levels = 100 * used / sizes
        missed = np.maximum(0.0, levels.max(axis=0) - levels.min(axis=0) - tolerance)
        moved = front.moved + sum(move.size for move in _moves(array, tail))
        is_cheaper = (missed <= known.missed + _ERROR) & (moved < known.bytes * (1 - _TRACE))
        for column in np.flatnonzero((missed < known.missed - _ERROR) | is_cheaper):
            ends = _places_of(array, half, int(column)) | tail
            yield Reached(float(missed[column]), int(moved[column])), _moves(array, ends)


def _ends(array: _Array, units: range) -> _Ends:
    changes = np.zeros((len(array.sizes), 1), dtype=np.int64)
    moved = np.zeros(1, dtype=np.int64)
    for unit in units:
        size, home = array.units[unit], array.homes[unit]
        blocks = []
        for place in array.places[unit]:
            block = changes.copy()
            block[home] -= size
            block[place] += size
            blocks.append(block)
        changes = np.concatenate(blocks, axis=1)
        moved = np.concatenate([moved + size * (place != home) for place in array.places[unit]])
    return _Ends(changes, moved)


def _places_of(array: _Array, count: int, column: int) -> dict[int, int]:
    """Return where the first units go in a column: the place of the first one changes the fastest."""
    found = {}
    for unit in range(count):
        column, place = divmod(column, len(array.places[unit]))
        found[unit] = array.places[unit][place]
    return found


def _moves(array: _Array, ends: dict[int, int]) -> list[_Move]:
    return [
        _Move(array.homes[unit], place, array.units[unit]) for unit, place in ends.items() if place != array.homes[unit]
    ]


def _after(array: _Array, moves: Sequence[_Move]) -> list[int]:
    used = list(array.used)
    for source, destination, size in moves:
        used[source] -= size
        used[destination] += size
    return used


def _has_order(array: _Array, moves: Sequence[_Move], *, keeps_spread: bool) -> bool:
    """Go from every set of moves that can be done to every one with one move more."""
    limit = array.spread(array.used) + _ERROR if keeps_spread else math.inf
    everything = (1 << len(moves)) - 1
    waiting, seen = [0], {0}
    is_worse = {0: False}
    while waiting:
        done = waiting.pop()
        used = _after(array, [move for bit, move in enumerate(moves) if done >> bit & 1])
        for bit, (source, destination, size) in enumerate(moves):
            then = done | 1 << bit
            if then in seen or size > array.room[destination] + array.used[destination] - used[destination]:
                continue
            if then not in is_worse:
                levels = list(used)
                levels[source] -= size
                levels[destination] += size
                is_worse[then] = array.spread(levels) > limit
            if is_worse[done] and is_worse[then]:
                continue
            if then == everything:
                return not is_worse[then]
            seen.add(then)
            waiting.append(then)
    return not moves
