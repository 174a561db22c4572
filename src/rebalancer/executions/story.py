"""Why an execution went as it did, told from its record alone: pure."""

from collections import Counter

from rebalancer.executions.execution import Event, ExecutionStatus, ScheduleExecution

_FIRED_BY = {
    "hand": "started by hand",
    "cron": "started by cron",
    "clock": "started by the built-in clock",
    "catch-up": "made up for a slot that was missed",
    "retry": "tried again after a failure",
    "program": "started by another program, which registered it",
}
REASONS_TOLD = 5


def events_of(execution: ScheduleExecution) -> tuple[Event, ...]:
    """Return what happened, in order; of an execution that kept no timeline, its start and its end."""
    if execution.timeline:
        return execution.timeline
    begun = Event(execution.start_time, "started", _FIRED_BY.get(execution.fired_by, execution.fired_by))
    if execution.end_time is None:
        return (begun,)
    why = execution.error_message or execution.cause
    return (begun, Event(execution.end_time, "ended", f"{execution.status.value}: {why}" if why else ""))


def sentences_of(execution: ScheduleExecution) -> list[str]:
    """Return who started it for which slot, how it ended and through whom, and why files stayed."""
    return [*_beginning(execution), _ending(execution), *_what_stayed(execution)]


def standing_of(execution: ScheduleExecution) -> str:
    """Return what an active execution last noted of itself: ``held: disk2 is in use``; empty before its first note."""
    if not execution.timeline or execution.status.is_final:
        return ""
    last = execution.timeline[-1]
    return f"{last.what}: {last.why}" if last.why else last.what


def _beginning(execution: ScheduleExecution) -> list[str]:
    slot = f" for {execution.slot}" if execution.slot else ""
    attempt = f", attempt {execution.attempt}" if execution.attempt > 1 else ""
    return [f"{_FIRED_BY.get(execution.fired_by, execution.fired_by)}{slot}{attempt}"]


def _ending(execution: ScheduleExecution) -> str:
    if not execution.status.is_final:
        return f"it is {execution.status.value}"
    who = f" by {execution.actor}" if execution.actor else ""
    why = execution.error_message or execution.cause
    code = f" (exit code {execution.exit_code})" if execution.exit_code is not None else ""
    words = "ended by itself" if execution.status is ExecutionStatus.COMPLETED else execution.status.value
    return f"{words}{who}{f': {why}' if why else ''}{code}"


def _what_stayed(execution: ScheduleExecution) -> list[str]:
    reasons = Counter(left.reason for left in execution.left).most_common(REASONS_TOLD)
    return [f"stayed where they were: {count:,} because: {reason}" for reason, count in reasons]
