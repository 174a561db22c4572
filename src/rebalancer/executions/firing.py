"""A schedule's turn: decides whether it runs, runs it, tries again after failures, and draws conclusions."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.errors import CancelledError, ExitCode, NotNowError, RebalancerError
from rebalancer.executions.cleanup import WORTH_A_WRITE, clean_up
from rebalancer.executions.due import FiredBy
from rebalancer.executions.execution import Event, ExecutionStatus, ScheduleExecution
from rebalancer.executions.index import Index
from rebalancer.executions.job import Job
from rebalancer.executions.outcome import Outcome
from rebalancer.executions.runner import EMERGENCY_HOLD, Runner, new_record
from rebalancer.guards.hold import Hold
from rebalancer.guards.watch import Watch
from rebalancer.schedules import hours
from rebalancer.schedules.manager import ScheduleManager, is_suspended
from rebalancer.schedules.schedule import Overlap, Schedule, Suspension
from rebalancer.schedules.slots import Slot
from rebalancer.state import ensure
from rebalancer.transfer.operation import Operation
from rebalancer.turns import is_taken

_POLL = 0.2  # seconds
_LOOKED_AT = 200  # newest executions among which those that ran are counted
_RETRIED = {"error", "lost", "left"}  # causes that another attempt may get past


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """What a schedule works on, as functions, so that disks are looked at when it is its turn."""

    disks: Callable[[], tuple[Disk, ...]]
    prepare: Callable[[], Operation]
    measure: Callable[[], Sequence[Disk]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One schedule's turn. ``due`` is the slot it stands for; None when a person asked."""

    schedule: Schedule
    manager: ScheduleManager
    runner: Runner
    array: Array
    watch: Callable[[], Watch]  # a fresh one for each execution: its guards remember what they saw
    fired_by: FiredBy
    due: Slot | None
    jitter: int  # seconds to wait after the slot
    timezone: tzinfo
    replace_running: Callable[[], None]  # cancels what runs of this schedule

    def carry_out(self) -> ScheduleExecution:
        """Run the schedule, or leave a record that says why it did not run; returns the last record."""
        if refusal := self._refusal():
            return self._skipped(refusal)
        with self._turn() as is_ours:
            if not is_ours and self.runner.cancel.is_requested:
                return self.runner.run(self._job(attempt=1))  # begins nothing: its record says why
            if not is_ours:
                return self._skipped(_not_now("overlap", "an earlier execution of this schedule still runs"))
            execution = self._attempts()
        self.runner.teller.ended(execution, suspended_because=self._suspend_after_failures(execution))
        self._clean_up()
        self.runner.teller.finish()
        return execution

    # -- whether it runs ----------------------------------------------------------------------------------------

    def _refusal(self) -> Outcome | None:
        folders = self.runner.folders
        if os.path.lexists(folders.hold):
            return _not_now("emergency hold", EMERGENCY_HOLD)
        suspension = self.schedule.suspension
        if suspension is not None and is_suspended(self.schedule, now=self.runner.clock()):
            reason = f"suspended by {suspension.actor}: {suspension.reason or 'no reason given'}"
            return Outcome(ExecutionStatus.SUSPENDED, ExitCode.NOT_NOW, "suspended", reason)
        return None

    def _skipped(self, outcome: Outcome) -> ScheduleExecution:
        """Record a firing that did not run, so that nobody has to guess why."""
        now = self.runner.clock()
        execution = replace(
            new_record(self._job(attempt=1), now=now),
            end_time=now,
            status=outcome.status,
            exit_code=int(outcome.exit_code),
            cause=outcome.cause,
            error_message=outcome.error_message,
            pid=None,
            timeline=(Event(now, "due", self._slot), Event(now, "did not run", outcome.error_message)),
        )
        self.runner.store.save(execution)
        return execution

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Be the only execution of this schedule, by its overlap policy; False when an earlier one has the turn."""
        folder = ensure(self.runner.folders.runtime / "turns")
        fd = os.open(folder / f"{self.schedule.schedule_id}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield self._take(fd)
        finally:
            os.close(fd)

    def _take(self, fd: int) -> bool:
        if is_taken(fd, patience=0):
            return True
        if self.schedule.overlap is Overlap.SKIP:
            return False
        if self.schedule.overlap is Overlap.REPLACE:
            self.replace_running()
        return self._queue(fd)

    def _queue(self, fd: int) -> bool:
        """Wait behind the running execution; only one may wait, and no longer than the schedule allows."""
        path = self.runner.folders.runtime / "turns" / f"{self.schedule.schedule_id}.queue"
        waiting = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + self.schedule.max_wait
        try:
            if not is_taken(waiting, patience=0):
                return False
            while time.monotonic() < deadline and not self.runner.cancel.is_requested:
                if is_taken(fd, patience=0):
                    return True
                time.sleep(_POLL)
            return False
        finally:
            os.close(waiting)

    # -- running ------------------------------------------------------------------------------------------------

    def _attempts(self) -> ScheduleExecution:
        """Run it, and again after failures, each attempt with a record of its own and twice the delay."""
        delay = self.schedule.retry_delay
        for attempt in range(1, self.schedule.retries + 2):
            try:
                execution = self.runner.run(self._job(attempt=attempt))
            except NotNowError as error:  # it may not wait
                return self._skipped(_not_now("held", str(error)))
            is_last = attempt > self.schedule.retries
            if is_last or execution.exit_code != ExitCode.FAILED or execution.cause not in _RETRIED:
                break
            try:
                _rest(self.runner.cancel, delay)
            except CancelledError:
                return self.runner.run(self._job(attempt=attempt + 1))  # begins nothing: its record says why
            delay *= 2
        return execution

    def _job(self, *, attempt: int) -> Job:
        schedule, watch = self.schedule, self.watch()
        return Job(
            disks=self.array.disks,
            prepare=self.array.prepare,
            measure=self.array.measure,
            schedule_id=schedule.schedule_id,
            slot=self._slot,
            fired_by=self.fired_by.value if attempt == 1 else "retry",
            attempt=attempt,
            max_runtime=schedule.selection.max_runtime,
            max_wait=schedule.max_wait,
            holds=lambda disks: [*watch.holds(disks), *self._not_yet()],
            pauses=watch.holds,
            time_is_over=self._hours_over,
        )

    @property
    def _slot(self) -> str:
        return self.due.local if self.due is not None else ""

    def _not_yet(self) -> Iterator[Hold]:
        """Yield why it is too early to start."""
        now = self.runner.clock()
        if self.due is not None and now < self.due.at + self.jitter:
            yield Hold(guard="jitter", reason=f"its own delay of {self.jitter} s after the slot")
        if self._hours_over():
            opening = hours.next_opening(self.schedule.active_hours, at=datetime.fromtimestamp(now, self.timezone))
            yield Hold(guard="hours", reason=f"outside its active hours; they begin {opening:%a %H:%M}")

    def _hours_over(self) -> str:
        at = datetime.fromtimestamp(self.runner.clock(), self.timezone)
        return "" if hours.is_open(self.schedule.active_hours, at=at) else "its active hours are over"

    # -- afterwards ---------------------------------------------------------------------------------------------

    def _suspend_after_failures(self, execution: ScheduleExecution) -> str:
        """Suspend the schedule when the last so many executions all failed for the same cause; returns that reason."""
        count = self.schedule.suspend_after_failures
        if not count or execution.status is not ExecutionStatus.FAILED:
            return ""
        recent = self._latest(count)
        if len(recent) < count or any(
            (one.status, one.cause) != (ExecutionStatus.FAILED, execution.cause) for one in recent
        ):
            return ""
        reason = f"{count} failures in a row ({execution.cause}): {execution.error_message}"
        suspension = Suspension(reason=reason, actor="automatic", since=self.runner.clock())
        self.manager.suspend(self.schedule.schedule_id, suspension)
        return reason

    def _clean_up(self) -> None:
        """Remove old records of this schedule; that this is not possible now is no reason to call the run failed."""
        schedule = self.schedule
        with suppress(RebalancerError):
            clean_up(
                self.runner.folders,
                days=schedule.keep_days,
                keep_failed_days=schedule.keep_failed_days,
                keep_at_least=schedule.keep_at_least,
                now=self.runner.clock(),
                dry_run=False,
                schedule_id=schedule.schedule_id,
                at_least=WORTH_A_WRITE,
            )

    def _latest(self, count: int) -> list[ScheduleExecution]:
        """Return the newest executions that ran."""
        recent = Index(self.runner.folders).latest(self.schedule.schedule_id, count=_LOOKED_AT)
        return [one for one in recent if one.status.is_final and one.exit_code != ExitCode.NOT_NOW][:count]


def _not_now(cause: str, reason: str) -> Outcome:
    return Outcome(ExecutionStatus.CANCELLED, ExitCode.NOT_NOW, cause, reason)


def _rest(cancel: Cancel, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        cancel.check()
        time.sleep(min(left, _POLL))
