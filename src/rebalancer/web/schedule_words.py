"""How a schedule fares and what it says, in the words of its pages: pure."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rebalancer import names
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.health import Condition, ScheduleHealth
from rebalancer.executions.verdict import Verdict
from rebalancer.quantities import format_duration
from rebalancer.schedules import moments
from rebalancer.schedules.hours import DAYS
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.slots import Slot, is_moved, jitter_of
from rebalancer.schedules.writing import duration, in_text
from rebalancer.schedules.written import arguments_of
from rebalancer.web.schedule_fields import Choice, Field, Kind, every_field
from rebalancer.web.schedule_form import Timing

_CONDITIONS = {
    Condition.DISABLED: "quiet",
    Condition.SUSPENDED: "warn",
    Condition.MISSING: "bad",
    Condition.FAILING: "bad",
    Condition.WAITING: "info",
    Condition.HEALTHY: "ok",
}
_STATUSES = {
    ExecutionStatus.PENDING: ("info", "…"),
    ExecutionStatus.RUNNING: ("info", "▸"),
    ExecutionStatus.COMPLETED: ("ok", "✓"),
    ExecutionStatus.FAILED: ("bad", "✗"),
    ExecutionStatus.CANCELLED: ("warn", "■"),
    ExecutionStatus.SUSPENDED: ("quiet", "‖"),
}
LEGEND = tuple((kind, sign, status.value) for status, (kind, sign) in _STATUSES.items())
_DAY_NAMES = dict(zip(DAYS, ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), strict=True))


@dataclass(frozen=True, slots=True)
class Clock:
    """``now`` is seconds since 1970 (UTC); ``timezone`` is the machine's."""

    now: float
    timezone: str

    def zone_of(self, schedule: Schedule) -> str:
        return schedule.timezone or self.timezone

    def moment(self, at: float, schedule: Schedule) -> str:
        """Return a moment in the schedule's time zone, which is named when it is not the machine's."""
        here = self.zone_of(schedule)
        return self.local(at, schedule) + ("" if here == self.timezone else f" {here}")

    def local(self, at: float, schedule: Schedule) -> str:
        """Return a moment in the schedule's time zone, where the page names that already."""
        return moments.in_words(at, now=self.now, timezone=self.zone_of(schedule))


@dataclass(frozen=True, slots=True)
class Coming:
    """A firing to come: in words, exactly, how far away it is, and what is to be known of it."""

    at: float
    words: str
    exact: str  # 2026-12-01 04:15 +01:00
    distance: str
    note: str


def condition_badge(condition: Condition) -> str:
    """Return the kind of badge of a schedule's condition."""
    return _CONDITIONS[condition]


def status_badge(status: ExecutionStatus) -> str:
    """Return the kind of badge of an execution's status."""
    return _STATUSES[status][0]


def status_sign(status: ExecutionStatus) -> str:
    """Return one character for a status, where there is no room for its word."""
    return _STATUSES[status][1]


def when(schedule: Schedule) -> str:
    """Return when a schedule fires: ``daily at 04:15``, ``Mon, Fri at 05:30``, or its expression."""
    timing = Timing.of(schedule.cron)
    at = f"{timing.at[0]:02d}:{timing.at[1]:02d}"
    if timing.when == "daily":
        return f"daily at {at}"
    if timing.when == "weekly":
        return f"{', '.join(name for day, name in _DAY_NAMES.items() if day in timing.weekdays)} at {at}"
    if timing.when == "monthly":
        return f"on day {', '.join(map(str, timing.dates))} of each month at {at}"
    return schedule.cron


def remarks(health: ScheduleHealth, schedule: Schedule, clock: Clock) -> list[str]:
    """Return what is to be known of a schedule's health, in sentences."""
    return [names.display(f"{text[:1].upper()}{text[1:]}") for text in _remarks(health, schedule, clock)]


def _remarks(health: ScheduleHealth, schedule: Schedule, clock: Clock) -> Iterator[str]:
    if health.suspension is not None:
        yield suspension_in_words(schedule, clock)
    if health.condition is Condition.FAILING:
        yield f"the last run failed: {health.last_run_message or 'its log says why'}"
    if health.missed_runs:
        runs = f"{health.missed_runs:,} run{'' if health.missed_runs == 1 else 's'}"
        yield f"{runs} missed since {health.missed_since[:16].replace('T', ' ')}: nothing started it"
    if health.holding:
        yield f"its execution is {health.holding}"
    elif health.last_record_cause == "held":
        yield f"its last firing did not run: {health.last_record_message}"
    if health.cron_line is False and schedule.enabled:
        yield "cron does not know of it; disable and enable it, or keep this dashboard running, which has a clock of its own"
    yield from health.warnings


def suspension_in_words(schedule: Schedule, clock: Clock) -> str:
    """Return who suspended a schedule, since when, until when, and why; nothing when nobody did."""
    suspension = schedule.suspension
    if suspension is None:
        return ""
    since = f" {clock.moment(suspension.since, schedule)}"
    until = (
        ", until it is resumed" if suspension.until is None else f", until {clock.moment(suspension.until, schedule)}"
    )
    reason = f": {suspension.reason}" if suspension.reason else ""
    return f"suspended by {suspension.actor}{since}{until}{reason}"


def options(schedule: Schedule) -> list[tuple[str, tuple[str, ...]]]:
    """Return every option that is not at its default, by its label, with its value or values in words."""
    return [
        (field.label, _value(field, field.value_in(schedule)))
        for field in every_field()
        if field.value_in(schedule) != field.default and field.name != "name"
    ]


def _value(field: Field, value: object) -> tuple[str, ...]:
    if field.kind is Kind.SWITCH:
        return ("yes" if value else "no",)
    entries = value if isinstance(value, tuple) else (value,)
    labels = {choice.value: choice for choice in field.choices}
    return tuple(_entry(in_text(field.name, one), labels.get(in_text(field.name, one))) for one in entries)


def _entry(text: str, choice: Choice | None) -> str:
    if choice is None:
        return text
    return f"{choice.label}: {choice.hint}" if choice.hint else choice.label


def coming(slots: Sequence[Slot], schedule: Schedule, clock: Clock) -> list[Coming]:
    """Return firings in words, with what clocks do to them."""
    return [
        Coming(
            at=slot.at,
            words=clock.local(slot.at, schedule),
            exact=f"{slot.local[:10]} {slot.local[11:16]} {slot.local[19:]}",
            distance=moments.distance(slot.at, now=clock.now),
            note="clocks skip that time of day; it runs right after" if is_moved(slot, schedule.cron) else "",
        )
        for slot in slots
    ]


def jitter_in_words(schedule: Schedule, *, machine: str) -> str:
    """Return how much later than its times a schedule starts on this machine; nothing without jitter."""
    if not schedule.jitter:
        return ""
    later = jitter_of(schedule, machine=machine)
    return (
        f"each starts {format_duration(later)} later on this machine "
        f"(jitter of up to {duration(schedule.jitter)}, always the same here)"
    )


def command_line(schedule: Schedule) -> str:
    """Return the command that does once, by hand, what the schedule does."""
    disks = [f"--disk={disk}" for disk in schedule.disks]
    return shlex.join(["unraid-rebalancer", *disks, "run", *arguments_of(schedule.selection)])


def verdict_in_words(verdict: Verdict) -> str:
    detail = f": {verdict.detail}" if verdict.detail else ""
    return f"{verdict.execution_id}: {verdict.verdict.value} after {format_duration(verdict.seconds)}{detail}"


def took(execution: ScheduleExecution) -> str:
    """Return how long an execution worked; nothing when it did not."""
    return format_duration(execution.duration_seconds) if execution.duration_seconds > 0 else ""
