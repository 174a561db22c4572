"""Out of a dead end: some units go home, the layout settles anew, and what is better is kept."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from rebalancer.planning.layout import Layout, Resident
from rebalancer.planning.situation import spread_of
from rebalancer.planning.strategies.covering import tighten
from rebalancer.planning.strategies.exchange import Limits, Patience, correct, save

_SHAKES = 200
_FEWEST = 20
_WORK = 10_000  # pairs of disks looked at in all
_MOVES = 2_000  # layouts with more moves are not shaken: their units are fine enough
_FARTHEST = 0.5  # of the band's width: how far it is shifted, as where it lies best is not certain


class _Dice:
    """Numbers that look random and are the same each time."""

    def __init__(self) -> None:
        self._state = 20_261_125

    def below(self, limit: int) -> int:
        self._state = (self._state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        return (self._state >> 33) % limit

    def near_zero(self) -> float:
        """Return a number from -1 to 1, more often near 0 than not."""
        return ((self.below(2001) - 1000) / 1000) ** 3


@dataclass(frozen=True, slots=True)
class Ground:
    """Where to look: ``limits`` for a band of that width, shifted by a part of it, and when to stop."""

    limits: Callable[[float], Limits]
    width: float  # points of spread that are good enough
    enough: float  # bytes: nearer to the bound than this is not looked for
    is_over: Patience


def shake(layout: Layout, ground: Ground) -> Layout:
    """Return the best layout found: the least spread above the width, then the fewest bytes, then the fewest moves."""
    dice = _Dice()
    best, steps = layout, layout.steps()
    score = _score(layout, ground)
    if len(steps) > _MOVES:
        return layout
    for _ in range(_shakes(layout)):
        if not steps or ground.is_over() or (score[0] == 0 and score[1] <= ground.enough):
            break
        tried = Layout(layout.situation, steps)
        _loosen(tried, dice)
        limits = ground.limits(_FARTHEST * dice.near_zero())
        correct(tried, limits, (10, 10**6) if score[0] else (10, 100), ground.is_over)
        save(tried, limits, ground.is_over)
        tighten(tried, limits, ground.is_over)
        reached = _score(tried, ground)
        if reached < score:
            best, steps, score = tried, tried.steps(), reached
    return best


def _shakes(layout: Layout) -> int:
    return max(_FEWEST, min(_SHAKES, _WORK // len(layout.used) ** 2))


def _score(layout: Layout, ground: Ground) -> tuple[float, int, int]:
    missed = max(0.0, spread_of(layout.situation.disks, layout.used) - ground.width)
    return missed, layout.moved, len(layout.steps())


def _loosen(layout: Layout, dice: _Dice) -> None:
    """Send a few units home, and let now and then one leave that would not have been chosen."""
    steps = layout.steps()
    largest = max(layout.situation.stocks[source].sizes[unit] for source, unit, _ in steps)
    for _ in range(1 + dice.below(4)):
        if steps:
            source, unit, destination = steps.pop(dice.below(len(steps)))
            layout.put(Resident(layout.situation.stocks[source].sizes[unit], source, unit), destination, source)
    if dice.below(2):
        _stray(layout, dice, largest)


def _stray(layout: Layout, dice: _Dice, largest: int) -> None:
    disk, other = dice.below(len(layout.used)), dice.below(len(layout.used))
    count = bisect_right(layout.situation.stocks[disk].sizes, largest)
    if not count or disk == other or layout.level(disk) < layout.level(other):
        return
    unit = dice.below(count)
    resident = Resident(layout.situation.stocks[disk].sizes[unit], disk, unit)
    if layout.is_at_home(resident) and layout.may_end(resident, other):
        layout.put(resident, disk, other)
