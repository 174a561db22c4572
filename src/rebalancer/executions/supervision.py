"""The work of one execution, watched: messages become figures, requests become signals, the rest is concluded."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec import structs

from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.errors import ExitCode
from rebalancer.executions import live
from rebalancer.executions.execution import LEFT_SHOWN, LeftFile
from rebalancer.executions.job import Job
from rebalancer.executions.journal import Journal
from rebalancer.executions.outcome import Facts
from rebalancer.executions.timeline import Timeline
from rebalancer.executions.worker_process import GRACE, WorkerProcess
from rebalancer.guards.hold import Hold, in_words
from rebalancer.transfer.messages import Finished, Left, Message, Progress
from rebalancer.transfer.operation import Operation

_PROGRESS_EVERY = 1.0  # seconds between two writes of the live progress
_LOOK_EVERY = 2.0  # seconds between two looks at what may pause the work
_TIME_IS_UP = "time is up"


@dataclass(eq=False, kw_only=True)
class Supervision:
    """Takes one worker through the operations of an execution and keeps what is known of it."""

    job: Job
    worker: WorkerProcess
    journal: Journal
    timeline: Timeline
    cancel: Cancel
    progress_path: Path
    on_message: Callable[[Message], None]
    facts: Facts = field(default_factory=Facts)
    left: list[LeftFile] = field(default_factory=list)
    bytes_moved: int = 0
    moves_planned: int = 0
    bytes_planned: int = 0
    operation_id: str = ""
    _started: float = field(default_factory=time.monotonic)
    _before: tuple[int, int, int] = (0, 0, 0)  # files, bytes and moves of the operations that have ended
    _at_work_on: str = ""  # the operation being carried out, also one that an earlier run began
    _at_work: Sequence[Disk] = ()  # the disks that the operation reads and writes
    _last: Progress = live.NOTHING_DONE  # what the worker last said of the operation
    _holds: Sequence[Hold] = ()  # what pauses it now
    _ended_by: str = ""  # why a guard ended the work; empty when none did
    _paused_before: float = 0.0  # seconds
    _paused_at: float | None = None
    _looked: float = 0.0
    _progress_written: float = 0.0

    @property
    def paused_seconds(self) -> float:
        """How long it has been paused, all pauses together and the present one included."""
        return self._paused_before + (time.monotonic() - self._paused_at if self._paused_at is not None else 0.0)

    def work(self) -> None:
        """Finish what earlier runs began on these disks, then plan and carry out what is to be done."""
        for earlier in list(self.journal.unfinished(self.job.disks())):
            if self._may_go_on():
                self.timeline.add("finishing", f"what operation {earlier.operation_id} began")
                self._carry_out(earlier, only_begun=True)
        if not self._may_go_on():
            return
        operation = self._without_begun_units(self.job.prepare())
        self.operation_id = operation.operation_id
        self.moves_planned = len(operation.moves)
        self.bytes_planned = sum(move.size_bytes for move in operation.moves)
        if operation.moves and self._may_go_on():
            count = len(operation.moves)
            self.timeline.add("moving", f"{count:,} unit{'' if count == 1 else 's'}")
            self._carry_out(operation, only_begun=False)
        if not self.facts.is_worker_lost and not self.facts.is_stuck:
            self.worker.exit_code()

    def _may_go_on(self) -> bool:
        facts = self.facts
        if facts.is_cancelled or facts.time_is_up or facts.is_worker_lost or facts.is_stuck or self._ended_by:
            return False
        if self._stop_reason():
            self._note_stop()
            return False
        return True

    def _without_begun_units(self, operation: Operation) -> Operation:
        """Leave out units that an earlier run began: they only ever go to the disk they were begun for."""
        begun = {
            (move.source, member.raw_path)
            for earlier in self.journal.unfinished(operation.disks)
            for move in earlier.moves
            for member in move.members
        }
        moves = [move for move in operation.moves if not any((move.source, m.raw_path) in begun for m in move.members)]
        return structs.replace(operation, moves=tuple(moves))

    # -- one operation ------------------------------------------------------------------------------------------

    def _carry_out(self, operation: Operation, *, only_begun: bool) -> None:
        """Make the operation durable, give it to the worker, and settle the journal with what it says."""
        self._before = (self.facts.files_moved, self.bytes_moved, self.facts.moves_done)
        self._last = live.NOTHING_DONE
        self._at_work_on = operation.operation_id
        named = {name for move in operation.moves for name in (move.source, move.destination)}
        self._at_work = tuple(disk for disk in operation.disks if disk.name in named)
        self.worker.begin(self.journal.begin(operation), only_begun=only_begun)
        finished = self._listen()
        if finished is not None:
            self._add(finished)
            self.journal.settle(operation, finished.unfinished)
        elif not self.facts.is_stuck:
            self.facts = replace(self.facts, is_worker_lost=True, worker_exit_code=self.worker.exit_code())

    def _listen(self) -> Finished | None:
        """Hear the worker out; returns its last message about the operation, None when it ended without one."""
        asked_at = 0.0
        for message in self.worker.messages():
            if isinstance(message, Finished):
                return message
            if message is not None:
                self._hear(message)
            if not asked_at and self._stop_reason():
                asked_at = time.monotonic()
                self._note_stop()
                self.worker.ask_to_stop()
            if asked_at and time.monotonic() - asked_at > GRACE and not self.worker.kill():
                self.facts = replace(self.facts, is_stuck=True)
                return None
            if not asked_at:
                self._pause_or_go_on()
        return None

    def _hear(self, message: Message) -> None:
        if isinstance(message, Left):
            first_reason = self.facts.first_reason or message.reason
            self.facts = replace(self.facts, files_left=self.facts.files_left + 1, first_reason=first_reason)
            if len(self.left) < LEFT_SHOWN:
                self.left.append(LeftFile(message.disk, message.path, message.reason, message.path_base64))
        elif isinstance(message, Progress):
            self._count(message.files_moved, message.bytes_moved, message.moves_done)
            self._last = message = structs.replace(message, why=in_words(self._holds))
            if time.monotonic() - self._progress_written >= _PROGRESS_EVERY:
                self._show_progress()
        self.on_message(message)

    def _add(self, finished: Finished) -> None:
        self._count(finished.files_moved, finished.bytes_moved, finished.moves_done)
        is_asked_for = bool(self.facts.time_is_up or self._ended_by)
        is_cancelled = self.facts.is_cancelled or (bool(finished.stopped) and not is_asked_for)
        self.facts = replace(self.facts, error=self.facts.error or finished.error, is_cancelled=is_cancelled)

    def _count(self, files_moved: int, bytes_moved: int, moves_done: int) -> None:
        files, size, moves = self._before
        self.bytes_moved = size + bytes_moved
        self.facts = replace(self.facts, files_moved=files + files_moved, moves_done=moves + moves_done)

    def _show_progress(self) -> None:
        self._progress_written = time.monotonic()
        progress = self._in_all(self._last)
        live.show(self.progress_path, progress, self.timeline.events(), operation_id=self._at_work_on)

    def _in_all(self, progress: Progress) -> Progress:
        """Return the progress with what the operations before this one did, as the final record will count."""
        files, size, moves = self._before
        return structs.replace(
            progress,
            files_moved=files + progress.files_moved,
            bytes_moved=size + progress.bytes_moved,
            bytes_copied=size + progress.bytes_copied,
            bytes_total=size + progress.bytes_total,
            moves_done=moves + progress.moves_done,
            moves_total=moves + progress.moves_total,
        )

    # -- stopping and pausing -----------------------------------------------------------------------------------

    def _stop_reason(self) -> str:
        if self.cancel.is_requested:
            return self.cancel.reason
        if self.job.max_runtime is not None and self._worked() > self.job.max_runtime:
            return _TIME_IS_UP
        return self._ended_by or self.job.time_is_over()

    def _note_stop(self) -> None:
        reason = self._stop_reason()
        self.timeline.add("asked to stop", reason)
        if self.cancel.is_requested:
            self.facts = replace(self.facts, is_cancelled=True)
        elif self._ended_by:
            self.facts = replace(self.facts, error=reason, error_code=ExitCode.REFUSED)
        else:
            self.facts = replace(self.facts, time_is_up=reason)

    def _worked(self) -> float:
        """Return the seconds of work; the time it was paused does not count."""
        return time.monotonic() - self._started - self.paused_seconds

    def _pause_or_go_on(self) -> None:
        """Ask what holds the work, now and then; it goes on only when nothing does any more."""
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY:
            return
        self._looked = now
        before, self._holds = self._holds, self.job.pauses(self._at_work)
        self._ended_by = self._ended_by or in_words(hold for hold in self._holds if hold.ends_work)
        if self._holds:
            self.timeline.hold("paused", self._holds)
            self._pause(now)
        elif self._paused_at is not None:
            self._go_on(now, self._paused_at)
        if self._holds or before:
            phase = "paused" if self._holds else "going on"
            self._last = structs.replace(self._last, phase=phase, why=in_words(self._holds))
            self._show_progress()
            self.on_message(self._last)

    def _pause(self, now: float) -> None:
        if self._paused_at is None:
            self._paused_at = now
            self.worker.pause(paused=True)

    def _go_on(self, now: float, paused_at: float) -> None:
        self._paused_before += now - paused_at
        self._paused_at = None
        self.timeline.let_go("went on")
        self.worker.pause(paused=False)
