"""Plans that the dashboard asked for: each made by a process of its own, found again after a restart of the dashboard.

A plan is a few files of one name in the runtime folder: what was asked for, what the process said, and the plan itself
once it is made. There is no other state, so that every look tells the truth.
"""

import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from rebalancer import records
from rebalancer.array.disk import Disk
from rebalancer.errors import NotFoundError, NotNowError, RebalancerError, RefusedError, UsageError
from rebalancer.executions.execution import ProcessIdentity, ScheduleExecution
from rebalancer.executions.process import is_alive
from rebalancer.executions.process_table import open_files
from rebalancer.executions.starting import ask_to_stop
from rebalancer.planning.document import check_plan
from rebalancer.planning.plan import Plan, PlannedDisk
from rebalancer.planning.selection import Selection
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.written import arguments_of
from rebalancer.state import StateFolders, ensure
from rebalancer.web.starts import Starts, said_last

MOST_KEPT = 20
MOST_AT_ONCE = 3
LARGEST_SHOWN = 2**26  # bytes, some 500,000 moves; the web process reads no larger plan into its memory
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}", re.ASCII)
_PLAN, _ASKED, _SAID, _RUN = ".json", ".asked.json", ".log", ".run.log"
_WITHOUT_A_WORD = "its process ended without a word: it was killed, or the machine was restarted"


class PlanState(Enum):
    """Where a plan stands; only a running one changes by itself."""

    RUNNING = "running"  #: the disks are scanned, or the plan is computed
    DONE = "done"  #: the plan can be read and carried out
    FAILED = "failed"  #: the program said why there is no plan
    CANCELLED = "cancelled"  #: somebody cancelled it before it was made
    GONE = "gone"  #: its process ended without a word


class PlanFigures(Struct, frozen=True, kw_only=True):
    """A plan in short. Spread in percentage points."""

    moves: int
    bytes_to_move: int
    lower_bound_bytes: int
    spread_before: float
    spread_after: float
    would_run: bool  # whether a disk is as full as the schedule asks for; always so without a schedule


class PlanJob(Struct, frozen=True, kw_only=True):
    """A plan that was asked for. ``requested_at`` is seconds since 1970 (UTC)."""

    plan_id: str
    state: PlanState
    selection: Selection
    disks: tuple[str, ...]  # as ``--disk`` names them; empty: discovered
    schedule_id: str  # whose plan it is; empty when it is nobody's
    above_percent: float | None  # the schedule's
    actor: str
    requested_at: float
    seconds: float | None  # how long it takes, or took; None when that is not known
    problem: str  # why there is no plan, as a sentence; empty when there is one, or while it is made
    is_stopping: bool  # whether it was cancelled and has not ended yet
    figures: PlanFigures | None  # of a plan that is done


class _Asked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a request; ``process`` is None when it had ended before it could be looked at."""

    selection: Selection
    disks: tuple[str, ...] = ()
    schedule_id: str = ""
    above_percent: float | None = None
    actor: str = ""
    requested_at: float = 0.0
    process: ProcessIdentity | None = None
    cancelled_by: str = ""


class _Head(Struct, frozen=True, kw_only=True):
    """As much of a plan as its figures need; the moves are only counted."""

    disks: tuple[PlannedDisk, ...]
    moves: tuple[msgspec.Raw, ...]
    bytes_to_move: int
    lower_bound_bytes: int
    spread_before: float
    spread_after: float


@dataclass(eq=False)
class Plans:
    """Has plans made, and carried out; ``clock`` returns seconds since 1970 (UTC). Safe to use from many threads."""

    folders: StateFolders
    starts: Starts
    clock: Callable[[], float]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _figures: dict[str, PlanFigures | None] = field(default_factory=dict)

    def begin(
        self, selection: Selection, *, actor: str, disks: Sequence[str] = (), schedule: Schedule | None = None
    ) -> PlanJob:
        """Have a plan made; it changes nothing on any disk.

        Raises NotNowError when the same plan, or `MOST_AT_ONCE` others, are being made; UsageError for a name that
        no command line can hold; RefusedError when it cannot be started or noted.
        """
        asked = _Asked(
            selection=selection,
            disks=tuple(disks),
            schedule_id=schedule.schedule_id if schedule is not None else "",
            above_percent=schedule.above_percent if schedule is not None else None,
            actor=actor,
            requested_at=self.clock(),
        )
        with self._lock:
            jobs = list(self._jobs())
            _demand_room(asked, [job for job in jobs if job.state is PlanState.RUNNING])
            self._forget_oldest(jobs)
            return self._begin(asked)

    def of_schedule(self, schedule: Schedule, *, actor: str) -> PlanJob:
        """Have the plan made that a schedule would carry out if it fired now; raises what `begin` raises."""
        return self.begin(schedule.selection, actor=actor, disks=schedule.disks, schedule=schedule)

    def kept(self) -> list[PlanJob]:
        """Return those that are kept, the newest first."""
        return sorted(self._jobs(), key=lambda job: (job.requested_at, job.plan_id), reverse=True)

    def get(self, plan_id: str) -> PlanJob:
        """Return one; raises NotFoundError."""
        return self._job(plan_id, self._asked(plan_id))

    def plan(self, plan_id: str) -> Plan:
        """Return the plan itself.

        Raises NotFoundError when there is none (yet), RefusedError when it is too large to be shown, UsageError for
        one that the program would not carry out.
        """
        file = self.file(plan_id)
        if file.stat().st_size > LARGEST_SHOWN:
            raise RefusedError(f"the plan is too large to be shown; carry it out with: run --plan {file}")
        plan = records.read(file, Plan, limit=LARGEST_SHOWN)
        check_plan(plan)
        return plan

    def file(self, plan_id: str) -> Path:
        """Return where a plan that was made lies; raises NotFoundError."""
        self._asked(plan_id)
        file = self._path(plan_id, _PLAN)
        if not file.is_file():
            raise NotFoundError(f"{plan_id}: there is no plan yet, or none was made")
        return file

    def reading(self, plan_id: str, disks: Iterable[Disk]) -> tuple[str, ...]:
        """Return the names of the disks that the process of a plan has open now; none of them is asked for that.

        Raises NotFoundError.
        """
        process = self._asked(plan_id).process
        if process is None or not is_alive(process):
            return ()
        files = open_files(process.pid)
        return tuple(disk.name for disk in disks if any(f"{file}/".startswith(f"{disk.path}/") for file in files))

    def cancel(self, plan_id: str, *, actor: str) -> PlanJob:
        """Ask the process that makes a plan to stop; nothing happens when it has ended.

        Raises NotFoundError, and RefusedError when the process cannot be proven to be ours.
        """
        with self._lock:
            asked = self._asked(plan_id)
            process = asked.process
            if process is not None and self._job(plan_id, asked).state is PlanState.RUNNING:
                asked = structs.replace(asked, cancelled_by=actor)
                self._note(plan_id, asked)
                ask_to_stop(process)
        return self._job(plan_id, asked)

    def remove(self, plan_id: str) -> None:
        """Forget a plan; raises NotFoundError, and NotNowError while it is being made."""
        with self._lock:
            if self.get(plan_id).state is PlanState.RUNNING:
                raise NotNowError("it is being made; cancel it first")
            self._remove(plan_id)

    def run(self, plan_id: str, options: Selection) -> ScheduleExecution | None:
        """Carry a plan out, with the limits of ``options`` in force; returns its execution as `Starts.plan` does.

        Raises NotFoundError when there is no plan, and what `Starts.plan` raises.
        """
        file, asked = self.file(plan_id), self._asked(plan_id)
        log = self._path(plan_id, _RUN)
        log.unlink(missing_ok=True)  # what an earlier run said is not what this one says
        limits = Selection(
            max_runtime=options.max_runtime,
            bandwidth_limit=options.bandwidth_limit,
            moves_at_once=options.moves_at_once,
            verify=options.verify,
            min_age=asked.selection.min_age,
        )
        return self.starts.plan(f"--plan={file}", *arguments_of(limits), log=log)

    def _begin(self, asked: _Asked) -> PlanJob:
        plan_id = _new_id(asked.requested_at)
        file = ensure(self._folder) / f"{plan_id}{_PLAN}"
        words = [*(f"--disk={disk}" for disk in asked.disks), *arguments_of(asked.selection)]
        if any("\0" in word for word in words):
            raise UsageError("a name cannot hold the character of number zero")
        process = self.starts.marked("--quiet", "plan", f"--save={file}", *words, log=self._path(plan_id, _SAID))
        asked = structs.replace(asked, process=process)
        try:
            self._note(plan_id, asked)
        except RebalancerError:
            if process is not None:  # nobody would know of it
                ask_to_stop(process)
            raise
        return self._job(plan_id, asked)

    def _jobs(self) -> Iterator[PlanJob]:
        for plan_id in self._ids():
            with suppress(RebalancerError):  # removed meanwhile, or not to be believed
                yield self.get(plan_id)

    def _ids(self) -> set[str]:
        with suppress(OSError):
            return {name for file in self._folder.iterdir() if _ID.fullmatch(name := file.name.partition(".")[0])}
        return set()

    def _job(self, plan_id: str, asked: _Asked) -> PlanJob:
        state, problem = self._state(plan_id, asked)
        return PlanJob(
            plan_id=plan_id,
            state=state,
            selection=asked.selection,
            disks=asked.disks,
            schedule_id=asked.schedule_id,
            above_percent=asked.above_percent,
            actor=asked.actor,
            requested_at=asked.requested_at,
            seconds=self._seconds(plan_id, state, asked.requested_at),
            problem=problem,
            is_stopping=state is PlanState.RUNNING and bool(asked.cancelled_by),
            figures=self._figures_of(plan_id, asked.above_percent) if state is PlanState.DONE else None,
        )

    def _state(self, plan_id: str, asked: _Asked) -> tuple[PlanState, str]:
        """Return how a plan stands, and why there is none. The plan's file appears whole or not at all."""
        is_running = asked.process is not None and is_alive(asked.process)  # asked before the file, which it writes
        if self._path(plan_id, _PLAN).is_file():
            return PlanState.DONE, ""
        if is_running:
            return PlanState.RUNNING, ""
        if asked.cancelled_by:
            return PlanState.CANCELLED, f"cancelled by {asked.cancelled_by} before it was made"
        if said := said_last(self._path(plan_id, _SAID)):
            return PlanState.FAILED, said
        return PlanState.GONE, _WITHOUT_A_WORD

    def _seconds(self, plan_id: str, state: PlanState, since: float) -> float | None:
        if state is PlanState.RUNNING:
            return max(0.0, self.clock() - since)
        try:
            return max(0.0, self._path(plan_id, _PLAN).stat().st_mtime - since)
        except OSError:
            return None

    def _figures_of(self, plan_id: str, above_percent: float | None) -> PlanFigures | None:
        """Return a plan in short, read once; None for one that cannot be read, or is too large to be."""
        with suppress(KeyError):
            return self._figures[plan_id]
        try:
            head = records.read(self._path(plan_id, _PLAN), _Head, limit=LARGEST_SHOWN)
        except RebalancerError:
            found = None
        else:
            found = _figures_of(head, above_percent)
        self._figures[plan_id] = found
        return found

    def _asked(self, plan_id: str) -> _Asked:
        if not _ID.fullmatch(plan_id):
            raise NotFoundError("there is no such plan")
        try:
            return records.read(self._path(plan_id, _ASKED), _Asked)
        except NotFoundError as error:
            raise NotFoundError(f"there is no plan {plan_id}; the oldest make room for new ones") from error

    def _note(self, plan_id: str, asked: _Asked) -> None:
        try:
            records.write(self._path(plan_id, _ASKED), asked, durable=False)
        except OSError as error:
            raise RefusedError(f"the plan cannot be noted: {(error.strerror or str(error)).lower()}") from error

    def _forget_oldest(self, jobs: Sequence[PlanJob]) -> None:
        """Make room for one more; files that belong to no request go first."""
        running = {job.plan_id for job in jobs if job.state is PlanState.RUNNING}
        known = [job.plan_id for job in sorted(jobs, key=lambda job: (job.requested_at, job.plan_id))]
        spare = max(0, len(known) - MOST_KEPT + 1)
        strangers = self._ids() - set(known)
        for plan_id in [*strangers, *(one for one in known[:spare] if one not in running)]:
            self._remove(plan_id)

    def _remove(self, plan_id: str) -> None:
        for ending in (_PLAN, _SAID, _RUN, _ASKED):
            self._path(plan_id, ending).unlink(missing_ok=True)
        for half in self._folder.glob(f".{plan_id}.*.tmp"):  # what a killed process had begun to write
            half.unlink(missing_ok=True)
        self._figures.pop(plan_id, None)

    def _path(self, plan_id: str, ending: str) -> Path:
        return self._folder / f"{plan_id}{ending}"

    @property
    def _folder(self) -> Path:
        return self.folders.runtime / "dashboard" / "plans"


def _new_id(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _demand_room(asked: _Asked, running: Sequence[PlanJob]) -> None:
    for job in running:
        if (job.selection, job.disks) == (asked.selection, asked.disks):
            raise NotNowError(f"that plan is being made already: {job.plan_id}")
    if len(running) >= MOST_AT_ONCE:
        raise NotNowError(f"{len(running)} plans are being made already; wait for one of them, or cancel it")


def _figures_of(head: _Head, above_percent: float | None) -> PlanFigures:
    return PlanFigures(
        moves=len(head.moves),
        bytes_to_move=head.bytes_to_move,
        lower_bound_bytes=head.lower_bound_bytes,
        spread_before=head.spread_before,
        spread_after=head.spread_after,
        would_run=above_percent is None
        or any(disk.size_bytes and 100 * disk.used_bytes / disk.size_bytes > above_percent for disk in head.disks),
    )
