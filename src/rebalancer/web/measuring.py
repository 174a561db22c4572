"""The disks as they were measured last: measuring takes a small part of the time, and no page waits for a dead disk."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rebalancer.array.disk import Disk
from rebalancer.errors import RebalancerError, RefusedError
from rebalancer.executions.background import Background
from rebalancer.quantities import format_duration
from rebalancer.settings import Settings

PATIENCE = 2.0  # seconds that a page waits for the disks
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
    """Measures at most once at a time. Safe to use from many threads."""

    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _taken: _Taken | None = None
    _under_way: tuple[float, Background[_Taken]] | None = None

    def disks(self, measure: Measure, settings: Settings, *, patience: float = PATIENCE) -> tuple[Disk, ...]:
        """Return the disks as they are, or were a moment ago; raises what measuring raises.

        Raises RefusedError when they do not answer within ``patience`` seconds; `last` are those that did.
        """
        with self._lock:
            now = self.clock()
            if self._taken is not None and self._taken.counts(settings, now):
                return self._taken.disks
            since, work = self._under_way or (now, Background(lambda: self._measured(measure, settings)))
            self._under_way = (since, work)
            waited = now - since
            try:
                found = work.result_within(max(0.0, patience - waited))
            except RebalancerError:
                self._under_way = None
                raise
            if found is None:
                raise RefusedError(
                    f"the disks have not answered for {format_duration(self.clock() - since)}; what is shown is older"
                )
            self._taken, self._under_way = found, None
            return found.disks

    @property
    def last(self) -> tuple[Disk, ...]:
        """The disks as they were when they answered last; none before that."""
        return self._taken.disks if self._taken is not None else ()

    def _measured(self, measure: Measure, settings: Settings) -> _Taken:
        begun = self.clock()
        try:
            found = tuple(measure())
        except OSError as error:
            raise RefusedError(f"the disks cannot be measured: {(error.strerror or str(error)).lower()}") from error
        ended = self.clock()
        return _Taken(found, settings, ended, ended - begun)
