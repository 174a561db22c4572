"""The supervisor of an execution: records it, locks its disks, starts its worker, watches it, settles it."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from msgspec import structs

from rebalancer import records
from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.errors import RebalancerError
from rebalancer.executions.execution import LEFT_SHOWN, DiskFill, ExecutionStatus, LeftFile, ScheduleExecution
from rebalancer.executions.journal import Journal
from rebalancer.executions.locks import lock_disks
from rebalancer.executions.outcome import Facts, judge
from rebalancer.executions.store import ExecutionStore, new_id
from rebalancer.executions.worker_process import GRACE, WorkerProcess
from rebalancer.state import StateFolders, ensure
from rebalancer.transfer.messages import Finished, Left, Message, Progress
from rebalancer.transfer.operation import Operation

_PROGRESS_EVERY = 1.0  # seconds between two writes of the live progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one execution is to do; ``measure`` returns the disks' fill anew, times are in seconds."""

    operation: Operation
    measure: Callable[[], Sequence[Disk]]
    schedule_id: str = "manual"
    max_runtime: int | None = None


@dataclass(frozen=True, slots=True)
class Runner:
    """Carries jobs out; the wall clock is an argument, durations are taken from the monotonic one."""

    folders: StateFolders
    cancel: Cancel
    on_message: Callable[[Message], None]
    clock: Callable[[], float]

    def run(self, job: Job) -> ScheduleExecution:
        """Finish what earlier runs began on these disks, then carry the job out; returns the final record.

        Raises NotNowError when another run works on one of the disks and RefusedError when the state
        folder cannot hold the record: then nothing was moved.
        """
        now = self.clock()
        execution_id = new_id(job.schedule_id, now=now)
        store = ExecutionStore(self.folders.executions)
        with ExitStack() as stack:
            lock_disks(job.operation.disks, self.folders.locks, holder=f"execution {execution_id}", stack=stack)
            log = stack.enter_context(_open_log(self.folders.logs, execution_id))
            supervision = Supervision(
                self, job, _new_record(job, execution_id, now), Journal(self.folders.operations), log
            )
            store.save(supervision.execution)
            execution = supervision.carry_out(save=store.save)
            store.save(execution)
        return execution


@dataclass(eq=False)
class Supervision:
    """One execution from its first record to its last."""

    runner: Runner
    job: Job
    execution: ScheduleExecution
    journal: Journal
    log: IO[bytes]
    started: float = field(default_factory=time.monotonic)
    left: list[LeftFile] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)
    bytes_moved: int = 0
    _before: tuple[int, int, int] = (0, 0, 0)  # files, bytes and moves of the workers that have ended
    _progress_written: float = 0.0

    def carry_out(self, *, save: Callable[[ScheduleExecution], None]) -> ScheduleExecution:
        """Run the workers one after another and return the final record, whatever happens."""
        try:
            for earlier in self.journal.unfinished(self.job.operation.disks):
                if self._may_go_on():
                    self._work(self.journal.begin(earlier), earlier, only_begun=True, save=save)
            operation = self._without_begun_units()
            if operation.moves and self._may_go_on():
                self._work(self.journal.begin(operation), operation, only_begun=False, save=save)
        except RebalancerError as error:
            self.facts = replace(self.facts, error=str(error), error_code=error.exit_code)
        except Exception as error:  # noqa: BLE001 - whatever happens, the record tells it
            self.facts = replace(self.facts, error=f"unexpected error: {type(error).__name__}: {error}")
        self._progress_path().unlink(missing_ok=True)
        return self._final_record()

    def _may_go_on(self) -> bool:
        facts = self.facts
        return not (facts.is_cancelled or facts.is_time_up or facts.is_worker_lost or self._stop_reason())

    def _without_begun_units(self) -> Operation:
        """Leave out units that an earlier run began: they only ever go to the disk they were begun for."""
        operation = self.job.operation
        begun = {
            (move.source, member.raw_path)
            for earlier in self.journal.unfinished(operation.disks)
            for move in earlier.moves
            for member in move.members
        }
        moves = [move for move in operation.moves if not any((move.source, m.raw_path) in begun for m in move.members)]
        return structs.replace(operation, moves=tuple(moves))

    # -- one worker ---------------------------------------------------------------------------------------------

    def _work(
        self, path: Path, operation: Operation, *, only_begun: bool, save: Callable[[ScheduleExecution], None]
    ) -> None:
        """Run one worker to its end and settle the journal with what it says."""
        self._before = (self.facts.files_moved, self.bytes_moved, self.facts.moves_done)
        worker = WorkerProcess(path, only_begun=only_begun, log=self.log)
        self.execution = replace(
            self.execution, status=ExecutionStatus.RUNNING, pid=worker.identity.pid, process=worker.identity
        )
        save(self.execution)
        finished = self._listen(worker)
        if self.facts.is_stuck:
            return
        code = worker.exit_code()
        if finished is None:
            self.facts = replace(self.facts, is_worker_lost=True, worker_exit_code=code)
        else:
            self._add(finished)
            self.journal.settle(operation, finished.unfinished)

    def _listen(self, worker: WorkerProcess) -> Finished | None:
        finished, asked_at = None, 0.0
        for message in worker.messages():
            if isinstance(message, Finished):
                finished = message
            elif message is not None:
                self._hear(message)
            if not asked_at and self._stop_reason():
                asked_at = time.monotonic()
                self._note_stop()
                worker.ask_to_stop()
            if asked_at and time.monotonic() - asked_at > GRACE and not worker.kill():
                self.facts = replace(self.facts, is_stuck=True)
                break
        return finished

    def _hear(self, message: Message) -> None:
        if isinstance(message, Left):
            self.facts = replace(
                self.facts,
                files_left=self.facts.files_left + 1,
                first_reason=self.facts.first_reason or message.reason,
            )
            if len(self.left) < LEFT_SHOWN:
                self.left.append(LeftFile(message.disk, message.path, message.reason, message.path_base64))
        elif isinstance(message, Progress):
            files, size, moves = self._before
            self.facts = replace(
                self.facts, files_moved=files + message.files_moved, moves_done=moves + message.moves_done
            )
            self.bytes_moved = size + message.bytes_moved
            self._write_progress(message)
        self.runner.on_message(message)

    def _add(self, finished: Finished) -> None:
        files, size, moves = self._before
        self.facts = replace(
            self.facts,
            files_moved=files + finished.files_moved,
            moves_done=moves + finished.moves_done,
            error=self.facts.error or finished.error,
            is_cancelled=self.facts.is_cancelled or (bool(finished.stopped) and not self.facts.is_time_up),
        )
        self.bytes_moved = size + finished.bytes_moved

    # -- stopping -----------------------------------------------------------------------------------------------

    def _stop_reason(self) -> str:
        if self.runner.cancel.is_requested:
            return self.runner.cancel.reason
        limit = self.job.max_runtime
        return "time is up" if limit is not None and time.monotonic() - self.started > limit else ""

    def _note_stop(self) -> None:
        is_cancelled = self.runner.cancel.is_requested
        self.facts = replace(self.facts, is_cancelled=is_cancelled, is_time_up=not is_cancelled)

    # -- records ------------------------------------------------------------------------------------------------

    def _write_progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._progress_written >= _PROGRESS_EVERY:
            self._progress_written = now
            ensure(self._progress_path().parent)
            records.write(self._progress_path(), progress, durable=False)

    def _progress_path(self) -> Path:
        return self.runner.folders.progress / f"{self.execution.execution_id}.json"

    def _final_record(self) -> ScheduleExecution:
        outcome = judge(self.facts)
        return replace(
            self.execution,
            end_time=self.runner.clock(),
            status=outcome.status,
            exit_code=int(outcome.exit_code),
            error_message=outcome.error_message,
            cause=outcome.cause,
            files_moved=self.facts.files_moved,
            bytes_moved=self.bytes_moved,
            moves_done=self.facts.moves_done,
            files_left=self.facts.files_left,
            left=tuple(self.left),
            duration_seconds=time.monotonic() - self.started,
            pid=None,
            disks_after=_fill(self.job.measure()),
        )


def _new_record(job: Job, execution_id: str, now: float) -> ScheduleExecution:
    return ScheduleExecution(
        execution_id=execution_id,
        schedule_id=job.schedule_id,
        start_time=now,
        operation_id=job.operation.operation_id,
        moves_planned=len(job.operation.moves),
        bytes_planned=sum(move.size_bytes for move in job.operation.moves),
        disks_before=_fill(job.measure()),
    )


def _fill(disks: Sequence[Disk]) -> tuple[DiskFill, ...]:
    return tuple(DiskFill(disk.name, disk.path, disk.size_bytes, disk.used_bytes) for disk in disks)


def _open_log(folder: Path, execution_id: str) -> IO[bytes]:
    return (ensure(folder) / f"{execution_id}.log").open("ab")
