"""What became of an execution whose process is gone, told from its record and from what it left behind: pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from rebalancer.errors import ExitCode
from rebalancer.executions.checking import LARGEST, LATEST
from rebalancer.executions.execution import Event, ExecutionStatus, ProcessIdentity, ScheduleExecution
from rebalancer.executions.live import Live
from rebalancer.executions.outcome import Facts, Outcome, judge
from rebalancer.executions.request import StopRequest
from rebalancer.transfer.messages import Progress

LOST = "lost"  # the cause in the record


@dataclass(frozen=True, slots=True)
class Remains:
    """What an execution left in the runtime folder."""

    progress: Live | None = None  # what it last said of itself; None: nothing that can be believed
    last_seen: float | None = None  # seconds since 1970 (UTC) of its last sign of life; None: none is left
    last_words: str = ""  # the last line of a crash in its log
    request: StopRequest | None = None  # who asked it to stop, when its supervisor did not live to say so


NOTHING = Remains()


def settled(
    execution: ScheduleExecution,
    *,
    boot_id: str,
    is_alive: Callable[[ProcessIdentity], bool],
    now: float,
    remains: Remains = NOTHING,
) -> ScheduleExecution:
    """Return the execution as it really stands: unchanged when it is final or lives, else failed, with the reason.

    One that was asked to stop and whose processes are gone was stopped: it is no failure that it was ended by force.

    It lives as long as its supervisor or its worker does. Counts are the last ones that it told; when nothing tells
    how long it worked, its duration is 0, so that the time a machine was switched off never counts as work.
    """
    if execution.status.is_final:
        return execution
    processes = [process for process in (execution.process, execution.worker) if process is not None]
    if any(process.boot_id == boot_id and is_alive(process) for process in processes):
        return execution
    is_reboot = bool(processes) and all(process.boot_id != boot_id for process in processes)
    known = with_last_events(_with_last_figures(execution, remains.progress), remains.progress)
    if remains.request is not None and not is_reboot:
        outcome = judge(Facts(is_cancelled=True, request=remains.request))
        words = f"{outcome.status.value}: {outcome.error_message}; its processes were ended"
        known = replace(known, actor=remains.request.actor)
    else:
        reason = f"lost: {_how(execution, remains, is_reboot=is_reboot)}"
        outcome = Outcome(ExecutionStatus.FAILED, ExitCode.FAILED, LOST, reason)
        words = f"failed: {reason}"
    return _ended(known, outcome, Event(now, "ended", words), last_seen=remains.last_seen)


def with_live_figures(execution: ScheduleExecution, remains: Remains, *, now: float) -> ScheduleExecution:
    """Return a living execution with what it last said of itself, and the seconds since it started, for showing only."""
    if execution.status.is_final:
        return execution
    execution = with_last_events(execution, remains.progress)
    if execution.status is not ExecutionStatus.RUNNING:
        return execution
    elapsed = max(0.0, now - execution.start_time)
    return replace(_with_last_figures(execution, remains.progress), duration_seconds=elapsed)


def _how(execution: ScheduleExecution, remains: Remains, *, is_reboot: bool) -> str:
    if execution.process is None and execution.worker is None:
        return "its record does not say which process it was"
    if is_reboot:
        return "the machine was restarted"
    if remains.last_words:
        return f"its supervisor crashed: {remains.last_words}"
    if execution.status is ExecutionStatus.PENDING:
        return "its supervisor was killed before the work began"
    if execution.worker is None and execution.process is not None and not _is_ours(execution):
        return "its process ended without saying how"
    return "its supervisor was killed"


def _is_ours(execution: ScheduleExecution) -> bool:
    """Return whether one of our supervisors wrote the record; `start_execution` also records foreign processes."""
    return bool(execution.timeline)


def _with_last_figures(execution: ScheduleExecution, progress: Progress | None) -> ScheduleExecution:
    if progress is None or not _is_believable(progress):
        return execution
    return replace(
        execution,
        files_moved=max(execution.files_moved, progress.files_moved),
        bytes_moved=max(execution.bytes_moved, progress.bytes_moved),
        moves_done=max(execution.moves_done, progress.moves_done),
        moves_planned=max(execution.moves_planned, progress.moves_total),
    )


def with_last_events(execution: ScheduleExecution, progress: Live | None) -> ScheduleExecution:
    """Return an execution of ours with what happened to it since its record was written."""
    events = progress.timeline if progress is not None else ()
    is_newer = len(events) > len(execution.timeline) > 0
    is_believable = all(0 <= event.at <= LATEST for event in events)
    return replace(execution, timeline=events) if is_newer and is_believable else execution


def _is_believable(progress: Progress) -> bool:
    figures = (progress.files_moved, progress.bytes_moved, progress.moves_done, progress.moves_total)
    return min(figures) >= 0 and max(figures) <= LARGEST


def _ended(
    execution: ScheduleExecution, outcome: Outcome, event: Event, *, last_seen: float | None
) -> ScheduleExecution:
    now = event.at
    end = now if last_seen is None else min(now, max(last_seen, execution.start_time))
    has_worked = last_seen is not None and execution.status is ExecutionStatus.RUNNING
    worked = max(0.0, end - execution.start_time) if has_worked else 0.0
    return replace(
        execution,
        status=outcome.status,
        end_time=max(0.0, end),
        exit_code=int(outcome.exit_code),
        error_message=outcome.error_message,
        cause=outcome.cause,
        duration_seconds=max(execution.duration_seconds, worked),
        pid=None,
        timeline=(*execution.timeline, event),
    )
