"""A month of a schedule, day by day in its time zone: when it fires, and what ran."""

import calendar
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import TypeVar
from zoneinfo import ZoneInfo

from rebalancer.errors import UsageError
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.schedules.manager import is_suspended
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.slots import NEWEST, Slot, days_of, days_of_change, numbers_of, slots_between
from rebalancer.schedules.zones import zone

TIMES_SHOWN = 3  # firings and executions of one day that are written out
_MONTH = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
_LONGEST_MONTH = 31  # days
_FIRST_YEAR, _LAST_YEAR = 1971, 9000  # what every clock and every calendar here can count

T = TypeVar("T")


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
    times = _times_by_day(schedule, first, now=now, machine_timezone=machine_timezone)
    ran = _executions_by_day(executions, here)

    def day(one: date) -> Day | None:
        if one.month != first.month:
            return None
        return _day(one, today, times.get(one, ()), ran.get(one, ()))

    before, after = first - timedelta(days=1), _month_after(first)
    return Month(
        title=f"{calendar.month_name[first.month]} {first.year}",
        timezone=timezone,
        weeks=tuple(tuple(day(one) for one in week) for week in weeks),
        previous=f"{before:%Y-%m}" if before.year >= _FIRST_YEAR else "",
        next=f"{after:%Y-%m}" if after.year <= _LAST_YEAR else "",
    )


def _day(one: date, today: date, times: Sequence[str], ran: Sequence[Ran]) -> Day:
    further = len(times) - TIMES_SHOWN
    return Day(
        number=one.day,
        weekday=calendar.day_name[one.weekday()],
        is_today=one == today,
        times=tuple(times[:TIMES_SHOWN]),
        firings=f"and {further:,} more" if further > 0 else "",
        executions=tuple(ran[:TIMES_SHOWN]),
        more_executions=max(0, len(ran) - TIMES_SHOWN),
    )


def _times_by_day(
    schedule: Schedule, first: date, *, now: float, machine_timezone: str
) -> Mapping[date, Sequence[str]]:
    """Return the times of each day at which it will fire, none while nothing would end the schedule's rest."""
    timezone = schedule.timezone or machine_timezone
    begin, end = span_of(first, zone(timezone))
    since = max(begin - 1, now)
    if schedule.suspension is not None and is_suspended(schedule, now=now):
        if schedule.suspension.until is None:
            return {}
        since = max(since, schedule.suspension.until)
    if not schedule.enabled or since >= end - 1:
        return {}
    slots = slots_between(schedule, since=since, until=end - 1, machine_timezone=machine_timezone)
    found = _by_day(_clock_times(slots))
    is_complete = sum(map(len, found.values())) < NEWEST
    return found if is_complete else _frequent(schedule, first, since=since, timezone=timezone)


def _frequent(schedule: Schedule, first: date, *, since: float, timezone: str) -> dict[date, Sequence[str]]:
    """Return the times of a schedule that fires too often for each firing to be looked for.

    On a day that is whole, and on which no clock changes, they are those of the expression.
    """
    here, fires = zone(timezone), days_of(schedule.cron)
    begun = datetime.fromtimestamp(since, here).date()
    changes = {
        datetime.fromtimestamp(begin, here).date()
        for begin, _end in days_of_change(timezone, since=span_of(first, here)[0], days=_LONGEST_MONTH)
    }
    minutes, hours, *_days = numbers_of(schedule.cron)
    usual = [f"{hour:02d}:{minute:02d}" for hour in sorted(hours) for minute in sorted(minutes)]
    found: dict[date, Sequence[str]] = {}
    for day in (first + timedelta(days=number) for number in range(_LONGEST_MONTH)):
        if day.month != first.month or day < begun or not fires(day):
            continue
        found[day] = usual
        if day == begun or day in changes:
            found[day] = _times_of(schedule, day, since=since, timezone=timezone)
    return found


def _times_of(schedule: Schedule, day: date, *, since: float, timezone: str) -> list[str]:
    """Return the times of one day, half of it after the other: each is short enough to be looked at whole."""
    here = zone(timezone)
    begin, end = _begin_of(day, here) - 1, _begin_of(day + timedelta(days=1), here) - 1
    ends = (max(since, begin), max(since, (begin + end) // 2), max(since, end))
    halves = (
        slots_between(schedule, since=start, until=until, machine_timezone=timezone)
        for start, until in pairwise(ends)
        if start < until
    )
    return [time for half in halves for _day, time in _clock_times(half)]


def _clock_times(slots: Iterable[Slot]) -> Iterator[tuple[date, str]]:
    """Yield the day and the time that a clock there shows."""
    return ((date.fromisoformat(slot.local[:10]), slot.local[11:16]) for slot in slots)


def _by_day(pairs: Iterable[tuple[date, T]]) -> dict[date, list[T]]:
    found: dict[date, list[T]] = {}
    for day, what in pairs:
        found.setdefault(day, []).append(what)
    return found


def _executions_by_day(executions: Sequence[ScheduleExecution], here: ZoneInfo) -> Mapping[date, Sequence[Ran]]:
    begun = ((datetime.fromtimestamp(one.start_time, here), one) for one in sorted(executions, key=_start_of))
    return _by_day((at.date(), Ran(f"{at:%H:%M}", one)) for at, one in begun)


def _start_of(execution: ScheduleExecution) -> float:
    return execution.start_time


def _begin_of(day: date, here: ZoneInfo) -> float:
    """Return the first instant of a day, also where clocks skip midnight."""
    return datetime.combine(day, time(), tzinfo=here).timestamp()


def _month_after(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)
