"""A level that is judged over a while, and with a gap: one spike neither holds nor lets go."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

WINDOW = 15.0  # seconds over which a level is taken
FIRST = 0.5  # seconds between the two readings of the first look
GAP = 0.9  # of the limit; below it work goes on again

_Reading = TypeVar("_Reading")


@dataclass(slots=True)
class Readings(Generic[_Reading]):
    """The readings of the last `WINDOW` seconds; ``rest`` is asked for `FIRST` seconds once, to have two."""

    rest: Callable[[float], None]
    _kept: deque[tuple[float, _Reading]] = field(default_factory=deque)

    def add(self, at: float, read: Callable[[], _Reading | None]) -> tuple[float, _Reading, _Reading] | None:
        """Take a reading; return the seconds since an earlier one, that one, and the new one. None: it cannot be read."""
        if not self._kept:
            first = read()
            if first is None:
                return None
            self._kept.append((at, first))
            self.rest(FIRST)
            at += FIRST
        now = read()
        if now is None:
            self._kept.clear()
            return None
        self._kept.append((at, now))
        while len(self._kept) > 2 and at - self._kept[1][0] >= WINDOW:
            self._kept.popleft()
        begun, earlier = self._kept[0]
        return max(at - begun, 0.001), earlier, now


def is_over(level: float, limit: float, *, is_held: bool) -> bool:
    """Return whether a level is reason to hold; one that was held already must come down to `GAP` of the limit."""
    return level > (limit * GAP if is_held else limit)
