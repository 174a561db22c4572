"""One execution from its first record to its last: waiting, working, concluding."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from msgspec import structs

from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.errors import CancelledError, NotNowError, RebalancerError
from rebalancer.executions import array_stop, live, pausing, request
from rebalancer.executions.execution import DiskFill, ExecutionStatus, ScheduleExecution
from rebalancer.executions.index import Index
from rebalancer.executions.job import Job
from rebalancer.executions.journal import Journal
from rebalancer.executions.outcome import Facts, judge
from rebalancer.executions.patience import Patience
from rebalancer.executions.process import identity_of
from rebalancer.executions.request import StopAction, StopRequest
from rebalancer.executions.store import ExecutionStore, new_id
from rebalancer.executions.supervision import Supervision
from rebalancer.executions.telling import Teller
from rebalancer.executions.timeline import Timeline
from rebalancer.executions.waiting import HeldError, wait_for_turn
from rebalancer.executions.worker_process import WorkerProcess
from rebalancer.guards.hold import Hold, in_words
from rebalancer.state import StateFolders, ensure
from rebalancer.transfer.messages import Message

EMERGENCY_HOLD = "an emergency stop keeps everything from starting until: unraid-rebalancer emergency-stop release"


@dataclass(frozen=True, slots=True)
class Runner:
    """Carries jobs out; the wall clock is an argument, durations are taken from the monotonic one."""

    folders: StateFolders
    cancel: Cancel
    on_message: Callable[[Message], None]
    clock: Callable[[], float]
    teller: Teller  # of what happens on the way; of the end tells whoever knows that there is no other attempt

    @property
    def store(self) -> ExecutionStore:
        """The records; the index is told of what is saved here."""
        return Index(self.folders).store

    def run(self, job: Job) -> ScheduleExecution:
        """Finish what earlier runs began on these disks, then carry the job out; returns the final record.

        Raises NotNowError when something holds a job that may not wait or an emergency stop keeps everything from
        starting, and RefusedError when the state folder cannot hold the record: then nothing was moved and nothing
        is recorded.
        """
        if os.path.lexists(self.folders.hold):
            raise NotNowError(EMERGENCY_HOLD)
        now = self.clock()
        execution = new_record(job, now=now)
        with ExitStack() as stack:
            stack.enter_context(_alive(self.folders.locks, execution.execution_id))
            log = stack.enter_context(_open_log(self.folders.logs, execution.execution_id))
            return _Run(self, job, execution, log).carry_out(stack)


@dataclass(eq=False)
class _Run:
    runner: Runner
    job: Job
    execution: ScheduleExecution
    log: IO[bytes]
    facts: Facts = field(default_factory=Facts)
    supervision: Supervision | None = None
    _waited_from: float = field(default_factory=time.monotonic)
    _worked_from: float | None = None

    def __post_init__(self) -> None:
        self.store = self.runner.store
        self.patience = Patience(self.runner.teller.held_after)
        self.timeline = Timeline(self.runner.clock)
        self.timeline.add("due", self.job.slot) if self.job.slot else self.timeline.add("asked for")

    def carry_out(self, stack: ExitStack) -> ScheduleExecution:
        try:
            locks = self._wait(stack)
            self._start(locks, stack)
        except (CancelledError, HeldError) as error:
            self._end_without_work(error)
        except RebalancerError as error:
            if not self.job.max_wait:  # whoever asked is there to hear it
                raise
            self.facts = replace(self.facts, error=str(error), error_code=error.exit_code)
        else:
            self._work()
        return self._conclude()

    @property
    def _progress_path(self) -> Path:
        return self.runner.folders.progress / f"{self.execution.execution_id}.json"

    # -- before the work ----------------------------------------------------------------------------------------

    def _wait(self, stack: ExitStack) -> Sequence[int]:
        return wait_for_turn(
            replace(self.job, holds=lambda disks: [*self._by_hand(), *self.job.holds(disks)]),
            locks=self.runner.folders.locks,
            holder=f"execution {self.execution.execution_id}",
            stack=stack,
            cancel=self.runner.cancel,
            on_held=self._held,
        )

    def _held(self, holds: Sequence[Hold]) -> None:
        self.timeline.hold("held", holds)
        progress = structs.replace(live.NOTHING_DONE, phase="held", why=in_words(holds))
        live.show(self._progress_path, progress, self.timeline.events())
        self.runner.on_message(progress)
        if not self.store.path_of(self.execution.execution_id).exists():
            self._save(ExecutionStatus.PENDING)
        self._tell_of_long_hold(holds, gives_up_after=self.job.max_wait)

    def _pauses(self, disks: Sequence[Disk]) -> Sequence[Hold]:
        holds = [*self._by_hand(), *self.job.pauses(disks)]
        self._tell_of_long_hold(holds, gives_up_after=None)
        return holds

    def _by_hand(self) -> Sequence[Hold]:
        return pausing.holds_of(self.runner.folders, self.execution.execution_id)

    def _tell_of_long_hold(self, holds: Sequence[Hold], *, gives_up_after: float | None) -> None:
        seconds = self.patience.lost_after(holds, now=time.monotonic())
        if seconds is not None:
            reasons = [hold.reason for hold in holds]
            self.runner.teller.held(self.execution, reasons=reasons, seconds=seconds, gives_up_after=gives_up_after)

    def _end_without_work(self, error: RebalancerError) -> None:
        if isinstance(error, HeldError):
            self.facts = replace(self.facts, held=str(error))
        else:
            self.facts = replace(self.facts, is_cancelled=True)

    # -- the work -----------------------------------------------------------------------------------------------

    def _start(self, locks: Sequence[int], stack: ExitStack) -> None:
        """Start the worker, idle, and write the record that names it: one write for the start of an execution."""
        worker = WorkerProcess(log=self.log, locks=locks)
        stack.callback(worker.close)
        folders = self.runner.folders
        self.timeline.let_go("started")
        self._worked_from = time.monotonic()
        self.supervision = Supervision(
            job=replace(self.job, pauses=self._pauses),
            worker=worker,
            journal=Journal(folders.operations),
            timeline=self.timeline,
            cancel=self.runner.cancel,
            progress_path=self._progress_path,
            on_message=self.runner.on_message,
        )
        self.execution = replace(
            self.execution,
            worker=worker.identity,
            disks_before=_fill(self.job.measure()),
            start_time=self.runner.clock(),
        )
        self._save(ExecutionStatus.RUNNING)
        self.runner.teller.started(self.execution)

    def _work(self) -> None:
        supervision = self.supervision
        assert supervision is not None  # noqa: S101 - `_start` made it
        try:
            supervision.work()
            self.facts = supervision.facts
        except CancelledError as error:  # while it scanned or planned
            self.timeline.add("asked to stop", str(error))
            self.facts = replace(supervision.facts, is_cancelled=True)
        except RebalancerError as error:
            self.facts = replace(supervision.facts, error=str(error), error_code=error.exit_code)
        except Exception as error:  # noqa: BLE001 - whatever happens, the record tells it
            self.facts = replace(supervision.facts, error=f"unexpected error: {type(error).__name__}: {error}")
        self._blame_array_stop(supervision)
        self._blame_request()

    def _blame_array_stop(self, supervision: Supervision) -> None:
        """Call it stopped when the array's stop was seen first by who found the disks gone, and took them for useless."""
        cancel = self.runner.cancel
        cancel.look()
        is_whole = 0 < supervision.moves_planned == self.facts.moves_done and not self.facts.files_left
        if cancel.reason == array_stop.ARRAY_STOPS and not self.facts.is_cancelled and not is_whole:
            self.timeline.add("asked to stop", cancel.reason)
            self.facts = replace(self.facts, is_cancelled=True)

    def _blame_request(self) -> None:
        """Call it stopped when its worker got the signal first: one that had not begun to listen ends at once."""
        if not self.facts.is_worker_lost or self.facts.is_cancelled:
            return
        asked = self._asked()
        if asked is not None or self.runner.cancel.is_requested:
            self.timeline.add("asked to stop", asked.reason if asked is not None else self.runner.cancel.reason)
            self.facts = replace(self.facts, is_cancelled=True)

    # -- the record ---------------------------------------------------------------------------------------------

    def _save(self, status: ExecutionStatus) -> None:
        self.execution = replace(self.execution, status=status, timeline=self.timeline.events())
        self.store.save(self.execution)

    def _conclude(self) -> ScheduleExecution:
        execution_id = self.execution.execution_id
        asked = self._asked() if self.facts.is_cancelled else None
        is_array_stopping = asked is not None and asked.action is StopAction.ARRAY_STOP
        outcome = judge(replace(self.facts, request=asked))
        now = time.monotonic()
        worked = now - self._worked_from if self._worked_from is not None else 0.0
        paused = self.supervision.paused_seconds if self.supervision is not None else 0.0
        self.timeline.add("ended", f"{outcome.status.value}: {outcome.error_message or outcome.cause}")
        self.execution = replace(
            self.execution,
            end_time=self.runner.clock(),
            exit_code=int(outcome.exit_code),
            error_message=outcome.error_message,
            cause=outcome.cause,
            actor=asked.actor if asked is not None else "",
            duration_seconds=worked - paused,
            held_seconds=(now - self._waited_from) - worked + paused,
            pid=None,
        )
        if self.supervision is not None:
            self._add_figures(self.supervision)
            if not is_array_stopping:  # else the disks are being unmounted: nobody looks at them any more
                self.execution = replace(self.execution, disks_after=_fill(self.job.measure()))
        self._save(outcome.status)
        request.forget(self.runner.folders, execution_id)
        with suppress(OSError):
            pausing.let_go(self.runner.folders, execution_id)
        self._progress_path.unlink(missing_ok=True)
        return self.execution

    def _add_figures(self, supervision: Supervision) -> None:
        self.execution = replace(
            self.execution,
            operation_id=supervision.operation_id,
            files_moved=self.facts.files_moved,
            bytes_moved=supervision.bytes_moved,
            moves_planned=supervision.moves_planned,
            bytes_planned=supervision.bytes_planned,
            moves_done=self.facts.moves_done,
            files_left=self.facts.files_left,
            left=tuple(supervision.left),
        )

    def _asked(self) -> StopRequest | None:
        """Return who asked for the stop and why; None when nobody said so."""
        asked = request.read(self.runner.folders, self.execution.execution_id)
        reason = self.runner.cancel.reason
        if asked is None and reason == array_stop.ARRAY_STOPS:
            return StopRequest(action=StopAction.ARRAY_STOP, reason=reason, actor=array_stop.ACTOR)
        return asked


def new_record(job: Job, *, now: float) -> ScheduleExecution:
    """Return the record of an execution that this process stands for."""
    return ScheduleExecution(
        execution_id=new_id(job.schedule_id, now=now),
        schedule_id=job.schedule_id,
        start_time=now,
        pid=os.getpid(),
        process=identity_of(os.getpid(), ""),
        slot=job.slot,
        fired_by=job.fired_by,
        attempt=job.attempt,
    )


def _fill(disks: Sequence[Disk]) -> tuple[DiskFill, ...]:
    return tuple(DiskFill(disk.name, disk.path, disk.size_bytes, disk.used_bytes) for disk in disks)


@contextmanager
def _alive(folder: Path, execution_id: str) -> Iterator[None]:
    """Hold a kernel lock while the supervisor lives; it ends with the process, however that ends (flock(2))."""
    path = ensure(folder) / f"execution-{execution_id}.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
        path.unlink(missing_ok=True)
    finally:
        os.close(fd)


def _open_log(folder: Path, execution_id: str) -> IO[bytes]:
    return (ensure(folder) / f"{execution_id}.log").open("ab")
