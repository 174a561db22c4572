"""Cron expressions, judged in our own words before any cron daemon sees them."""

import re
from datetime import UTC, datetime
from functools import lru_cache

from cronsim import CronSim, CronSimError

from rebalancer.errors import UsageError

LONGEST = 200  # characters; some daemons cut long lines without a word

_MACROS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
_ALLOWED = {
    "minute": "0-59", "hour": "0-23", "day-of-month": "1-31", "month": "1-12 or jan-dec",
    "day-of-week": "0-7 or sun-sat (0 and 7 are Sunday)",
}  # fmt: skip
_ONE = r"(?:[0-9]{1,2}|[a-z]{3})"
_TERM = rf"(?:(?:\*|{_ONE}-{_ONE})(?:/[0-9]{{1,2}})?|{_ONE})"  # 5/15 would make Debian's crontab refuse every line
_FIELD = re.compile(rf"{_TERM}(?:,{_TERM})*", re.ASCII | re.IGNORECASE)
_BEGINNING = datetime(2001, 1, 1, tzinfo=UTC)  # the calendar repeats itself within the 50 years that cronsim tries


@lru_cache(maxsize=256)
def parse_expression(text: str, *, field: str = "cron") -> str:
    """Return the five fields with one space between them.

    Raises UsageError naming the field that is wrong and what it may hold, and for an expression that never runs.
    """
    if len(text) > LONGEST:
        raise UsageError(f"{field}: at most {LONGEST} characters are allowed")
    if text.strip().startswith("@"):
        raise UsageError(_about_macro(text.strip(), field))
    words = text.replace("\t", " ")
    parts = words.split() if words.isprintable() else []  # a line break would begin another line of the crontab
    if len(parts) != len(_FIELDS):
        raise UsageError(f"{field}: {text!r} does not have five fields: minute, hour, day of month, month, day of week")
    for name, part in zip(_FIELDS, parts, strict=True):
        if not _FIELD.fullmatch(part):
            raise UsageError(_about_field(name, part, field))
    expression = " ".join(parts)
    _demand_a_run(expression, parts, field)
    return expression


def _about_macro(text: str, field: str) -> str:
    if known := _MACROS.get(text.lower()):
        return f"{field}: {text} is not understood by every cron; write {known!r}"
    return f"{field}: {text!r} names no times; write five fields such as '15 4 * * *'"


def _about_field(name: str, part: str, field: str) -> str:
    return f"{field}: {part!r} is no {name}; allowed are {_ALLOWED[name]}, with * , - and /"


def _demand_a_run(expression: str, parts: list[str], field: str) -> None:
    try:
        next(CronSim(expression, _BEGINNING))
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        if name == "day-of-month" and _is_right([*parts[:3], "*", parts[4]]):
            raise UsageError(_about_never(expression, field)) from error
        part = dict(zip(_FIELDS, parts, strict=True)).get(name, expression)
        raise UsageError(_about_field(name, part, field)) from error
    except StopIteration as error:
        raise UsageError(_about_never(expression, field)) from error


def _is_right(parts: list[str]) -> bool:
    try:
        CronSim(" ".join(parts), _BEGINNING)
    except CronSimError:
        return False
    return True


def _about_never(expression: str, field: str) -> str:
    return f"{field}: {expression!r} never runs: no month it names has such a day"
