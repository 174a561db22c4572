"""A month of a schedule, day by day in its time zone: when it fires, and what ran."""

import calendar
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from rebalancer.errors import UsageError
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.schedules.manager import is_suspended
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.slots import NEWEST, Slot, slots_between
from rebalancer.schedules.zones import zone

TIMES_SHOWN = 3  # firings and executions of one day that are written out
_MONTH = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 1971, 9000  # what every clock and every calendar here can count


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the month; ``times`` and ``executions`` are the first of those that are counted beside them."""

    number: int
    weekday: str
    is_today: bool
    times: tuple[str, ...]  # at which it will fire, as a clock there shows them
    firings: str  # how often it will fire besides those, in words; empty when that is all
    executions: tuple["Ran", ...]
    more_executions: int


@dataclass(frozen=True, slots=True)
class Ran:
    """An execution, and the time of day at which it began."""

    at: str
    execution: ScheduleExecution


@dataclass(frozen=True, slots=True)
class Month:
    """Weeks begin on Monday; None stands for the days of other months. ``previous`` and ``next`` are empty at the ends of time."""

    title: str
    timezone: str
    weeks: tuple[tuple[Day | None, ...], ...]
    previous: str
    next: str


def month_of(text: str, *, today: date) -> date:
    """Return the first day of a month written like ``2026-12``, of this one for nothing; raises UsageError."""
    if not text:
        return today.replace(day=1)
    match = _MONTH.fullmatch(text)
    if match is None or not 1 <= int(match[2]) <= 12 or not _FIRST_YEAR <= int(match[1]) <= _LAST_YEAR:
        raise UsageError(f"month: {text!r} is no month; write it like 2026-12")
    return date(int(match[1]), int(match[2]), 1)


def span_of(first: date, here: ZoneInfo) -> tuple[float, float]:
    """Return when a month begins and ends there, in seconds since 1970 (UTC)."""
    return _begin_of(first, here), _begin_of(_month_after(first), here)


def month(
    schedule: Schedule,
    executions: Sequence[ScheduleExecution],
    *,
    first: date,
    now: float,
    machine_timezone: str,
) -> Month:
    """Return a month of the schedule, with the executions that began in it."""
    timezone = schedule.timezone or machine_timezone
    here = zone(timezone)
    today = datetime.fromtimestamp(now, here).date()
    weeks = calendar.Calendar().monthdatescalendar(first.year, first.month)
    slots = _slots_by_day(schedule, first, now=now, machine_timezone=machine_timezone)
    ran = _executions_by_day(executions, here)

    def day(one: date) -> Day | None:
        if one.month != first.month:
            return None
        return _day(one, today, slots.get(one, ()), ran.get(one, ()))

    before, after = first - timedelta(days=1), _month_after(first)
    return Month(
        title=f"{calendar.month_name[first.month]} {first.year}",
        timezone=timezone,
        weeks=tuple(tuple(day(one) for one in week) for week in weeks),
        previous=f"{before:%Y-%m}" if before.year >= _FIRST_YEAR else "",
        next=f"{after:%Y-%m}" if after.year <= _LAST_YEAR else "",
    )


def _day(one: date, today: date, slots: Sequence[Slot], ran: Sequence[Ran]) -> Day:
    return Day(
        number=one.day,
        weekday=calendar.day_name[one.weekday()],
        is_today=one == today,
        times=tuple(slot.local[11:16] for slot in slots[:TIMES_SHOWN]),
        firings=_further(len(slots) - TIMES_SHOWN),
        executions=tuple(ran[:TIMES_SHOWN]),
        more_executions=max(0, len(ran) - TIMES_SHOWN),
    )


def _further(count: int) -> str:
    if count <= 0:
        return ""
    return "and every few minutes" if count + TIMES_SHOWN >= NEWEST else f"and {count} more"


def _slots_by_day(
    schedule: Schedule, first: date, *, now: float, machine_timezone: str
) -> dict[date, tuple[Slot, ...]]:
    """Return the firings to come of each day, none while nothing would end the schedule's rest."""
    here = zone(schedule.timezone or machine_timezone)
    begin, end = span_of(first, here)
    since = max(begin - 1, now)
    if schedule.suspension is not None and is_suspended(schedule, now=now):
        if schedule.suspension.until is None:
            return {}
        since = max(since, schedule.suspension.until)
    if not schedule.enabled or since >= end - 1:
        return {}
    found = list(slots_between(schedule, since=since, until=end - 1, machine_timezone=machine_timezone))
    if len(found) == NEWEST:  # there are more of them: each day is asked for its own
        found = list(_day_by_day(schedule, since, end, here, machine_timezone))
    return _by_day(found)


def _day_by_day(schedule: Schedule, since: float, end: float, here: ZoneInfo, machine_timezone: str) -> Iterator[Slot]:
    day = datetime.fromtimestamp(since, here).date()
    while since < end - 1:
        day += timedelta(days=1)
        until = min(_begin_of(day, here), end) - 1
        yield from slots_between(schedule, since=since, until=until, machine_timezone=machine_timezone)
        since = max(since, until)


def _by_day(slots: Sequence[Slot]) -> dict[date, tuple[Slot, ...]]:
    found: dict[date, tuple[Slot, ...]] = {}
    for slot in slots:
        day = date.fromisoformat(slot.local[:10])
        found[day] = (*found.get(day, ()), slot)
    return found


def _executions_by_day(executions: Sequence[ScheduleExecution], here: ZoneInfo) -> dict[date, tuple[Ran, ...]]:
    found: dict[date, tuple[Ran, ...]] = {}
    for one in sorted(executions, key=lambda one: one.start_time):
        began = datetime.fromtimestamp(one.start_time, here)
        found[began.date()] = (*found.get(began.date(), ()), Ran(f"{began:%H:%M}", one))
    return found


def _begin_of(day: date, here: ZoneInfo) -> float:
    """Return the first instant of a day, also where clocks skip midnight."""
    return datetime.combine(day, time(), tzinfo=here).timestamp()


def _month_after(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)
