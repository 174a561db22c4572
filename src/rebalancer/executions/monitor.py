"""The specification's monitor: what runs, what ran, how it went, and the controls, over the records of all processes."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rebalancer import names, state
from rebalancer.errors import DamagedRecordError, NotFoundError, RefusedError, UsageError
from rebalancer.executions import checking, process_table
from rebalancer.executions.active import Active
from rebalancer.executions.current import Current
from rebalancer.executions.execution import ExecutionStatus, ProcessIdentity, ScheduleExecution
from rebalancer.executions.process import identity_of
from rebalancer.executions.settle import LOST
from rebalancer.executions.store import ExecutionStore, new_id
from rebalancer.state import StateFolders

if TYPE_CHECKING:  # loaded when asked for: a listing needs neither SQLite nor the schedules
    from rebalancer.executions.control import Control
    from rebalancer.executions.index import Index
    from rebalancer.executions.statistics import ScheduleStatistics

BY_PROGRAM = "program"  # fired_by of what `start_execution` registered
MANUAL = "manual"  # the schedule_id of what was run by hand
_TRIES = 5


class ScheduleMonitor:
    """Watches and controls the executions of one configuration folder.

    Nothing is kept in memory: every answer is derived from the records and from the processes that live, so that
    any number of monitors agree, in whatever processes, also after a restart. Methods that write raise RefusedError
    when the folder cannot take it.
    """

    def __init__(self, config_dir: Path | str, *, clock: Callable[[], float] = time.time) -> None:
        """Watch ``{config_dir}/executions``; ``clock`` returns seconds since 1970 (UTC)."""
        self.folders = state.choose_folders(
            Path(config_dir), root=Path("/"), environment=dict(os.environ), uid=os.geteuid()
        )
        self.clock = clock

    @classmethod
    def of(cls, folders: StateFolders, *, clock: Callable[[], float] = time.time) -> Self:
        """Return the monitor of folders that were chosen already."""
        monitor = cls.__new__(cls)
        monitor.folders, monitor.clock = folders, clock
        return monitor

    # -- what others run ----------------------------------------------------------------------------------------

    def start_execution(self, schedule_id: str, pid: int) -> ScheduleExecution:
        """Register a living process as a running execution; returns its record.

        Its ``execution_id`` is what the other methods take. The process is told from every other one from now on,
        also when its number is given away later. It may be this process itself. Raises UsageError for something
        that is no id or no process number, NotFoundError when there is no such process, RefusedError for a process
        of another user.
        """
        if not checking.is_id(schedule_id):
            raise UsageError(f"{names.display(schedule_id)!r} cannot be the id of a schedule")
        now = self.clock()
        execution = ScheduleExecution(
            execution_id=new_id(schedule_id, now=now),
            schedule_id=schedule_id,
            start_time=now,
            status=ExecutionStatus.RUNNING,
            pid=pid,
            process=_identity_of_ours(pid),
            fired_by=BY_PROGRAM,
        )
        self._store.save(execution)
        return execution

    def complete_execution(
        self,
        execution_id: str,
        exit_code: int,
        files_moved: int = 0,
        bytes_moved: int = 0,
        error_message: str = "",
    ) -> bool:
        """Record how a registered execution ended: COMPLETED for exit code 0, else FAILED; returns whether it was.

        False when there is no such execution or it had ended already: a final record is never overwritten, except
        one that only says that its process was found gone. Raises UsageError for figures that cannot be.
        """
        if exit_code != int(exit_code) or min(files_moved, bytes_moved) < 0:
            raise UsageError("an exit code is a whole number, and what was moved cannot be negative")
        for _ in range(_TRIES):
            try:
                seen = self._store.load(execution_id)
            except NotFoundError:
                return False
            if seen.status.is_final and not (seen.cause == LOST and seen.fired_by == BY_PROGRAM):
                return False
            ended = replace(
                seen,
                status=ExecutionStatus.COMPLETED if exit_code == 0 else ExecutionStatus.FAILED,
                exit_code=exit_code,
                cause="done" if exit_code == 0 else "error",
                error_message=error_message,
                files_moved=files_moved,
                bytes_moved=bytes_moved,
                end_time=max(self.clock(), seen.start_time),
                duration_seconds=max(0.0, self.clock() - seen.start_time),
                pid=None,
                timeline=(),
            )
            if self._store.update(ended, seen=seen):
                return True
        return False

    # -- control ------------------------------------------------------------------------------------------------

    def cancel_execution(self, execution_id: str, reason: str = "") -> bool:
        """Stop one execution: TERM, ten seconds of grace, KILL; returns whether it ran and nothing of it lives now.

        False when there is no such execution, it had ended, or it must not or cannot be stopped;
        `Control.cancel` says which. Raises DamagedRecordError and RefusedError for a record that is not believed.
        """
        from rebalancer.executions.verdict import Ending

        try:
            return self.control.cancel(execution_id, reason=reason).verdict is Ending.STOPPED
        except NotFoundError:
            return False

    def suspend_schedule(self, schedule_id: str, reason: str = "") -> bool:
        """Keep a schedule from firing, and stop what runs of it; False when there is no such schedule."""
        try:
            self.control.suspend(schedule_id, reason=reason)
        except NotFoundError:
            return False
        return True

    def resume_schedule(self, schedule_id: str) -> bool:
        """Let a schedule fire again, also one that was not suspended; False when there is no such schedule."""
        try:
            self.control.resume(schedule_id)
        except NotFoundError:
            return False
        return True

    # -- looking ------------------------------------------------------------------------------------------------

    def get_running_executions(self) -> list[ScheduleExecution]:
        """Return the executions that are pending or running now, newest first, whichever process started them.

        Counts and durations are those of a moment ago; in the record they are written at the end.
        """
        current = Current(self.folders, self._store, self.clock)
        found = []
        for execution_id in Active(self.folders, self.clock).ids():
            try:
                found.append(current.load(execution_id))
            except (NotFoundError, DamagedRecordError):  # removed or damaged since it was listed
                continue
        running = [current.live(execution) for execution in found if not execution.status.is_final]
        return sorted(running, key=lambda execution: (execution.start_time, execution.execution_id), reverse=True)

    def get_execution(self, execution_id: str) -> ScheduleExecution:
        """Return one execution as it stands now, with what it last said of itself while it is active.

        Raises NotFoundError and DamagedRecordError.
        """
        current = Current(self.folders, self._store, self.clock)
        return current.live(current.load(execution_id))

    def get_execution_history(
        self,
        schedule_id: str | None = None,
        limit: int = 50,
        *,
        status: ExecutionStatus | None = None,
        since: float | None = None,
    ) -> list[ScheduleExecution]:
        """Return the newest ``limit`` executions that fit, newest first; of all schedules when none is named.

        ``since`` is a time of start in seconds since 1970 (UTC). Raises UsageError for a limit below 1.
        """
        if limit < 1:
            raise UsageError(f"limit: {limit} is less than 1")
        return self.index.history(schedule_id=schedule_id, status=status, since=since, limit=limit)

    def get_schedule_statistics(self, schedule_id: str) -> "ScheduleStatistics":
        """Return the figures of a schedule over all its executions, also those whose records were cleaned up.

        Times are seconds since 1970 (UTC), durations seconds, sizes bytes; all zero and None when nothing ran.
        """
        from rebalancer.executions.statistics import ScheduleStatistics

        if not checking.is_id(schedule_id):
            return ScheduleStatistics(schedule_id=schedule_id)
        return self.index.statistics(schedule_id) or ScheduleStatistics(schedule_id=schedule_id)

    def demand_schedule(self, schedule_id: str) -> None:
        """Raise NotFoundError unless there is such a schedule, or records of one that was deleted."""
        if checking.is_id(schedule_id):
            path = self.folders.schedules / f"{schedule_id}.json"
            if schedule_id == MANUAL or os.path.lexists(path) or self.index.statistics(schedule_id) is not None:
                return
        raise NotFoundError(f"there is no schedule {names.display(schedule_id)}")

    def cleanup_old_executions(self, days: int = 30) -> int:
        """Remove the records of executions that ended more than ``days`` days ago; returns how many went.

        What is active stays, and the figures of what goes stay in the statistics. Files that cannot be believed are
        set aside into ``executions/damaged``. Raises UsageError for a negative number, NotNowError when another
        cleanup is at work.
        """
        from rebalancer.executions.cleanup import clean_up

        cleaned = clean_up(
            self.folders, days=days, keep_failed_days=days, keep_at_least=0, now=self.clock(), dry_run=False
        )
        return len(cleaned.removed)

    # -- the pieces ---------------------------------------------------------------------------------------------

    @property
    def control(self) -> "Control":
        """The same controls with their verdicts, in the name of the user who runs this process."""
        from rebalancer.executions.audit import actor_of
        from rebalancer.executions.control import Control
        from rebalancer.schedules.manager import ScheduleManager

        actor = actor_of(os.environ, uid=os.geteuid())
        return Control(self.folders, ScheduleManager(self.folders.config), self._store, self.clock, actor)

    @property
    def index(self) -> "Index":
        from rebalancer.executions.index import Index

        return Index(self.folders, clock=self.clock)

    @property
    def _store(self) -> ExecutionStore:
        return ExecutionStore(self.folders.executions)


def _identity_of_ours(pid: int) -> ProcessIdentity:
    if not isinstance(pid, int) or isinstance(pid, bool) or not 1 < pid <= checking.LARGEST_PID:
        raise UsageError(f"{pid!r} is not the number of a process that can be watched")
    try:
        identity, facts = identity_of(pid, ""), process_table.facts_of(pid)
    except ProcessLookupError as error:
        raise NotFoundError(f"there is no process {pid}") from error
    except PermissionError as error:
        raise RefusedError(f"process {pid} belongs to another user") from error
    if facts is not None and facts.uid != os.geteuid():
        raise RefusedError(f"process {pid} belongs to another user (uid {facts.uid})")
    return identity
