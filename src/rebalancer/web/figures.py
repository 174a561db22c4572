"""What a monitoring system is told: gathered from the engine when it asks, each schedule by one question to the index."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rebalancer.array.disk import Disk
from rebalancer.engine import Engine
from rebalancer.errors import RebalancerError
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.health import ScheduleHealth
from rebalancer.executions.live import told_by
from rebalancer.executions.monitor import MANUAL, ScheduleMonitor
from rebalancer.executions.statistics import ScheduleStatistics
from rebalancer.executions.story import held_by_guard
from rebalancer.schedules.schedule import Schedule
from rebalancer.web.overview import hold_of

MOST_SCHEDULES = 500  # those that exist come first, then those of which only records are left
_LOOKED_BACK = 24 * 3600.0  # seconds in which an execution's holds still count after its end
_MOST_ENDED = 200  # of these
_REMEMBERED = 60.0  # seconds for which what was read from records is not read again, unless a record changes


@dataclass(frozen=True, slots=True)
class AtWork:
    """An active execution, with the bytes that it has copied and that it has to copy."""

    execution: ScheduleExecution
    copied_bytes: int
    planned_bytes: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What only records tell: how schedules fare, and the holds of executions that have ended lately."""

    health: Sequence[ScheduleHealth] = ()
    held: Mapping[str, float] = field(default_factory=dict)  # seconds by guard


@dataclass(slots=True)
class Figures:
    """What was found; ``problems`` counts what could not be looked at, which is missing here."""

    problems: int = 0
    statistics: Sequence[ScheduleStatistics] = ()
    judged: Judged = field(default_factory=Judged)
    active: Sequence[AtWork] = ()
    held: Mapping[str, float] = field(default_factory=dict)  # seconds by guard, of active executions too
    disks: Sequence[Disk] = ()
    damaged: Mapping[str, int] = field(default_factory=dict)  # kind of record -> files that cannot be believed
    is_held: bool = False  # by an emergency stop

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Go on without what cannot be looked at."""
        try:
            yield
        except (RebalancerError, OSError):
            self.problems += 1


@dataclass(eq=False)
class FigureSource:
    """Looks anew each time; only what takes reading many records is remembered for a minute, or until one changes.

    ``disks`` measures them and raises RefusedError when they do not answer: a scrape waits for no dead disk.
    """

    open_engine: Callable[[], Engine]
    disks: Callable[[Engine], Sequence[Disk]]
    clock: Callable[[], float]  # seconds since 1970 (UTC)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _seen: tuple[object, float] = (None, 0.0)
    _judged: Judged = field(default_factory=Judged)

    def look(self) -> Figures:
        figures, now = Figures(), self.clock()
        with figures.trying():
            engine = self.open_engine()
            figures.is_held = hold_of(engine) is not None
            schedules: list[Schedule] = []
            with figures.trying():
                schedules = engine.schedules.list()
                figures.damaged = {
                    "schedules": len(engine.schedules.damaged()),
                    "executions": len(engine.index.damaged()),
                }
            with figures.trying():
                figures.statistics = _statistics(engine, schedules)
            with figures.trying():
                figures.disks = self.disks(engine)
            with figures.trying():
                figures.active = _active(engine)
            with figures.trying():
                figures.judged = self._judge(engine, schedules, now)
            figures.held = _added(
                figures.judged.held, *(held_by_guard(one.execution, now=now) for one in figures.active)
            )
        return figures

    def _judge(self, engine: Engine, schedules: Sequence[Schedule], now: float) -> Judged:
        """Return what was judged last while nothing has changed, else judge anew."""
        known = (engine.index.store.stamp(), tuple((one.schedule_id, one.updated_at) for one in schedules))
        with self._lock:
            if self._seen[0] != known or not 0.0 <= now - self._seen[1] < _REMEMBERED:
                self._judged = Judged(engine.health(schedules, now=now), _held_lately(engine, now))
                self._seen = known, now
            return self._judged


def _statistics(engine: Engine, schedules: Sequence[Schedule]) -> list[ScheduleStatistics]:
    existing = [schedule.schedule_id for schedule in schedules]
    known = dict.fromkeys([*existing, MANUAL, *engine.index.schedule_ids()])
    found = []
    for schedule_id in list(known)[:MOST_SCHEDULES]:
        statistics = engine.index.statistics(schedule_id)
        if statistics is not None or schedule_id in existing:
            found.append(statistics or ScheduleStatistics(schedule_id=schedule_id))
    return found


def _active(engine: Engine) -> list[AtWork]:
    found = []
    for execution in ScheduleMonitor.of(engine.folders).get_running_executions():
        live = told_by(engine.folders, execution.execution_id)
        if live is None:  # it waits, or another program runs it
            found.append(AtWork(execution, execution.bytes_moved, execution.bytes_planned))
        else:
            found.append(AtWork(execution, live.bytes_copied, live.bytes_total))
    return found


def _held_lately(engine: Engine, now: float) -> dict[str, float]:
    lately = engine.index.history(since=now - 2 * _LOOKED_BACK, limit=_MOST_ENDED)
    ended = [one for one in lately if one.status.is_final and (one.end_time or 0.0) > now - _LOOKED_BACK]
    return _added(*(held_by_guard(one, now=now) for one in ended))


def _added(*parts: Mapping[str, float]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for part in parts:
        for guard, seconds in part.items():
            sums[guard] = sums.get(guard, 0.0) + seconds
    return sums
