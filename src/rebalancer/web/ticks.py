"""Where the ticks of an axis lie: at round values in their unit, at round moments of a time zone; pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from rebalancer.executions.checking import LATEST
from rebalancer.quantities import format_size

BYTES, RATE, SECONDS, PERCENT, POINTS = "bytes", "bytes per second", "seconds", "percent", "points"
_MOST_VALUES = 5  # steps
_SHORTEST = 3600.0  # seconds on a time axis, at least
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_DURATIONS = (
    1, 2, 5, 10, 15, 30,
    _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE,
    _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR,
)  # fmt: skip
_CLOCK_STEPS = tuple(minutes * _MINUTE for minutes in (15, 30, 60, 180, 360, 720))
_DAY_STEPS = (1, 2, 7, 14)
_MONTH_STEPS = (1, 2, 3, 6)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


def value_ticks(highest: float, unit: str) -> list[Tick]:
    """Return ticks at round steps from 0 to the first one that is not below ``highest``; two at least."""
    highest = max(highest, 1.0)
    needed = highest / _MOST_VALUES
    step = _duration_step(needed) if unit == SECONDS else round_step(needed)
    if unit in {BYTES, RATE}:
        step = max(step, 1.0)
    count = max(1, math.ceil(highest / step - 1e-9))
    return [Tick(number * step, _value_label(number * step, count * step, unit)) for number in range(count + 1)]


def percent_ticks(lowest: float, highest: float) -> list[Tick]:
    """Return ticks at round percents around two values from 0 to 100: only as much of the scale as they need."""
    for step in (1, 2, 5, 10, 25):
        first, last = math.floor(lowest / step) * step, math.ceil(highest / step) * step
        if last == first:
            first, last = (first - step, last) if last >= 100 else (first, last + step)
        if last - first <= _MOST_VALUES * step:
            break
    return [Tick(float(value), f"{value} %") for value in range(first, last + 1, step)]


def round_step(needed: float) -> float:
    """Return the least of 1, 2, 5, 10, 20, 50 and so on, and of 0.5, 0.2 and so on, that is not below it."""
    power = 10.0 ** math.floor(math.log10(needed))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= needed * (1 - 1e-9))


def time_ticks(moments: Sequence[float], timezone: str, *, most: int) -> tuple[float, float, list[Tick]]:
    """Return begin and end of an axis that holds all moments, and at most ``most`` ticks between them.

    Ticks lie at full hours, days, months or years of the zone. The axis is an hour long at least.
    """
    begin, end = min(moments, default=0.0), max(moments, default=0.0)
    if end - begin < _SHORTEST:
        begin = min(max(0.0, (begin + end - _SHORTEST) / 2), LATEST - _SHORTEST)
        end = begin + _SHORTEST
    zone = UTC if timezone == "UTC" else ZoneInfo(timezone)
    return begin, end, _round_moments(begin, end, zone, max(1, most))


def _round_moments(begin: float, end: float, zone: tzinfo, most: int) -> list[Tick]:
    long = end - begin
    for step in _CLOCK_STEPS:
        if long / step <= most:
            return _within(begin, end, zone, _clock_times(begin, end, zone, step), most)
    for days in _DAY_STEPS:
        if long / (days * _DAY) <= most:
            return _within(begin, end, zone, _days(begin, end, zone, days), most)
    for months in _MONTH_STEPS:
        if long / (months * 30.4 * _DAY) <= most:
            return _within(begin, end, zone, _months(begin, end, zone, months), most)
    years = max(1, int(round_step(long / (365.2 * _DAY) / most)))
    return _within(begin, end, zone, _months(begin, end, zone, 12 * years), most)


def _within(begin: float, end: float, zone: tzinfo, found: Iterator[tuple[datetime, str]], most: int) -> list[Tick]:
    """Return those between begin and end, each once; a clock that is put back shows some times twice."""
    marks = {naive.replace(tzinfo=zone).timestamp(): label for naive, label in found}
    inside = sorted((at, label) for at, label in marks.items() if begin <= at <= end)
    every = math.ceil(len(inside) / most) if len(inside) > most else 1
    return [Tick(at, label) for at, label in inside[::every]]


def _clock_times(begin: float, end: float, zone: tzinfo, step: int) -> Iterator[tuple[datetime, str]]:
    for day, _ in _days(begin, end, zone, 1):
        for seconds in range(0, _DAY, step):
            at = day + timedelta(seconds=seconds)
            yield at, f"{at:%H:%M}" if seconds else _day(at)


def _days(begin: float, end: float, zone: tzinfo, step: int) -> Iterator[tuple[datetime, str]]:
    """Yield midnights; each second day, week or fortnight is one of a row that never shifts."""
    first, last = (datetime.fromtimestamp(at, zone).date().toordinal() for at in (begin, end))
    for ordinal in range(first, last + 1):
        if ordinal % step == (1 if step > 2 else 0):  # ordinal 1 was a Monday
            at = datetime.combine(date.fromordinal(ordinal), time())
            yield at, _day(at)


def _months(begin: float, end: float, zone: tzinfo, step: int) -> Iterator[tuple[datetime, str]]:
    first, last = (datetime.fromtimestamp(at, zone) for at in (begin, end))
    for number in range(12 * first.year + first.month - 1, 12 * last.year + last.month):
        if number % step == 0:
            at = datetime(number // 12, number % 12 + 1, 1)  # noqa: DTZ001 - the zone is put in by `_within`
            yield at, f"{at.year}" if step % 12 == 0 else f"{_MONTHS[at.month - 1]} {at.year}"


def _day(at: datetime) -> str:
    return f"{at.day} {_MONTHS[at.month - 1]}"


def _duration_step(needed: float) -> float:
    """Return a step that people count time in; tenths of seconds below a second, round days above one."""
    if needed <= 1:
        return round_step(needed)
    if needed > _DURATIONS[-1]:
        return round_step(max(needed / _DAY, 1.0)) * _DAY
    return float(next(step for step in _DURATIONS if step >= needed))


def _value_label(value: float, highest: float, unit: str) -> str:
    if value == 0:
        return "0"
    if unit in {BYTES, RATE}:
        number, _, prefix = format_size(value).partition(" ")
        whole = number.rstrip("0").rstrip(".") if "." in number else number
        return f"{whole} {prefix}{'/s' if unit == RATE else ''}"
    if unit == SECONDS:
        size, name = next(
            ((size, name) for size, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")) if highest >= 2 * size),
            (1, "s"),
        )
        return f"{_plain(value / size)} {name}"
    return _plain(value)


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"
