"""What happened to an execution, in order, for its record."""

from collections.abc import Callable, Sequence

from rebalancer.executions.execution import Event
from rebalancer.guards.hold import Hold, in_words

KEPT = 100  # events; the first and the newest of a run that is held and let go all night


class Timeline:
    """Events with their wall-clock time in seconds since 1970 (UTC)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._events: list[Event] = []
        self._holds: frozenset[tuple[str, str]] = frozenset()

    def add(self, what: str, why: str = "", *, guards: tuple[str, ...] = ()) -> None:
        """Note an event; the same one again right after itself is not repeated."""
        if self._events and (self._events[-1].what, self._events[-1].why) == (what, why):
            return
        self._events.append(Event(self._clock(), what, why, guards))
        if len(self._events) > KEPT:
            del self._events[KEPT // 2]

    def hold(self, what: str, holds: Sequence[Hold]) -> None:
        """Note what holds it, all reasons together, when others hold it than before; changed figures are not noted."""
        kinds = frozenset(hold.kind for hold in holds)
        if kinds != self._holds:
            guards = tuple(dict.fromkeys(hold.guard for hold in holds))
            self.add(f"still {what}" if self._holds else what, in_words(holds), guards=guards)
            self._holds = kinds

    def let_go(self, what: str) -> None:
        """Note that nothing holds it any more."""
        self._holds = frozenset()
        self.add(what)

    def events(self) -> tuple[Event, ...]:
        return tuple(self._events)
