"""What the first page and the first question of a program show: disks, what runs, what comes, what was."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from rebalancer import records
from rebalancer.array.disk import Disk
from rebalancer.engine import Engine
from rebalancer.errors import RebalancerError
from rebalancer.executions import checking
from rebalancer.executions.control import HoldNote
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.live import Live
from rebalancer.executions.monitor import ScheduleMonitor
from rebalancer.executions.story import holding_of
from rebalancer.planning.capacity import reserve_of
from rebalancer.planning.selection import Selection
from rebalancer.schedules.upcoming import upcoming
from rebalancer.transfer.operation import Operation
from rebalancer.web.sights import DiskSights, RecentExecutions

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
    running: tuple[Running, ...]
    next: tuple[Firing, ...]
    last: tuple[ScheduleExecution, ...]
    schedules: int
    hold: HoldNote | None  # what keeps everything new from starting
    problems: tuple[str, ...]  # what could not be looked at just now, in sentences


@dataclass(eq=False)
class OverviewSource:
    """Looks at everything anew each time; only speeds and the plans of what runs are remembered between two looks."""

    open_engine: Callable[[], Engine]
    clock: Callable[[], float]  # seconds since 1970 (UTC)
    _disks: DiskSights = field(default_factory=DiskSights)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _samples: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)
    _operations: dict[str, Operation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._last = RecentExecutions(self.clock, LAST)

    def look(self) -> Overview:
        """Return how everything stands; what cannot be looked at is named among the problems."""
        problems: list[str] = []
        now = self.clock()
        try:
            engine = self.open_engine()
        except RebalancerError as error:
            return _nothing(now, str(error))
        running = _or_nothing(problems, ScheduleMonitor.of(engine.folders).get_running_executions)
        self._forget_all_but({one.execution_id for one in running})
        disks = _or_nothing(problems, lambda: self._disks.look(engine, is_busy=bool(running)))
        schedules = _or_nothing(problems, engine.schedules.list)
        problems += _or_nothing(problems, engine.schedules.damaged)
        firings = [
            Firing(schedule_id=one.schedule_id, name=one.name, at=slot.at, local=slot.local)
            for one in schedules
            for slot in upcoming(one, now=now, count=NEXT, machine_timezone=engine.timezone)
        ]
        used = [disk.used_percent for disk in disks if disk.is_usable]
        return Overview(
            at=now,
            disks=tuple(self._bars(engine, disks, running)),
            spread=max(used) - min(used) if used else 0.0,
            running=tuple(self._running(engine, one, now) for one in running),
            next=tuple(sorted(firings, key=lambda one: (one.at, one.schedule_id))[:NEXT]),
            last=tuple(_or_nothing(problems, lambda: self._last.look(engine))),
            schedules=len(schedules),
            hold=hold_of(engine),
            problems=tuple(dict.fromkeys(problems)),
        )

    def _bars(self, engine: Engine, disks: Sequence[Disk], running: Sequence[ScheduleExecution]) -> list[DiskBar]:
        coming: dict[str, int] = {}
        for execution in running:
            for path, size in self._changes(engine, execution).items():
                coming[path] = coming.get(path, 0) + size
        selection = Selection(reserve=engine.settings.reserve)
        return [
            DiskBar(
                name=disk.name,
                path=disk.path,
                size_bytes=disk.size_bytes,
                used_bytes=disk.used_bytes,
                free_bytes=disk.free_bytes,
                used_percent=disk.used_percent,
                planned_used_bytes=min(max(disk.used_bytes + coming.get(disk.path, 0), 0), disk.size_bytes),
                reserve_bytes=reserve_of(disk, selection) if disk.size_bytes else 0,
                status=disk.status.value,
                reason=disk.reason,
            )
            for disk in disks
        ]

    def _changes(self, engine: Engine, execution: ScheduleExecution) -> dict[str, int]:
        """Return by how much each disk, by its path, still grows or shrinks when the execution does all it planned."""
        live = _live_of(engine, execution.execution_id)
        operation = self._operation(engine, live.operation_id) if live is not None and live.operation_id else None
        if live is None or operation is None:
            return {}
        done = live.bytes_copied / live.bytes_total if live.bytes_total else 0.0
        paths = {disk.name: disk.path for disk in operation.disks}
        changes: dict[str, int] = {}
        for move in operation.moves:
            rest = int(move.size_bytes * (1.0 - min(done, 1.0)))
            changes[paths[move.source]] = changes.get(paths[move.source], 0) - rest
            changes[paths[move.destination]] = changes.get(paths[move.destination], 0) + rest
        return changes

    def _operation(self, engine: Engine, operation_id: str) -> Operation | None:
        """Return a plan that is being carried out, read once while something runs."""
        with self._lock:
            known = self._operations.get(operation_id)
        if known is None and checking.is_id(operation_id):
            try:
                known = records.read(
                    engine.folders.operations / f"{operation_id}.json", Operation, limit=records.DOCUMENT_LIMIT
                )
            except RebalancerError:  # it has just ended
                return None
            with self._lock:
                self._operations[operation_id] = known
        return known

    def _forget_all_but(self, execution_ids: set[str]) -> None:
        with self._lock:
            self._samples = {name: seen for name, seen in self._samples.items() if name in execution_ids}
            if not execution_ids:
                self._operations.clear()

    def _running(self, engine: Engine, execution: ScheduleExecution, now: float) -> Running:
        live = _live_of(engine, execution.execution_id)
        done = live.bytes_copied if live is not None else execution.bytes_moved
        total = live.bytes_total if live is not None else execution.bytes_planned
        holding = holding_of(execution) or (f"{live.phase}: {live.why}" if live is not None and live.why else "")
        speed = None if holding else self._speed(execution.execution_id, now, done)
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
            files_moved=execution.files_moved,
            moves_done=live.moves_done if live is not None else execution.moves_done,
            moves_total=live.moves_total if live is not None else execution.moves_planned,
            bytes_done=done,
            bytes_total=total,
            percent=min(100.0, 100.0 * done / total) if total else 0.0,
            bytes_per_second=speed,
            seconds_left=(total - done) / speed if speed and total > done else None,
        )

    def _speed(self, execution_id: str, now: float, done: int) -> float | None:
        """Return bytes per second over the last looks; None before there are two that are apart."""
        with self._lock:
            samples = self._samples.setdefault(execution_id, deque(maxlen=120))
            samples.append((now, done))
            while len(samples) > 2 and now - samples[0][0] > _SPEED_OVER:
                samples.popleft()
            begun, before = samples[0]
        return max(0.0, (done - before) / (now - begun)) if now - begun >= 1.0 else None


def hold_of(engine: Engine) -> HoldNote | None:
    """Return what keeps everything new from starting; None when nothing does."""
    try:
        return records.read(engine.folders.hold, HoldNote)
    except RebalancerError:
        return None


def _live_of(engine: Engine, execution_id: str) -> Live | None:
    try:
        return records.read(engine.folders.progress / f"{execution_id}.json", Live)
    except RebalancerError:
        return None


def _or_nothing(problems: list[str], look: Callable[[], Sequence[records.T]]) -> list[records.T]:
    """Return what is found, as a list; what cannot be looked at is noted among the problems."""
    try:
        return list(look())
    except (RebalancerError, OSError) as error:
        problems.append(str(error))
        return []


def _nothing(now: float, problem: str) -> Overview:
    return Overview(
        at=now, disks=(), spread=0.0, running=(), next=(), last=(), schedules=0, hold=None, problems=(problem,)
    )
