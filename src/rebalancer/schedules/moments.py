"""Moments as people say and type them: ``tomorrow 04:15``, ``in 3 h 05 min``, ``2026-12-01 08:00``."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from rebalancer.errors import UsageError
from rebalancer.quantities import format_duration, parse_duration

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NEAR = {-1: "yesterday", 0: "today", 1: "tomorrow"}
_FARTHEST = 3650 * 86400  # seconds


def in_words(at: float, *, now: float, timezone: str) -> str:
    """Return a moment the way a clock in that zone shows it: ``tomorrow 04:15``, ``Sat 28 Nov 04:15``."""
    local, today = _local(at, timezone), _local(now, timezone)
    distance = (local.date() - today.date()).days
    day = _NEAR.get(distance) or f"{_DAYS[local.weekday()]} {local.day} {_MONTHS[local.month - 1]}"
    year = "" if local.year == today.year or distance in _NEAR else f" {local.year}"
    return f"{day}{year} {local:%H:%M}"


def distance(at: float, *, now: float) -> str:
    """Return how far away a moment is: ``in 3 h 05 min``, ``2 d 4 h ago``."""
    return f"in {format_duration(at - now)}" if at >= now else f"{format_duration(now - at)} ago"


def parse_moment(text: str, *, field: str, now: float, timezone: str) -> float:
    """Return a moment to come, from a time to wait (``3d``), a day (``2026-12-01``: its begin) or a day and a time.

    Raises UsageError for anything else, and for a moment that is past or more than ten years away.
    """
    at = _parsed(text.strip(), field=field, now=now, timezone=timezone)
    if at <= now:
        raise UsageError(f"{field}: {text!r} is past; name a time to come")
    if at > now + _FARTHEST:
        raise UsageError(f"{field}: {text!r} is more than ten years away; leave it out for no end")
    return at


def _parsed(text: str, *, field: str, now: float, timezone: str) -> float:
    if text[:4].isdecimal() and text[4:5] == "-":
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise UsageError(_about(text, field)) from error
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=_zone(timezone))).timestamp()
    try:
        return now + parse_duration(text, field=field)
    except UsageError as error:
        raise UsageError(_about(text, field)) from error


def _about(text: str, field: str) -> str:
    return f"{field}: {text!r} is no time; write 3d, 2026-12-01 or '2026-12-01 08:00'"


def _local(at: float, timezone: str) -> datetime:
    return datetime.fromtimestamp(at, _zone(timezone))


def _zone(timezone: str) -> tzinfo:
    return UTC if timezone == "UTC" else ZoneInfo(timezone)
