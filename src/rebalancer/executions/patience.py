"""When a hold has become worth telling: once, and never for what the schedule itself asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from rebalancer.guards.hold import Hold

_CHOSEN = frozenset({"jitter", "hours"})  # guards that do what the owner wrote down


@dataclass(eq=False, slots=True)
class Patience:
    """Notices that something has held an execution for too long; times and durations in seconds, monotonic."""

    seconds: float
    _held_since: float | None = None
    _is_used_up: bool = False

    def lost_after(self, holds: Sequence[Hold], *, now: float) -> float | None:
        """Return how long it has been held when that has just become too long, which happens once; else None."""
        if not any(hold.guard not in _CHOSEN for hold in holds):
            self._held_since = None
            return None
        if self._held_since is None:
            self._held_since = now
        if self._is_used_up or now - self._held_since < self.seconds:
            return None
        self._is_used_up = True
        return now - self._held_since
