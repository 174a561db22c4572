"""Local search over a layout: units change disks alone or against each other as long as something is gained."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rebalancer.planning.layout import Layout, Resident

_CANDIDATES = 48  # units of a disk that are considered for a swap, evenly over its sizes
_PARTNERS = (6, 40)  # disks that one disk looks at, those with most space for it first; more when they do not help
_ROUNDS_PER_DISK = 12

Patience = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Limits:
    """Used bytes per disk between which it is good enough."""

    lowest: Sequence[int]
    highest: Sequence[int]

    def missed(self, disk: int, used: int) -> int:
        """Return how many bytes a disk is outside its limits."""
        return max(0, used - self.highest[disk], self.lowest[disk] - used)

    def missed_by(self, layout: Layout) -> int:
        return sum(self.missed(disk, used) for disk, used in enumerate(layout.used))


_NOTHING = Resident(-1, -1, -1)


class Exchange(NamedTuple):
    """A unit from one disk to another, and perhaps one back; the smallest exchange is the best."""

    score: float
    origin: int
    destination: int
    unit: Resident
    back: Resident = _NOTHING


def correct(layout: Layout, limits: Limits, weights: Sequence[int], is_over: Patience) -> None:
    """Bring disks within their limits. A weight is what a byte outside them is worth in moved bytes.

    Rising weights take the cheap corrections first.
    """
    for weight in weights:
        _correct(layout, limits, weight, is_over)


def apply(layout: Layout, exchange: Exchange) -> None:
    layout.put(exchange.unit, exchange.origin, exchange.destination)
    if exchange.back is not _NOTHING:
        layout.put(exchange.back, exchange.destination, exchange.origin)


def _correct(layout: Layout, limits: Limits, weight: float, is_over: Patience) -> None:
    """Each exchange lowers weighted misses plus moved bytes, so it ends; the number of rounds is bounded as well.

    A disk for which nothing was found waits until nothing is found for the others either.
    """
    waiting: set[int] = set()
    has_gained = False
    for _ in range(_ROUNDS_PER_DISK * len(layout.used)):
        exchange = _first(layout, limits, weight, waiting)
        if is_over() or (exchange is None and not has_gained):
            return
        has_gained = exchange is not None
        if exchange is None:
            waiting.clear()
        else:
            apply(layout, exchange)
            waiting -= {exchange.origin, exchange.destination}


def _first(layout: Layout, limits: Limits, weight: float, waiting: set[int]) -> Exchange | None:
    for disk in _missing(layout, limits):
        if disk not in waiting:
            exchange = _best(layout, limits, weight, disk)
            if exchange is not None:
                return exchange
            waiting.add(disk)
    return None


def _missing(layout: Layout, limits: Limits) -> list[int]:
    """Return the disks outside their limits, the farthest first."""
    missed = [(-limits.missed(disk, used), disk) for disk, used in enumerate(layout.used)]
    return [disk for miss, disk in sorted(missed) if miss]


def _best(layout: Layout, limits: Limits, weight: float, disk: int) -> Exchange | None:
    pairs = _pairs(layout, limits, disk)
    few, many = _PARTNERS
    return _best_of(layout, limits, weight, pairs[:few]) or _best_of(layout, limits, weight, pairs[few:many])


def _best_of(layout: Layout, limits: Limits, weight: float, pairs: Sequence[tuple[int, int]]) -> Exchange | None:
    scales = [_Scale(layout, limits, weight, origin, destination) for origin, destination in pairs]
    best = min((one for scale in scales for one in _alone(layout, scale)), default=None)
    if best is not None and best.score <= (2 - weight) * min(scale.missed for scale in scales):
        return best  # the whole miss for not much more than its own bytes
    swap = min((one for scale in scales for one in _swaps(layout, scale)), default=None)
    return min((one for one in (best, swap) if one is not None), default=None)


def _pairs(layout: Layout, limits: Limits, disk: int) -> list[tuple[int, int]]:
    """Return the pairs of origin and destination that may relieve a disk; those with most space for it first."""
    is_full = layout.used[disk] > limits.highest[disk]
    space = [
        (limits.highest[other] - used if is_full else used - limits.lowest[other], other)
        for other, used in enumerate(layout.used)
        if other != disk
    ]
    space.sort(reverse=True)
    return [(disk, other) if is_full else (other, disk) for _, other in space]


class _Scale:
    """Weighs an exchange between two disks: what it does to the bytes outside their limits, and what it moves."""

    __slots__ = ("_high", "_low", "_origin_used", "_used", "aim", "destination", "missed", "origin", "weight")

    def __init__(self, layout: Layout, limits: Limits, weight: float, origin: int, destination: int) -> None:
        self.origin, self.destination, self.weight = origin, destination, weight
        self._origin_used, self._used = layout.used[origin], layout.used[destination]
        self._low = (limits.lowest[origin], limits.lowest[destination])
        self._high = (limits.highest[origin], limits.highest[destination])
        self.missed = self._missed(0)
        bearable = min(self._origin_used - self._low[0], self._high[1] - self._used)
        wanted = max(self._origin_used - self._high[0], self._low[1] - self._used)
        self.aim = min(wanted, bearable) if bearable > 0 else wanted

    def _missed(self, shifted: int) -> int:
        at, to = self._origin_used - shifted, self._used + shifted
        return max(0, at - self._high[0], self._low[0] - at) + max(0, to - self._high[1], self._low[1] - to)

    def weigh(self, shifted: int, moved: int) -> float:
        """Return the score of an exchange: below zero it is worth it."""
        return self.weight * (self._missed(shifted) - self.missed) + moved

    def cost(self, unit: Resident) -> int:
        """Return the bytes that moving a unit from the origin to the destination adds."""
        return unit.size * ((self.destination != unit.home) - (self.origin != unit.home))

    def cost_back(self, unit: Resident) -> int:
        return unit.size * ((self.origin != unit.home) - (self.destination != unit.home))


def _alone(layout: Layout, scale: _Scale) -> Iterator[Exchange]:
    for unit in layout.near(scale.origin, scale.aim):
        score = scale.weigh(unit.size, scale.cost(unit))
        if score < 0 and layout.may_end(unit, scale.destination):
            yield Exchange(score, scale.origin, scale.destination, unit)


def _swaps(layout: Layout, scale: _Scale) -> Iterator[Exchange]:
    origin, destination, aim = scale.origin, scale.destination, scale.aim
    most = scale.weight * scale.missed  # bytes: what moves more than this cannot be worth it
    for unit in layout.sample(origin, _CANDIDATES):
        cost = scale.cost(unit)
        if unit.size <= aim or cost - unit.size > most or not layout.may_end(unit, destination):
            continue
        backs: Iterable[Resident] = layout.near_arrived(destination, unit.size - aim)
        if cost < most:
            backs = (*backs, *layout.near_at_home(destination, unit.size - aim))
        for back in backs:
            moved = cost + scale.cost_back(back)
            if moved >= most:
                continue
            score = scale.weigh(unit.size - back.size, moved)
            if score < 0 and layout.may_end(back, origin):
                yield Exchange(score, origin, destination, unit, back)


def save(layout: Layout, limits: Limits, is_over: Patience) -> None:
    """Give back what disks beyond their need have received, whole or against something smaller."""
    for _ in range(_ROUNDS_PER_DISK * len(layout.used)):
        best = min((one for disk in range(len(layout.used)) for one in _savings(layout, limits, disk)), default=None)
        if best is None or -best.score < layout.moved * 1e-5 or is_over():
            return
        apply(layout, best)


def _savings(layout: Layout, limits: Limits, disk: int) -> Iterator[Exchange]:
    spare = layout.used[disk] - limits.lowest[disk]
    if spare <= 0:
        return
    for unit in layout.arrivals(disk)[-4 * _CANDIDATES :]:
        home = unit.home
        slack = min(spare, limits.highest[home] - layout.used[home])
        if slack <= 0:
            continue
        if unit.size <= slack:
            yield Exchange(-unit.size, disk, home, unit)
        for back in layout.near(home, unit.size - slack):
            saved = unit.size - back.size if back.home == home else 0
            if 0 < saved <= slack and layout.may_end(back, disk):
                yield Exchange(-saved, disk, home, unit, back)
