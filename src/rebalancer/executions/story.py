"""Why an execution went as it did, told from its record alone: pure."""

from collections import Counter
from collections.abc import Iterator

from rebalancer.executions.execution import Event, ExecutionStatus, ScheduleExecution
from rebalancer.quantities import format_duration

_FIRED_BY = {
    "hand": "started by hand",
    "cron": "started by cron",
    "clock": "started by the built-in clock",
    "catch-up": "made up for a slot that was missed",
    "retry": "tried again after a failure",
    "program": "started by another program, which registered it",
}
REASONS_TOLD = 5
_WAITING = frozenset({"held", "still held"})
_PAUSED = frozenset({"paused", "still paused"})


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
    """Return who started it for which slot, what held it, how it ended and through whom, and why files stayed."""
    return [*_beginning(execution), *_what_held_it(execution), _ending(execution), *_what_stayed(execution)]


def standing_of(execution: ScheduleExecution) -> str:
    """Return what an active execution last noted of itself: ``held: disk2 is in use``; empty before its first note."""
    if not execution.timeline or execution.status.is_final:
        return ""
    last = execution.timeline[-1]
    return f"{last.what}: {last.why}" if last.why else last.what


def holding_of(execution: ScheduleExecution) -> str:
    """Return what an active execution waits for: ``paused: the mover runs (pid 4711)``; empty when nothing holds it."""
    if execution.status.is_final or not execution.timeline:
        return ""
    last = execution.timeline[-1]
    return f"{last.what.removeprefix('still ')}: {last.why}" if last.what in _WAITING | _PAUSED else ""


def held_by_guard(execution: ScheduleExecution, *, now: float) -> dict[str, float]:
    """Return for how many seconds each guard held or paused an execution; until ``now`` while it still does.

    What several guards held at once counts for each of them. A record from before guards were noted says "unknown".
    """
    seconds: dict[str, float] = {}
    events = [event for event in execution.timeline if event.what != "asked to stop"]
    last = now if not execution.status.is_final else execution.end_time or execution.start_time
    for event, until in zip(events, [*(one.at for one in events[1:]), last], strict=True):
        if event.what in _WAITING | _PAUSED:
            for guard in event.guards or ("unknown",):
                seconds[guard] = seconds.get(guard, 0.0) + max(0.0, until - event.at)
    return seconds


def _what_held_it(execution: ScheduleExecution) -> Iterator[str]:
    """Yield how long it waited and paused; of one that still does, until it last noted something."""
    waited, paused = _spans(execution.timeline, _WAITING), _spans(execution.timeline, _PAUSED)
    if waited:
        yield f"waited {format_duration(sum(waited))} for what held it"
    if paused:
        times = "once" if len(paused) == 1 else f"{len(paused)} times"
        in_all = "" if len(paused) == 1 else " in all"
        yield f"was paused {times}, for {format_duration(sum(paused))}{in_all}"


def _spans(timeline: tuple[Event, ...], kinds: frozenset[str]) -> list[float]:
    """Return the seconds of each stretch of such events, from its first to whatever came after its last."""
    spans, since = [], None
    for event in timeline:
        if event.what in kinds:
            since = event.at if since is None else since
        elif since is not None and event.what != "asked to stop":
            spans.append(event.at - since)
            since = None
    return spans if since is None else [*spans, timeline[-1].at - since]


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
