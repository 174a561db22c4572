"""Schedules as the documents, lines and tables that people and programs read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from rebalancer import records
from rebalancer.cli import output, tables
from rebalancer.cli.tables import Cell, Column, Table
from rebalancer.quantities import format_duration, format_size
from rebalancer.schedules import document as documents
from rebalancer.schedules.moments import distance, in_words
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.slots import Slot
from rebalancer.schedules.upcoming import state_of, upcoming

if TYPE_CHECKING:
    from rebalancer.executions.verdict import Verdict

_DURATIONS = ("max_wait", "catch_up_window", "jitter", "retry_delay", "max_runtime", "min_age")
_SIZES = ("min_unit_size", "max_unit_size", "max_bytes", "min_memory")
_RATES = ("bandwidth_limit", "max_disk_activity")
_WRITTEN: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(_DURATIONS, format_duration),
    **dict.fromkeys(_SIZES, format_size),
    **dict.fromkeys(_RATES, lambda rate: f"{format_size(rate)}/s"),
    **dict.fromkeys(("max_temperature", "cool_down"), lambda degrees: f"{degrees} °C"),
    "max_cpu": lambda percent: f"{percent:g} %",
}
_OPTION = {"ignored": "ignore-guard"}  # where an option is not called as its field
_TOLD_APART = frozenset(
    {"schedule_id", "selection", "guards", "suspension", "enabled", "created_at", "updated_at", "cron"}
)


@dataclass(frozen=True, slots=True)
class Now:
    """The moment of the command line, and the machine's time zone: what every time in words is told from."""

    at: float
    timezone: str

    def zone_of(self, schedule: Schedule) -> str:
        return schedule.timezone or self.timezone

    def moment(self, at: float, schedule: Schedule) -> str:
        """Return a moment in the schedule's time zone, which is named when it is not the machine's."""
        zone = self.zone_of(schedule)
        return in_words(at, now=self.at, timezone=zone) + ("" if zone == self.timezone else f" {zone}")

    def next_slots(self, schedule: Schedule, count: int) -> list[Slot]:
        return upcoming(schedule, now=self.at, count=count, machine_timezone=self.timezone)


def document(schedule: Schedule, now: Now, *, count: int = 3) -> dict[str, Any]:
    """Return every field of a schedule, also those at their default, its state, and its next slots."""
    found: dict[str, Any] = records.to_builtins(
        documents.document(schedule, now=now.at, machine_timezone=now.timezone, count=count)
    )
    return found


def show_list(schedules: Sequence[Schedule], now: Now) -> None:
    columns = (
        Column("schedule"), Column("when"), Column("next", may_break=True), Column("state", may_break=True),
        Column("name", may_break=True),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            schedule.schedule_id,
            schedule.cron,
            next(iter(_words(schedule, now, count=1)), "-"),
            state_in_words(schedule, now),
            schedule.name,
        )
        for schedule in schedules
    ]
    if rows:
        tables.show(Table(columns, rows))
    else:
        output.say("no schedules; make one with: unraid-rebalancer schedule create --template nightly")


def show_one(schedule: Schedule, now: Now) -> None:
    """Show when it runs next, and every option that is not at its default."""
    output.say(f"{schedule.schedule_id}: {schedule.cron} ({now.zone_of(schedule)}), {state_in_words(schedule, now)}")
    show_next_lines(schedule, now)
    rows: list[tuple[Cell, ...]] = [
        (_OPTION.get(name, name.replace("_", "-")), value)
        for name, value in (*_changed(schedule), *_changed(schedule.guards), *_changed(schedule.selection))
    ]
    if rows:
        output.say()
        tables.show(Table((Column("option"), Column("value", may_break=True)), rows))


def show_next_lines(schedule: Schedule, now: Now, *, count: int = 3) -> None:
    words = _words(schedule, now, count=count)
    if not words:
        output.say(f"next: never as it stands ({state_in_words(schedule, now)})")
        return
    later = f", each up to {format_duration(schedule.jitter)} later" if schedule.jitter else ""
    output.say(f"next: {', '.join(words)}{later}")


def next_document(schedules: Sequence[Schedule], now: Now, *, count: int) -> list[dict[str, Any]]:
    """Return the next firings of all of them, in the order in which they come."""
    return [
        {"schedule_id": schedule.schedule_id, "at": slot.at, "local": slot.local}
        for slot, schedule in _coming(schedules, now, count)
    ]


def show_next(schedules: Sequence[Schedule], now: Now, *, count: int) -> None:
    rows: list[tuple[Cell, ...]] = [
        (schedule.schedule_id, now.moment(slot.at, schedule), distance(slot.at, now=now.at))
        for slot, schedule in _coming(schedules, now, count)
    ]
    if rows:
        tables.show(Table((Column("schedule"), Column("next", may_break=True), Column("that is")), rows))
    for schedule in schedules:
        if not now.next_slots(schedule, 1):
            output.say(f"{schedule.schedule_id}: never as it stands ({state_in_words(schedule, now)})")


def show_verdicts(verdicts: "Sequence[Verdict]") -> None:
    for verdict in verdicts:
        detail = f": {verdict.detail}" if verdict.detail else ""
        output.say(f"{verdict.execution_id}: {verdict.verdict.value} after {format_duration(verdict.seconds)}{detail}")


def _coming(schedules: Sequence[Schedule], now: Now, count: int) -> list[tuple[Slot, Schedule]]:
    slots = [(slot, schedule) for schedule in schedules for slot in now.next_slots(schedule, count)]
    return sorted(slots, key=lambda pair: (pair[0].at, pair[1].schedule_id))[:count]


def _words(schedule: Schedule, now: Now, *, count: int) -> list[str]:
    return [now.moment(slot.at, schedule) for slot in now.next_slots(schedule, count)]


def state_in_words(schedule: Schedule, now: Now) -> str:
    """Return whether it fires, and who keeps it from that, until when and why."""
    state, suspension = state_of(schedule, now=now.at), schedule.suspension
    if state != "suspended" or suspension is None:
        return state
    until = "" if suspension.until is None else f" until {now.moment(suspension.until, schedule)}"
    reason = f": {suspension.reason}" if suspension.reason else ""
    return f"suspended by {suspension.actor}{until}{reason}"


def _changed(options: Struct) -> list[tuple[str, str]]:
    defaults = options.__struct_defaults__
    fields = options.__struct_fields__[-len(defaults) :]
    return [
        (name, _value(name, getattr(options, name)))
        for name, default in zip(fields, defaults, strict=True)
        if getattr(options, name) != default and name not in _TOLD_APART
    ]


def _value(name: str, value: Any) -> str:
    if name in _WRITTEN:
        return _WRITTEN[name](value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    return ", ".join(value) if isinstance(value, tuple) else f"{value}"
