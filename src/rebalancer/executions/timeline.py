"""What happened to an execution, in order, for its record."""

from collections.abc import Callable

from rebalancer.executions.execution import Event

KEPT = 100  # events; the first and the newest of a run that is held and let go all night


class Timeline:
    """Events with their wall-clock time in seconds since 1970 (UTC)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._events: list[Event] = []

    def add(self, what: str, why: str = "") -> None:
        """Note an event; the same one again right after itself is not repeated."""
        if self._events and (self._events[-1].what, self._events[-1].why) == (what, why):
            return
        self._events.append(Event(self._clock(), what, why))
        if len(self._events) > KEPT:
            del self._events[KEPT // 2]

    def events(self) -> tuple[Event, ...]:
        return tuple(self._events)
