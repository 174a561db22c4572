"""What the owner is told of an execution, in plain words with figures: pure, from records alone."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rebalancer import names
from rebalancer.errors import ExitCode
from rebalancer.executions.execution import DiskFill, ExecutionStatus, ScheduleExecution
from rebalancer.executions.settle import LOST
from rebalancer.executions.verdict import Ending, Verdict
from rebalancer.notify.errand import Level, Notification, Signal
from rebalancer.quantities import format_duration, format_size
from rebalancer.settings import Occasion

REASONS_TOLD = 3
_LONGEST = 300  # characters of one sentence
_MOST_VERDICTS = 10
_BY_HAND = "manual"  # the schedule_id of what was run by hand
_FOREIGN = "program"  # fired_by of what another program runs and only registered here

Report = tuple[Occasion, Notification]


def ending_of(execution: ScheduleExecution, *, next_run: str = "") -> Report | None:
    """Return what is told of a final record.

    None for one that a person or an emergency stop ended, which they know; for one that never was to wait, such as
    an overlap; and for one of another program, which knows how it ended. ``next_run`` is the key of a slot.
    """
    if execution.fired_by == _FOREIGN:
        return None
    if execution.cause == "held":
        return Occasion.HELD, _never_begun(execution, next_run)
    if execution.status is ExecutionStatus.FAILED:
        return Occasion.FAILURE, _failed(execution, next_run)
    if execution.status is not ExecutionStatus.COMPLETED:
        return None
    if execution.exit_code != ExitCode.DONE:
        return Occasion.FAILURE, _ended_in_part(execution, next_run)
    return Occasion.SUCCESS, _finished(execution, next_run)


def signal_of(execution: ScheduleExecution) -> Signal | None:
    """Return what monitors are told of a final record; None for a firing that was skipped, which is no run."""
    is_skipped = execution.exit_code == ExitCode.NOT_NOW and execution.cause != "held"
    if is_skipped or execution.fired_by == _FOREIGN:
        return None
    return Signal.SUCCESS if execution.exit_code == ExitCode.DONE else Signal.FAIL


def text_of(execution: ScheduleExecution) -> str:
    """Return a short text for monitors."""
    told = ending_of(execution)
    if told is not None:
        return "\n".join((told[1].title, *told[1].lines))
    return f"{_name(execution)}: {execution.status.value}: {_short(execution.error_message or execution.cause)}"


def suspension_of(execution: ScheduleExecution, *, reason: str) -> Report:
    """Return what is told when failures suspended the schedule; it takes the place of what is told of the last one."""
    schedule_id = execution.schedule_id
    notification = Notification(
        level=Level.ALERT,
        title=f"Schedule {schedule_id} is suspended",
        summary=_short(reason),
        details=(
            *_figures(execution),
            f"It does not run again until you say so: unraid-rebalancer schedule resume {schedule_id}",
            _more(execution),
        ),
    )
    return Occasion.SUSPENDED, notification


def long_hold_of(
    execution: ScheduleExecution, *, reasons: Sequence[str], seconds: float, gives_up_after: float | None
) -> Report:
    """Return what is told, once, of an execution that waits or pauses for long.

    ``gives_up_after`` is how many seconds it may wait in all; None for one that has begun, which waits on.
    """
    begun = gives_up_after is None
    until = "It goes on by itself as soon as nothing holds it."
    if gives_up_after is not None:
        until = f"It begins as soon as nothing holds it, and gives up after {format_duration(gives_up_after)}."
    notification = Notification(
        level=Level.WARNING,
        title=f"{_name(execution)} {'has paused' if begun else 'has waited'} for {format_duration(seconds)}",
        summary=_short("; ".join(reasons)),
        details=(until, _more(execution)),
    )
    return Occasion.HELD, notification


def emergency_of(verdicts: Sequence[Verdict], *, actor: str, hold_reason: str | None) -> Report:
    """Return what is told of an emergency stop, once for all that it stopped."""
    stopped = sum(one.verdict is Ending.STOPPED for one in verdicts)
    others = [one for one in verdicts if one.verdict not in {Ending.STOPPED, Ending.WAS_NOT_RUNNING}]
    still = f"; {len(others)} may not have ended" if others else ""
    lines = [_short(": ".join(filter(None, (one.execution_id, one.verdict.value, one.detail)))) for one in verdicts]
    held: tuple[str, ...] = ()
    if hold_reason is not None:
        held = (
            f"Nothing new starts: {_short(hold_reason or 'no reason given')}",
            "To let runs start again: unraid-rebalancer emergency-stop release",
        )
    notification = Notification(
        level=Level.ALERT,
        title="Emergency stop",
        summary=_short(f"{_count(stopped, 'run was', 'runs were')} stopped by {actor}{still}"),
        details=(
            *lines[:_MOST_VERDICTS],
            *held,
            "Every file is complete on one of its disks; the next run finishes what was begun.",
        ),
    )
    return Occasion.EMERGENCY, notification


def trial() -> Notification:
    """Return what `notify test` sends."""
    return Notification(
        level=Level.NORMAL,
        title="A test of the notifications",
        summary="If you can read this, you will be told here.",
        details=("Sent by: unraid-rebalancer notify test", "What you are told of is in config.toml, below [notify]."),
    )


# -- endings ----------------------------------------------------------------------------------------------------


def _finished(execution: ScheduleExecution, next_run: str) -> Notification:
    is_idle = not (execution.moves_planned or execution.files_moved)
    rest = f"; {execution.error_message}" if execution.error_message else ""
    summary = "nothing had to move" if is_idle else f"{_moved(execution)} moved{_in_time(execution)}"
    return Notification(
        level=Level.NORMAL,
        title=f"{_name(execution)} finished",
        summary=_short(summary + rest),
        details=(*_figures(execution), *_next(next_run)),
    )


def _ended_in_part(execution: ScheduleExecution, next_run: str) -> Notification:
    stayed = _count(execution.files_left, "file or folder", "files or folders")
    return Notification(
        level=Level.WARNING,
        title=f"{_name(execution)} finished in part",
        summary=f"{_moved(execution)} moved; {stayed} stayed",
        details=(*_figures(execution), *_next(next_run), _more(execution)),
    )


def _failed(execution: ScheduleExecution, next_run: str) -> Notification:
    words = "broke off" if execution.cause == LOST else "failed"
    tries = (f"It was tried {execution.attempt} times.",) if execution.attempt > 1 else ()
    return Notification(
        level=Level.ALERT,
        title=f"{_name(execution)} {words}",
        summary=_short(execution.error_message.removeprefix("lost: ") or execution.cause or "no reason is known"),
        details=(
            *tries,
            *_figures(execution),
            "No original went before its copy was proven; the next run goes on from there.",
            *_next(next_run),
            _more(execution),
        ),
    )


def _never_begun(execution: ScheduleExecution, next_run: str) -> Notification:
    return Notification(
        level=Level.WARNING,
        title=f"{_name(execution)} did not run",
        summary=_short(execution.error_message),
        details=(f"Waited: {format_duration(execution.held_seconds)}", *_next(next_run), _more(execution)),
    )


# -- lines ------------------------------------------------------------------------------------------------------


def _figures(execution: ScheduleExecution) -> tuple[str, ...]:
    """Return what moved, what that did to the disks, what stayed and why, and how long it took."""
    lines = []
    if execution.moves_planned or execution.files_moved:
        moves = f"{execution.moves_done:,} of {_count(execution.moves_planned, 'move', 'moves')}"
        lines.append(f"Moved: {_moved(execution)}, {moves} done")
    before, after = _spread(execution.disks_before), _spread(execution.disks_after)
    if before is not None and after is not None and execution.files_moved:
        lines.append(f"Spread: {before:.1f} → {after:.1f} percentage points between fullest and emptiest disk")
    lines += _stayed(execution)
    if execution.duration_seconds or execution.held_seconds >= 1:
        held = f", and {format_duration(execution.held_seconds)} of waiting" if execution.held_seconds >= 1 else ""
        lines.append(f"Time: {format_duration(execution.duration_seconds)} of work{held}")
    return tuple(lines)


def _stayed(execution: ScheduleExecution) -> list[str]:
    reasons = Counter(left.reason for left in execution.left).most_common()
    lines = [f"Stayed: {count:,} because: {_short(reason)}" for reason, count in reasons[:REASONS_TOLD]]
    others = execution.files_left - sum(count for _, count in reasons[:REASONS_TOLD])
    return [*lines, f"Stayed: {others:,} more"] if others > 0 else lines


def _spread(disks: Sequence[DiskFill]) -> float | None:
    """Return highest minus lowest percentage in use; None when there is nothing to compare."""
    percents = [100 * disk.used_bytes / disk.size_bytes for disk in disks if disk.size_bytes]
    return max(percents) - min(percents) if len(percents) > 1 else None


def _next(slot: str) -> tuple[str, ...]:
    if not slot:
        return ()
    return (f"Next run: {datetime.fromisoformat(slot):%a %d %b %Y, %H:%M}",)


def _more(execution: ScheduleExecution) -> str:
    return f"More: unraid-rebalancer execution explain {execution.execution_id}"


def _name(execution: ScheduleExecution) -> str:
    return "Rebalance by hand" if execution.schedule_id == _BY_HAND else f"Rebalance {execution.schedule_id}"


def _moved(execution: ScheduleExecution) -> str:
    return f"{_count(execution.files_moved, 'file', 'files')}, {format_size(execution.bytes_moved)}"


def _in_time(execution: ScheduleExecution) -> str:
    return f" in {format_duration(execution.duration_seconds)}" if execution.duration_seconds else ""


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _short(sentence: str) -> str:
    """Return a sentence that is safe to show and to send on, whatever names it holds."""
    sentence = names.display(sentence)
    return sentence if len(sentence) <= _LONGEST else f"{sentence[: _LONGEST - 1]}…"
