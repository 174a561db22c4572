"""The least that any plan could move if units were divisible: the measure a plan is held against."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rebalancer.planning.situation import Situation, spread_of

_HALVINGS = 100


@dataclass(frozen=True, slots=True)
class Span:
    """A disk as a vessel: it holds ``used`` of ``size`` and may end anywhere from ``floor`` to ``ceiling``."""

    size: int
    used: int
    floor: int
    ceiling: int


@dataclass(frozen=True, slots=True)
class Band:
    """Where the disks end. Levels are used over size.

    Disks above ``give_to`` give down to it and disks below ``fill_to`` are filled up to it, which moves ``bytes``
    and leaves every disk that can be moved at all between ``bottom`` and ``top``.
    """

    bottom: float
    top: float
    give_to: float
    fill_to: float
    bytes: float

    def given_by(self, span: Span) -> float:
        return max(0.0, span.used - max(span.floor, self.give_to * span.size))

    def taken_by(self, span: Span) -> float:
        return max(0.0, min(span.ceiling, self.fill_to * span.size) - span.used)


def spans_of(situation: Situation) -> list[Span]:
    """Return what each disk could hold in the end: what it cannot give away, up to its reserve."""
    return [
        Span(
            size=disk.size,
            used=disk.used,
            floor=disk.used - stock.total if disk.gives else disk.used,
            ceiling=disk.used + max(0, disk.room) if disk.receives else disk.used,
        )
        for disk, stock in zip(situation.disks, situation.stocks, strict=True)
    ]


def least_spread(spans: Sequence[Span]) -> float:
    """Return the smallest spread of levels that divisible units could reach."""
    lowest_top, highest_bottom = _edges(spans)
    return max(0.0, lowest_top - highest_bottom)


def band_of(spans: Sequence[Span], spread: float) -> Band:
    """Return the band of that width which moves the fewest bytes.

    The surplus above the band falls and the deficit below it grows as the band rises; both have to be moved, so the
    least is where they meet, or the nearest place to it at which every disk can be brought into the band.
    """
    lowest_top, highest_bottom = _edges(spans)
    low, high = min(lowest_top - spread, highest_bottom), highest_bottom
    meeting = _solve(lambda bottom: _deficit(spans, bottom) - _surplus(spans, bottom + spread), 0.0, spans)
    bottom = min(max(meeting, low), high)
    moved = max(_surplus(spans, bottom + spread), _deficit(spans, bottom))
    return Band(
        bottom=bottom,
        top=bottom + spread,
        give_to=_solve(lambda level: -_surplus(spans, level), -moved, spans),
        fill_to=_solve(lambda level: _deficit(spans, level), moved, spans),
        bytes=moved,
    )


def least_bytes_for_spread(situation: Situation, spread: float) -> int:
    """Return the least bytes that bring the disks within ``spread`` percentage points of each other.

    Whoever asks passes the larger of the plan's final spread and the tolerance: a plan that ends inside the
    tolerance is compared with the cheapest one that would have been good enough, so that the margin it
    keeps for metadata counts as its own cost.
    """
    if spread_of(situation.disks, situation.used()) <= spread:
        return 0
    return int(band_of(spans_of(situation), spread / 100).bytes * (1 - 1e-9))  # the error of the floats


def _edges(spans: Sequence[Span]) -> tuple[float, float]:
    """Return the lowest level a band's top and the highest level its bottom can have, whatever its width."""
    total = sum(span.used for span in spans)
    top = _solve(lambda level: sum(min(span.ceiling, level * span.size) for span in spans), total, spans)
    above = total * (1 + 1e-12) + 1e-6  # just past the plateau there is when nothing at all can be given
    bottom = _solve(lambda level: sum(max(span.floor, level * span.size) for span in spans), above, spans)
    return (
        max(top, *(span.floor / span.size for span in spans)),
        min(bottom, *(span.ceiling / span.size for span in spans)),
    )


def _surplus(spans: Sequence[Span], level: float) -> float:
    return sum(span.used - max(span.floor, level * span.size) for span in spans if span.used > level * span.size)


def _deficit(spans: Sequence[Span], level: float) -> float:
    return sum(min(span.ceiling, level * span.size) - span.used for span in spans if span.used < level * span.size)


def _solve(rising: Callable[[float], float], wanted: float, spans: Sequence[Span]) -> float:
    """Return the level at which a function that never falls reaches a value, by halving."""
    low, high = 0.0, max(1.0, *(span.used / span.size for span in spans))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return high
