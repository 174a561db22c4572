"""The hours in which a schedule may work, as people write them: ``22:00-06:00`` or ``mon-fri 01:00-07:00``."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from rebalancer.errors import UsageError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST = 500  # characters

_WINDOW = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))? +)?(\d{1,2}):(\d{2}) ?- ?(\d{1,2}):(\d{2})", re.ASCII)
_DAY = 24 * 60  # minutes
_SEARCHED = 22 * _DAY  # minutes; a weekly window that daylight saving time skips comes again within two weeks


@dataclass(frozen=True, slots=True)
class Window:
    """From ``begin`` to just before ``end``, in minutes of the wall clock after midnight of each of its days.

    An end beyond 24:00 reaches into the day after.
    """

    days: frozenset[int]  # 0 is Monday
    begin: int
    end: int

    def holds(self, weekday: int, minute: int) -> bool:
        """Return whether the window is open at that minute of that weekday."""
        is_open_since_today = weekday in self.days and self.begin <= minute < self.end
        return is_open_since_today or ((weekday - 1) % 7 in self.days and minute + _DAY < self.end)


@lru_cache(maxsize=64)
def parse_active_hours(text: str, *, field: str = "active_hours") -> tuple[Window, ...]:
    """Return the windows of ``mon-fri 22:00-06:00, sat 00:00-24:00``; none for an empty text, which means always.

    Raises UsageError naming the part that cannot be read.
    """
    if len(text) > LONGEST:
        raise UsageError(f"{field}: at most {LONGEST} characters are allowed")
    if not text.strip():
        return ()
    return tuple(_window(part, field) for part in text.split(","))


def is_open(active_hours: str, *, at: datetime) -> bool:
    """Return whether work may go on at that moment, judged by its own wall clock."""
    windows = parse_active_hours(active_hours)
    minute = at.hour * 60 + at.minute
    return not windows or any(window.holds(at.weekday(), minute) for window in windows)


def next_opening(active_hours: str, *, at: datetime) -> datetime:
    """Return the first moment from ``at`` on at which work may go on: ``at`` itself when it may now.

    ``at`` knows its time zone. When clocks change, the hours are those that the clock on the wall shows: an hour
    that is skipped opens nothing, an hour that comes twice opens twice.
    """
    if is_open(active_hours, at=at):
        return at
    minute = at.astimezone(UTC).replace(second=0, microsecond=0)
    for _ in range(_SEARCHED):
        minute += timedelta(minutes=1)
        local = minute.astimezone(at.tzinfo)
        if is_open(active_hours, at=local):
            return local
    raise UsageError(f"active_hours: {active_hours!r} never opens")


def _window(part: str, field: str) -> Window:
    match = _WINDOW.fullmatch(part.strip().lower())
    if match is None:
        raise UsageError(
            f"{field}: {part.strip()!r} cannot be read; write 22:00-06:00 or mon-fri 01:00-07:00, "
            "several of them separated by commas"
        )
    first, last, *clock = match.groups()
    begin = _minute(clock[0], clock[1], part=part, field=field)
    end = _minute(clock[2], clock[3], part=part, field=field)
    if begin in {end, _DAY}:
        raise UsageError(f"{field}: {part.strip()!r} is no span of time; 00:00-24:00 is the whole day")
    return Window(_days(first, last or first, part=part, field=field), begin, end if end > begin else end + _DAY)


def _minute(hour: str, minute: str, *, part: str, field: str) -> int:
    total = int(hour) * 60 + int(minute)
    if int(minute) > 59 or total > _DAY:
        raise UsageError(f"{field}: {part.strip()!r} holds a time outside 00:00 to 24:00")
    return total


def _days(first: str | None, last: str | None, *, part: str, field: str) -> frozenset[int]:
    if first is None or last is None:
        return frozenset(range(7))
    if first not in DAYS or last not in DAYS:
        raise UsageError(f"{field}: {part.strip()!r} names a day that is none of {', '.join(DAYS)}")
    begin, end = DAYS.index(first), DAYS.index(last)
    return frozenset(day % 7 for day in range(begin, end + 1 if end >= begin else end + 8))
