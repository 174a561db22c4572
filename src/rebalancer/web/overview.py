"""What the first page and the first question of a program show: disks, what runs, what comes, what was."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from msgspec import Struct

from rebalancer import records
from rebalancer.array.disk import Disk
from rebalancer.engine import Engine
from rebalancer.errors import NotFoundError, RebalancerError, UsageError
from rebalancer.executions import checking, pausing
from rebalancer.executions.control import HoldNote
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.live import Live, told_by
from rebalancer.executions.monitor import ScheduleMonitor
from rebalancer.executions.story import holding_of
from rebalancer.planning.capacity import reserve_of
from rebalancer.planning.selection import Selection
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.slots import Slot
from rebalancer.schedules.upcoming import upcoming
from rebalancer.transfer.operation import Operation
from rebalancer.web.measuring import MeasuredDisks
from rebalancer.web.recent import RecentExecutions

LAST = 8  # executions
NEXT = 8  # firings
_SPEED_OVER = 15.0  # seconds


class DiskBar(Struct, frozen=True, kw_only=True):
    """One disk. Sizes in bytes; ``planned_used_bytes`` is what it holds when everything that runs is done."""

    name: str
    path: str
    size_bytes: int
    used_bytes: int
    free_bytes: int
    used_percent: float
    planned_used_bytes: int
    reserve_bytes: int
    status: str  # "ok", or why it takes no part in a word or two
    reason: str  # the same as a sentence; empty when it is ok


class Running(Struct, frozen=True, kw_only=True):
    """An execution that waits or works. Bytes and seconds; None for what cannot be told yet."""

    execution_id: str
    schedule_id: str
    status: str  # "pending" or "running"
    start_time: float
    phase: str  # "copying", "verifying", "held", ...
    path: str  # what it works on, relative to its disk
    source: str
    destination: str
    beside: int  # further moves that are under way
    holding: str  # what holds or pauses it, in words; empty when nothing does
    is_paused: bool  # by hand; guards may hold it besides
    files_moved: int
    moves_done: int
    moves_total: int
    bytes_done: int
    bytes_total: int
    percent: float
    bytes_per_second: float | None
    seconds_left: float | None


class Firing(Struct, frozen=True, kw_only=True):
    """A slot to come; ``at`` is seconds since 1970 (UTC), ``local`` the same in the schedule's time zone."""

    schedule_id: str
    name: str
    at: float
    local: str


class Overview(Struct, frozen=True, kw_only=True):
    """Everything at one moment, ``at`` seconds since 1970 (UTC); spread is in percentage points."""

    at: float
    disks: tuple[DiskBar, ...]
    spread: float
    average_percent: float  # of all disks that take part, as if they were one
    fullest: str  # the name of the fullest disk that takes part; empty when fewer than two do
    running: tuple[Running, ...]
    next: tuple[Firing, ...]
    last: tuple[ScheduleExecution, ...]
    schedules: int
    hold: HoldNote | None  # what keeps everything new from starting
    problems: tuple[str, ...]  # what could not be looked at just now, in sentences
    settings_path: str  # where the owner writes down which disks there are


@dataclass(eq=False)
class OverviewSource:
    """Looks at everything anew each time; remembered are speeds, the plans of what runs, slots to come, slow disks."""

    open_engine: Callable[[], Engine]
    clock: Callable[[], float]  # seconds since 1970 (UTC)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _engine: Engine | None = None  # with the last settings that could be read
    _measured: MeasuredDisks = field(default_factory=MeasuredDisks)
    _samples: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)
    _planned: dict[str, Mapping[str, int]] = field(default_factory=dict)  # by operation
    _slots: dict[str, "_Slots"] = field(default_factory=dict)  # by schedule

    def __post_init__(self) -> None:
        self._last = RecentExecutions(self.clock, LAST)

    def look(self) -> Overview:
        """Return how everything stands; what cannot be looked at is named among the problems.

        With settings that cannot be read, it is told by those before: what runs goes by them as well.
        """
        problems: list[str] = []
        now = self.clock()
        try:
            self._engine = self.open_engine()
        except RebalancerError as error:
            problems.append(str(error))
        engine = self._engine
        if engine is None:
            return _nothing(now, problems)
        running = _or_nothing(problems, ScheduleMonitor.of(engine.folders, clock=self.clock).get_running_executions)
        lives = {one.execution_id: told_by(engine.folders, one.execution_id) for one in running}
        self._forget_all_but(lives)
        disks = self._disks(engine, problems)
        schedules = _or_nothing(problems, engine.schedules.list)
        problems += _or_nothing(problems, engine.schedules.damaged)
        usable = [disk for disk in disks if disk.is_usable]
        return Overview(
            at=now,
            disks=tuple(self._bars(engine, disks, lives)),
            spread=_spread(usable),
            average_percent=_average_percent(usable),
            fullest=max(usable, key=lambda disk: disk.used_percent).name if len(usable) > 1 else "",
            running=tuple(
                self._running(
                    one,
                    lives[one.execution_id],
                    now,
                    is_paused=pausing.is_paused(engine.folders, one.execution_id),
                )
                for one in running
            ),
            next=tuple(self._firings(schedules, now, engine.timezone, problems)),
            last=tuple(_or_nothing(problems, lambda: self._last.look(engine))),
            schedules=len(schedules),
            hold=hold_of(engine),
            problems=tuple(dict.fromkeys(problems)),
            settings_path=str(engine.folders.settings),
        )

    # -- disks ----------------------------------------------------------------------------------------------------

    def disks(self, engine: Engine) -> Sequence[Disk]:
        """Return the disks as they were measured a moment ago; raises what `MeasuredDisks.disks` raises."""
        return self._measured.disks(engine.disks, engine.settings)

    def _disks(self, engine: Engine, problems: list[str]) -> Sequence[Disk]:
        try:
            return self.disks(engine)
        except UsageError as error:  # no disks are named, or impossible ones: what was there before counts no longer
            problems.append(str(error))
            return ()
        except RebalancerError as error:
            problems.append(str(error))
            return self._measured.last

    def _bars(self, engine: Engine, disks: Sequence[Disk], lives: Mapping[str, Live | None]) -> Iterator[DiskBar]:
        planned: dict[str, int] = {}
        for live in lives.values():
            if live is not None:
                planned |= self._planned_by(engine, live.operation_id)
        selection = Selection(reserve=engine.settings.reserve)
        for disk in disks:
            yield DiskBar(
                name=disk.name,
                path=disk.path,
                size_bytes=disk.size_bytes,
                used_bytes=disk.used_bytes,
                free_bytes=disk.free_bytes,
                used_percent=disk.used_percent,
                planned_used_bytes=min(max(planned.get(disk.path, disk.used_bytes), 0), disk.size_bytes),
                reserve_bytes=min(reserve_of(disk, selection), disk.size_bytes),
                status=disk.status.value,
                reason=disk.reason,
            )

    def _planned_by(self, engine: Engine, operation_id: str) -> Mapping[str, int]:
        """Return what each disk, by its path, holds when a plan is carried out; read once while it is."""
        with self._lock:
            known = self._planned.get(operation_id)
        if known is None and checking.is_id(operation_id):
            path = engine.folders.operations / f"{operation_id}.json"
            try:
                known = planned_by(records.read(path, Operation, limit=records.DOCUMENT_LIMIT))
            except RebalancerError:  # it has just ended
                return {}
            with self._lock:
                self._planned[operation_id] = known
        return known or {}

    # -- what runs ------------------------------------------------------------------------------------------------

    def _forget_all_but(self, lives: Mapping[str, Live | None]) -> None:
        operations = {live.operation_id for live in lives.values() if live is not None}
        with self._lock:
            self._samples = {name: seen for name, seen in self._samples.items() if name in lives}
            self._planned = {name: planned for name, planned in self._planned.items() if name in operations}

    def _running(self, execution: ScheduleExecution, live: Live | None, now: float, *, is_paused: bool) -> Running:
        done = live.bytes_copied if live is not None else execution.bytes_moved
        total = live.bytes_total if live is not None else execution.bytes_planned
        holding = holding_of(execution) or (f"{live.phase}: {live.why}" if live is not None and live.why else "")
        speed = self._speed(execution.execution_id, now, done, is_held=bool(holding))
        return Running(
            execution_id=execution.execution_id,
            schedule_id=execution.schedule_id,
            status=execution.status.value,
            start_time=execution.start_time,
            phase=live.phase if live is not None else "",
            path=live.path if live is not None else "",
            source=live.source if live is not None else "",
            destination=live.destination if live is not None else "",
            beside=live.beside if live is not None else 0,
            holding=holding,
            is_paused=is_paused,
            files_moved=execution.files_moved,
            moves_done=live.moves_done if live is not None else execution.moves_done,
            moves_total=live.moves_total if live is not None else execution.moves_planned,
            bytes_done=done,
            bytes_total=total,
            percent=min(100.0, 100.0 * done / total) if total else 0.0,
            bytes_per_second=speed,
            seconds_left=(total - done) / speed if speed and total > done else None,
        )

    def _speed(self, execution_id: str, now: float, done: int, *, is_held: bool) -> float | None:
        """Return bytes per second over the last looks; None before there are two that are apart, and while it is held."""
        with self._lock:
            samples = self._samples.setdefault(execution_id, deque(maxlen=120))
            if is_held or (samples and samples[-1][0] > now):  # a pause is no speed, and the clock may be set back
                samples.clear()
            samples.append((now, done))
            while len(samples) > 2 and now - samples[1][0] >= _SPEED_OVER:
                samples.popleft()
            begun, before = samples[0]
        return max(0.0, (done - before) / (now - begun)) if now - begun >= 1.0 else None

    # -- what comes -----------------------------------------------------------------------------------------------

    def _firings(self, schedules: Sequence[Schedule], now: float, timezone: str, problems: list[str]) -> list[Firing]:
        found: list[Firing] = []
        known, self._slots = self._slots, {}
        for schedule in schedules:
            slots = known.get(schedule.schedule_id)
            if slots is None or not slots.count(schedule, now, timezone):
                look = partial(upcoming, schedule, now=now, count=NEXT, machine_timezone=timezone)
                fresh = _or_nothing(problems, look)
                slots = _Slots(schedule, timezone, now, tuple(fresh))
            self._slots[schedule.schedule_id] = slots
            found += [
                Firing(schedule_id=schedule.schedule_id, name=schedule.name, at=slot.at, local=slot.local)
                for slot in slots.slots
            ]
        return sorted(found, key=lambda one: (one.at, one.schedule_id))[:NEXT]


@dataclass(frozen=True, slots=True)
class _Slots:
    """The slots to come of a schedule, as they were computed at ``at``."""

    schedule: Schedule
    timezone: str
    at: float
    slots: tuple[Slot, ...]

    def count(self, schedule: Schedule, now: float, timezone: str) -> bool:
        """Return whether they would be the same now."""
        is_same = (schedule, timezone) == (self.schedule, self.timezone) and now >= self.at
        return is_same and (not self.slots or now < self.slots[0].at)


def planned_by(operation: Operation) -> dict[str, int]:
    """Return the bytes that each disk with a part in the plan, by its path, holds when all of it is carried out.

    They follow from what the disks held when the plan was made, and so stand still while it is carried out.
    """
    disks = {disk.name: disk for disk in operation.disks}
    planned: dict[str, int] = {}
    for move in operation.moves:
        for name, size in ((move.source, -move.size_bytes), (move.destination, move.size_bytes)):
            if disk := disks.get(name):
                planned[disk.path] = planned.get(disk.path, disk.used_bytes) + size
    return planned


def hold_of(engine: Engine) -> HoldNote | None:
    """Return what keeps everything new from starting; None when nothing does.

    The presence of the note holds, whatever it says: one that cannot be read says so instead of a reason.
    """
    path = engine.folders.hold
    try:
        return records.read(path, HoldNote)
    except NotFoundError:
        return None
    except RebalancerError as error:
        since = 0.0
        with suppress(OSError):
            since = path.lstat().st_mtime
        return HoldNote(reason=f"its note cannot be read: {error}", actor="nobody knows who", since=since)


def _spread(disks: Sequence[Disk]) -> float:
    used = [disk.used_percent for disk in disks]
    return max(used) - min(used) if used else 0.0


def _average_percent(disks: Sequence[Disk]) -> float:
    size = sum(disk.size_bytes for disk in disks)
    return 100.0 * sum(disk.used_bytes for disk in disks) / size if size else 0.0


def _or_nothing(problems: list[str], look: Callable[[], Sequence[records.T]]) -> list[records.T]:
    """Return what is found, as a list; what cannot be looked at is noted among the problems."""
    try:
        return list(look())
    except (RebalancerError, OSError) as error:
        problems.append(str(error))
        return []


def _nothing(now: float, problems: Sequence[str]) -> Overview:
    return Overview(
        at=now,
        disks=(),
        spread=0.0,
        average_percent=0.0,
        fullest="",
        running=(),
        next=(),
        last=(),
        schedules=0,
        hold=None,
        problems=tuple(problems),
        settings_path="config.toml",
    )
