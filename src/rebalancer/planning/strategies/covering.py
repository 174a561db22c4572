"""Less overshoot: what leaves a disk is replaced by other units of it that together cover the need more closely."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from rebalancer.planning.layout import Layout, Resident
from rebalancer.planning.strategies.exchange import Limits, Patience

_LEAVING = 10  # units of one pair of disks of which one or two are replaced, the largest first
_STAYING = 300  # units at home that are considered, evenly over their sizes
_PASSES = 6
_TRACE = 1e-5  # of all bytes that move: what could be saved is too little to look for
_PAIRS = 400  # of disks; where more exchange units, each has many and the overshoot is little

Units = tuple[Resident, ...]


class _Cover(NamedTuple):
    """Units that stay after all, and those that leave instead."""

    saved: int
    returns: Units
    leaves: Units


def tighten(layout: Layout, limits: Limits, is_over: Patience) -> None:
    """Save bytes on every pair of disks with few moves; no disk leaves its limits.

    One or two units go home, none, one, two or three smaller ones leave in their place. With n units at home that
    takes about n steps for each, as the sums of pairs are walked from both ends.
    """
    pairs = _pairs(layout)  # a cover exchanges units of a pair and makes no new one
    if len(pairs) > _PAIRS:
        return
    for _ in range(_PASSES):
        has_gained = False
        for home, disk in pairs:
            cover = max(_covers(layout, limits, home, disk), default=None)
            if is_over():
                return
            if cover is not None:
                has_gained = True
                for unit in cover.returns:
                    layout.put(unit, disk, home)
                for unit in cover.leaves:
                    layout.put(unit, home, disk)
        if not has_gained:
            return


def _pairs(layout: Layout) -> list[tuple[int, int]]:
    return sorted({(step.source, step.destination) for step in layout.steps()})


def _covers(layout: Layout, limits: Limits, home: int, disk: int) -> Iterator[_Cover]:
    """Yield what saves bytes between a disk and its guest's home, as much as both can bear."""
    slack = min(layout.used[disk] - limits.lowest[disk], limits.highest[home] - layout.used[home])
    if slack <= layout.moved * _TRACE:
        return
    away = [unit for unit in layout.arrivals(disk) if unit.home == home][-_LEAVING:]
    staying = [unit for unit in layout.sample(home, _STAYING) if unit.home == home and layout.may_end(unit, disk)]
    sizes = [unit.size for unit in staying]
    for returns in (*combinations(away, 1), *combinations(away, 2)):
        total = sum(unit.size for unit in returns)
        for places in _sums(sizes, total - slack):
            saved = total - sum(sizes[place] for place in places)
            if 0 < saved <= slack:
                yield _Cover(saved, returns, tuple(staying[place] for place in places))


def _sums(sizes: Sequence[int], least: int) -> Iterator[tuple[int, ...]]:
    """Yield places of up to three sizes, which rise, whose sum is the smallest there is that is at least so much."""
    yield ()
    single = bisect_left(sizes, least)
    if single < len(sizes):
        yield (single,)
    yield from _pair(sizes, least, len(sizes))
    for third in range(len(sizes) - 1, 1, -max(1, len(sizes) // _LEAVING)):
        yield from ((*two, third) for two in _pair(sizes, least - sizes[third], third))


def _pair(sizes: Sequence[int], least: int, end: int) -> Iterator[tuple[int, ...]]:
    low, high, best = 0, end - 1, None
    while low < high:
        total = sizes[low] + sizes[high]
        if total < least:
            low += 1
            continue
        if best is None or total < best[0]:
            best = (total, low, high)
        high -= 1
    if best is not None:
        yield best[1:]
