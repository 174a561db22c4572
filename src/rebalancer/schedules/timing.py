"""The five fields that go into a crontab for a schedule: what every daemon reads alike, or more, never less."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from rebalancer.schedules.daemons import Daemon
from rebalancer.schedules.lint import deviations
from rebalancer.schedules.schedule import Missed, Schedule
from rebalancer.schedules.slots import days_of_change, is_moved, numbers_of, slots_between
from rebalancer.schedules.zones import zone

_PLAIN = re.compile(r"\*(/\d+)?|\d+(-\d+(/\d+)?)?(,\d+(-\d+(/\d+)?)?)*", re.ASCII)
_AHEAD = 800  # days in which clocks may change


def timing(schedule: Schedule, *, daemon: Daemon, machine_timezone: str, now: float) -> str:
    """Return the fields at which the daemon has to ask whether the schedule is due.

    They are the schedule's own where the daemon does as meant. Otherwise they hold every minute of the hour that may
    matter, at every hour: the program runs at slots only. So it is also for schedules that make up for missed runs,
    because no daemon but the program knows of those.
    """
    timezone = schedule.timezone or machine_timezone
    found = deviations(schedule, daemon=daemon, machine_timezone=machine_timezone, now=now)
    is_exact = timezone == machine_timezone and not any(one.loses_slots for one in found)
    if is_exact and schedule.missed is Missed.SKIP:
        return " ".join(_fields(schedule.cron))
    minutes = _shifted(schedule.cron, timezone, machine_timezone, now) | _moved(
        schedule, timezone, machine_timezone, now
    )
    return f"{','.join(map(str, sorted(minutes)))} * * * *"


def _fields(cron: str) -> list[str]:
    """Write names, and steps after a single number, as numbers: daemons do not agree about those."""
    return [
        text if _PLAIN.fullmatch(text) else ",".join(map(str, sorted(numbers)))
        for text, numbers in zip(cron.split(), numbers_of(cron), strict=True)
    ]


def _shifted(cron: str, timezone: str, machine_timezone: str, now: float) -> set[int]:
    """Return the minutes of the expression as the machine's clock shows them, which may be set half an hour apart."""
    here, there = zone(machine_timezone), zone(timezone)
    days = [datetime.fromtimestamp(now, UTC) + timedelta(days=n) for n in range(_AHEAD)]
    shifts = {(_offset(day, here) - _offset(day, there)) % 60 for day in days}
    return {(minute + shift) % 60 for minute in numbers_of(cron)[0] for shift in shifts}


def _moved(schedule: Schedule, timezone: str, machine_timezone: str, now: float) -> set[int]:
    """Return the minutes of slots that stand for a time of day that clocks skip."""
    here = zone(machine_timezone)
    return {
        datetime.fromtimestamp(slot.at, here).minute
        for begin, end in days_of_change(timezone, since=now, days=_AHEAD)
        for slot in slots_between(schedule, since=begin - 1, until=end - 1, machine_timezone=machine_timezone)
        if is_moved(slot, schedule.cron)
    }


def _offset(moment: datetime, here: tzinfo) -> int:
    """Return how many minutes a zone is ahead of UTC."""
    return int((moment.astimezone(here).utcoffset() or timedelta()).total_seconds() // 60)
