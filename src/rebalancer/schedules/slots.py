"""The moments at which a schedule is due, computed as Debian's cron would fire, with daylight saving time done right."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from hashlib import sha256
from itertools import islice, product

from cronsim import CronSim, CronSimError
from msgspec import Struct

from rebalancer.errors import UsageError
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.zones import zone

NEWEST = 1000  # slots that `slots_between` yields at most
_DAY = 24 * 3600.0
_FURTHEST = 50 * 366  # days to look ahead; the calendar repeats itself within 28 years
_END = 250_000_000_000.0  # seconds since 1970; the calendar of Python ends with the year 9999


class Slot(Struct, frozen=True):
    """A moment at which a schedule is due; two slots are the same when their instants are."""

    at: float  # seconds since 1970 (UTC), a whole minute
    local: str  # 2026-10-25T02:30:00+01:00: the offset tells the two hours apart when clocks are set back


def slot_at(at: float, timezone: str) -> Slot:
    """Return the slot of an instant as a clock in that zone shows it."""
    return Slot(at=at, local=datetime.fromtimestamp(at, zone(timezone)).isoformat())


def slot_of(key: str) -> Slot:
    """Return the slot that a key (``Slot.local``) stands for; raises UsageError for anything else."""
    try:
        moment = datetime.fromisoformat(key)
        at = moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        at = None
    if at is None or at % 60:
        raise UsageError(f"slot: {key!r} is no slot; it is written like 2026-10-25T02:30:00+01:00")
    return Slot(at=at, local=key)


def next_slots(schedule: Schedule, *, after: float, count: int, machine_timezone: str) -> list[Slot]:
    """Return the next slots after an instant, without jitter; fewer when the schedule has no more.

    A slot in the hour that clocks skip runs at the first instant after it, one in the hour that comes twice runs the
    first time only; expressions whose minute or hour begins with ``*`` follow the clock on the wall instead.
    """
    return list(islice(_slots(schedule, after=after, machine_timezone=machine_timezone), count))


def slots_between(schedule: Schedule, *, since: float, until: float, machine_timezone: str) -> Iterator[Slot]:
    """Yield the slots with ``since < at <= until``, oldest first, the newest `NEWEST` of them."""
    span = _DAY
    while True:
        start = max(since, until - span)
        newest: deque[Slot] = deque(maxlen=NEWEST)
        for slot in _slots(schedule, after=start, machine_timezone=machine_timezone):
            if slot.at > until:
                break
            newest.append(slot)
        if start == since or len(newest) == NEWEST:
            yield from newest
            return
        span *= 8


def latest_slot(schedule: Schedule, *, now: float, window: float, machine_timezone: str) -> Slot | None:
    """Return the newest slot with ``now - window <= at <= now``."""
    just_before = now - window - 1e-3
    slots = slots_between(schedule, since=just_before, until=now, machine_timezone=machine_timezone)
    return max(slots, key=lambda slot: slot.at, default=None)


def jitter_of(schedule: Schedule, *, machine: str) -> int:
    """Return how many seconds after its slot the schedule starts on this machine: always the same, at most `jitter`."""
    digest = sha256(f"{machine}\0{schedule.schedule_id}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8]) % (schedule.jitter + 1)


@lru_cache(maxsize=64)
def numbers_of(cron: str) -> list[set[int]]:
    """Return what the five fields stand for: minutes, hours, days, months, weekdays with Sunday as 0."""
    expression = _parse(cron)
    weekdays = {number % 7 for number in expression.weekdays if isinstance(number, int)}
    return [expression.minutes, expression.hours, expression.days, expression.months, weekdays]


def days_of(cron: str) -> Callable[[date], bool]:
    """Return the test for the days on which an expression fires."""
    expression = _parse(cron)
    return lambda day: day.month in expression.months and expression.match_day(day)


def is_moved(slot: Slot, cron: str) -> bool:
    """Return whether a slot stands for a time of day that clocks skip."""
    wall = datetime.fromisoformat(slot.local)
    minutes, hours, *_days = numbers_of(cron)
    return wall.minute not in minutes or wall.hour not in hours


def days_of_change(timezone: str, *, since: float, days: int) -> Sequence[tuple[float, float]]:
    """Return the beginning and the end of each local day on which the zone's clocks are put forward or back."""
    return _days_of_change(timezone, datetime.fromtimestamp(since, zone(timezone)).date(), days)


@lru_cache(maxsize=64)
def _days_of_change(timezone: str, first: date, days: int) -> tuple[tuple[float, float], ...]:
    here, found = zone(timezone), []
    for number in range(days):
        begin = datetime.combine(first + timedelta(days=number), time(), tzinfo=here)
        end = begin + timedelta(days=1)
        if begin.utcoffset() != end.utcoffset():
            found.append((begin.timestamp(), end.timestamp()))
    return tuple(found)


def _slots(schedule: Schedule, *, after: float, machine_timezone: str) -> Iterator[Slot]:
    """Yield the slots after an instant, in order, each instant once.

    cronsim reads the expression and knows the days; the minutes are found here, because it loses slots where clocks
    change by half an hour.
    """
    timezone = schedule.timezone or machine_timezone
    here = zone(timezone)
    last = after
    expression = _parse(schedule.cron)
    first = datetime.fromtimestamp(min(max(after, 0.0), _END), here).date() - timedelta(days=1)
    for number in range(_FURTHEST):
        day = first + timedelta(days=number)
        if day.month not in expression.months or not expression.match_day(day):
            continue
        for at in sorted(_instants(day, expression, here)):
            if at > last:
                last = at
                yield slot_at(at, timezone)


@lru_cache(maxsize=256)
def _parse(cron: str) -> CronSim:
    try:
        if len(cron.split()) == 5:
            return CronSim(cron, datetime(2001, 1, 1, tzinfo=UTC))
    except CronSimError:
        pass
    raise UsageError(f"cron: {cron!r} is not an expression with five fields")


def _instants(day: date, expression: CronSim, here: tzinfo) -> set[float]:
    """Return when the expression fires on a day of the wall calendar, which it matches."""
    follows_the_wall = any(field.startswith("*") for field in expression.parts[1:3])
    found = set()
    for hour, minute in product(expression.hours, expression.minutes):
        wall = datetime.combine(day, time(hour, minute), tzinfo=here)
        if not follows_the_wall:
            found.add(_first_instant_from(wall))
            continue
        found.update(moment.timestamp() for moment in (wall, wall.replace(fold=1)) if _exists(moment))
    return found


def _first_instant_from(wall: datetime) -> float:
    """Return the instant at which a clock on the wall first shows that time, or the first one after it."""
    while not _exists(wall):
        wall += timedelta(minutes=1)
    return wall.timestamp()


def _exists(wall: datetime) -> bool:
    """Return whether the time is ever on the wall: clocks that are put forward skip some (PEP 495)."""
    return wall.astimezone(UTC).astimezone(wall.tzinfo).replace(tzinfo=None) == wall.replace(tzinfo=None)
