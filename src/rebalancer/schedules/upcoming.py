"""When a schedule will fire next, as it stands now: a disabled or suspended one does not."""

from rebalancer.schedules.manager import is_suspended
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.slots import Slot, next_slots


def upcoming(schedule: Schedule, *, now: float, count: int, machine_timezone: str) -> list[Slot]:
    """Return the next slots at which the schedule will fire, without jitter; none while nothing would end its rest."""
    if not schedule.enabled:
        return []
    after = now
    if schedule.suspension is not None and is_suspended(schedule, now=now):
        if schedule.suspension.until is None:
            return []
        after = schedule.suspension.until
    return next_slots(schedule, after=after, count=count, machine_timezone=machine_timezone)


def state_of(schedule: Schedule, *, now: float) -> str:
    """Return ``enabled``, ``disabled`` or ``suspended``."""
    if is_suspended(schedule, now=now):
        return "suspended"
    return "enabled" if schedule.enabled else "disabled"
