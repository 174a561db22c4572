"""A schedule as programs read it: every field, also those at their default, its state, and its next slots."""

import msgspec

from rebalancer.guards.options import GuardOptions
from rebalancer.planning.selection import Selection
from rebalancer.schedules.schedule import Schedule, Suspension
from rebalancer.schedules.slots import Slot
from rebalancer.schedules.upcoming import state_of, upcoming


class WholeSelection(Selection, frozen=True, kw_only=True, omit_defaults=False):
    """What is moved, and within which limits. Sizes in bytes, durations in seconds, null for no limit."""


class WholeGuards(GuardOptions, frozen=True, kw_only=True, omit_defaults=False):
    """Which guards look, and from which value on they hold; null for what is not looked at."""


class WholeSuspension(Suspension, frozen=True, kw_only=True, omit_defaults=False):
    """Why it does not fire; times are seconds since 1970 (UTC), null for until somebody resumes it."""


class ScheduleDocument(Schedule, frozen=True, kw_only=True, omit_defaults=False):
    """A schedule as it stands. Durations in seconds, sizes in bytes, times in seconds since 1970 (UTC)."""

    selection: WholeSelection = WholeSelection()
    guards: WholeGuards = WholeGuards()
    suspension: WholeSuspension | None = None
    state: str  # "enabled", "disabled" or "suspended"
    next: tuple[Slot, ...]


def document(schedule: Schedule, *, now: float, machine_timezone: str, count: int = 3) -> ScheduleDocument:
    """Return the document of a schedule, with its next ``count`` slots as it stands now."""
    values = {name: getattr(schedule, name) for name in Schedule.__struct_fields__}
    values["state"] = state_of(schedule, now=now)
    values["next"] = tuple(upcoming(schedule, now=now, count=count, machine_timezone=machine_timezone))
    return msgspec.convert(values, ScheduleDocument, from_attributes=True)
