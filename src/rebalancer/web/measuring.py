"""The disks as they were measured last: measuring takes a small part of the time, whatever it costs."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rebalancer.array.disk import Disk
from rebalancer.settings import Settings

_REST = 10  # times what measuring took: a folder of a million files is walked for its size
_OLDEST = 30.0  # seconds, however long measuring takes

Measure = Callable[[], Sequence[Disk]]


@dataclass(frozen=True, slots=True)
class _Taken:
    disks: tuple[Disk, ...]
    settings: Settings
    at: float  # by the monotonic clock
    seconds: float  # how long it took

    def counts(self, settings: Settings, now: float) -> bool:
        return self.settings == settings and now - self.at < min(self.seconds * _REST, _OLDEST)


@dataclass(eq=False)
class MeasuredDisks:
    """Remembers one measurement. Safe to use from many threads; who measures is the one who waits for slow disks."""

    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _taken: _Taken | None = None

    def disks(self, measure: Measure, settings: Settings) -> tuple[Disk, ...]:
        """Return the disks as they are, or were a moment ago; raises what measuring raises."""
        begun = self.clock()
        with self._lock:
            if self._taken is not None and self._taken.counts(settings, begun):
                return self._taken.disks
        found, ended = tuple(measure()), self.clock()
        with self._lock:
            self._taken = _Taken(found, settings, ended, ended - begun)
        return found

    @property
    def last(self) -> tuple[Disk, ...]:
        """The disks as they were when they answered last; none before that."""
        return self._taken.disks if self._taken is not None else ()
