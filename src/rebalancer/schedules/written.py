"""Options as people write them, on a command line or in a form: each text read by one function, which names the field.

Every reader takes the text and ``field``, how whoever wrote it knows the option, and raises UsageError naming it.
"""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rebalancer import names, quantities
from rebalancer.errors import UsageError
from rebalancer.guards.options import NAMES as GUARDS
from rebalancer.planning.selection import MOST_MOVES_AT_ONCE, Selection, Strategy, Verification
from rebalancer.schedules.schedule import Missed, Overlap
from rebalancer.schedules.writing import in_text

DEEPEST_UNIT = 64
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")  # in cron's order
LAST_DAY = 28  # of the month: every month has it
_RENAMED = {"only_when_idle": "when-idle", "from_disks": "from", "to_disks": "to", "shares": "share",
            "exclude_shares": "exclude-share", "disks": "disk", "paths": "path", "ignored": "ignore-guard"}  # fmt: skip

Reader = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Day:
    """One or several days as a field of cron: of the month, or of the week."""

    text: str
    is_date: bool


def spelled(name: str) -> str:
    """Return the option of a field, without its dashes."""
    return _RENAMED.get(name, name.replace("_", "-"))


# -- when -------------------------------------------------------------------------------------------------------


def clock(text: str, *, field: str) -> tuple[int, int]:
    """Return hour and minute."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise UsageError(f"{field}: {text!r} is not a time of day from 00:00 to 23:59")
    return int(match[1]), int(match[2])


def day(text: str, *, field: str) -> Day:
    """Return ``sat``, ``mon-fri`` or a day of the month as cron writes it."""
    word = text.strip().lower()
    if word.isascii() and word.isdecimal() and len(word) <= 2 and 1 <= int(word) <= LAST_DAY:
        return Day(str(int(word)), is_date=True)
    first, _, last = word.partition("-")
    if first in WEEKDAYS and (not last or last in WEEKDAYS):
        return Day(_weekdays(first, last or first), is_date=False)
    raise UsageError(
        f"{field}: {text!r} is neither a day such as sat or mon-fri nor a day of the month, 1 to {LAST_DAY}"
    )


def expression(base: str, *, at: tuple[int, int] | None, on: Sequence[Day]) -> str:
    """Return the cron expression with another time of day, on other days, or both; the rest is the base's."""
    minute, hour, day_, month, weekday = base.split()
    if at is not None:
        hour, minute = map(str, at)
    if on:
        day_, month, weekday = _days(on)
    return f"{minute} {hour} {day_} {month} {weekday}"


def _days(days: Sequence[Day]) -> tuple[str, str, str]:
    """Return the cron fields of day, month and weekday."""
    is_date = days[0].is_date
    if any(one.is_date != is_date for one in days):  # some cron daemons never run such a line, others run it on both
        raise UsageError("--on: days of the week and days of the month cannot be mixed; make two schedules")
    listed = ",".join(dict.fromkeys(one.text for one in days))
    return (listed, "*", "*") if is_date else ("*", "*", listed)


def _weekdays(first: str, last: str) -> str:
    """Return numbers, which every cron understands; a range over the end of the week is listed day by day."""
    begin, end = WEEKDAYS.index(first), WEEKDAYS.index(last)
    if begin == end:
        return str(begin)
    if begin < end:
        return f"{begin}-{end}"
    return ",".join(str(day % 7) for day in range(begin, end + 8))


# -- one option -------------------------------------------------------------------------------------------------


def disk(text: str, *, field: str) -> str:
    """Return a disk's name or path as it was typed."""
    if not text.strip():
        raise UsageError(f"{field}: name a disk by its name or its mount point")
    if names.encode(_raw(text, field=field))[1]:
        raise UsageError(f"{field}: {text!r} is not valid UTF-8, which names of disks have to be")
    return text


def _cron(text: str, *, field: str) -> str:
    from rebalancer.schedules.expression import parse_expression

    return parse_expression(text, field=field)


def _text(text: str, *, field: str) -> str:
    from rebalancer.schedules import validation  # which knows the time zones too: not for --help

    validation.check_text(field, text)
    return text


def _zone(text: str, *, field: str) -> str:
    from rebalancer.schedules import validation  # which knows the time zones too: not for --help

    validation.check_timezone(text, field=field)
    return text


def _hours(text: str, *, field: str) -> str:
    from rebalancer.schedules import hours

    hours.parse_active_hours(text, field=field)
    return text


def _percent(text: str, *, field: str) -> float:
    from rebalancer.schedules import validation  # which knows the time zones too: not for --help

    percent = quantities.parse_percent(text, field=field)
    validation.check_range("above_percent", percent, called=field)
    return percent


def _seconds(text: str, *, field: str) -> int:
    return 0 if text.strip() == "0" else quantities.parse_duration(text, field=field)


def _one_of(kind: type[Strategy] | type[Verification] | type[Overlap] | type[Missed]) -> Reader:
    def parse(text: str, *, field: str) -> Any:
        try:
            return kind(text)
        except ValueError as error:
            raise UsageError(f"{field}: {text!r} is not one of {', '.join(one.value for one in kind)}") from error

    return parse


def _number(text: str, *, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"{field}: {text!r} is not a number")
    return int(text)


def _degrees(text: str, *, field: str) -> int:
    """Return whole degrees Celsius, from ``45``, ``45C`` or ``45 °C``."""
    return _number(text.strip().removesuffix("C").removesuffix("°").strip(), field=field)


def _in_range(name: str, parse: Callable[..., float]) -> Callable[..., float]:
    def parse_in_range(text: str, *, field: str) -> float:
        from rebalancer.schedules import validation  # which knows the time zones too: not for --help

        value = parse(text, field=field)
        validation.check_range(name, value, called=field)
        return value

    return parse_in_range


def _target(text: str, *, field: str) -> float:
    percent = quantities.parse_percent(text, field=field)
    if percent < 1:
        raise UsageError(f"{field}: {text!r} is not a percentage from 1 to 100")
    return percent


def _points(text: str, *, field: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = math.nan
    if not 0 <= points <= 100:
        raise UsageError(f"{field}: {text!r} is not a number of percentage points from 0 to 100")
    return points


def _some(parse: Callable[..., int]) -> Callable[..., int]:
    def parse_some(text: str, *, field: str) -> int:
        value = parse(text, field=field)
        if value == 0:
            raise UsageError(f"{field}: {text!r} leaves nothing to do; leave it out for no limit")
        return value

    return parse_some


def _depth(text: str, *, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and 0 <= int(text) <= DEEPEST_UNIT):
        raise UsageError(f"{field}: {text!r} is not a number of folders from 0 to {DEEPEST_UNIT}")
    return int(text)


def _moves_at_once(text: str, *, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 2 and 1 <= int(text) <= MOST_MOVES_AT_ONCE):
        raise UsageError(f"{field}: {text!r} is not a number from 1 to {MOST_MOVES_AT_ONCE}")
    return int(text)


def _reserve(text: str, *, field: str) -> str:
    quantities.parse_reserve(text, field=field)
    return text


def _share(text: str, *, field: str) -> str:
    if not text or "/" in text or text in {".", ".."}:
        raise UsageError(f"{field}: {text!r} is not a share; a share is a top-level folder such as movies")
    return _as_listed(text, field=field)


def _path(text: str, *, field: str) -> str:
    path = text.strip("/") if text.strip("/") else text
    if not names.is_inside(_raw(path, field=field)):
        raise UsageError(f"{field}: {text!r} is not a folder below the disks, such as tv/Some Series")
    return _as_listed(path, field=field)


def _glob(text: str, *, field: str) -> str:
    if not text:
        raise UsageError(f"{field}: an empty pattern matches nothing")
    return _as_listed(text, field=field)


def _as_listed(text: str, *, field: str) -> str:
    """Return what was typed the way inventories write names, so that names that are not UTF-8 can be chosen too."""
    return names.encode(_raw(text, field=field))[0]


def _raw(text: str, *, field: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError as error:
        raise UsageError(f"{field}: {text!r} cannot be the name of a file") from error


def _guard(text: str, *, field: str) -> str:
    if text not in GUARDS:
        raise UsageError(f"{field}: {text!r} is no guard; there are {', '.join(GUARDS)}")
    return text


_seconds_of = {name: _in_range(name, _seconds) for name in ("max_wait", "catch_up_window", "jitter", "retry_delay")}
_counts = {
    name: _in_range(name, _number)
    for name in ("retries", "suspend_after_failures", "keep_days", "keep_failed_days", "keep_at_least")
}
SCHEDULE: Mapping[str, Reader] = {
    "cron": _cron, "name": _text, "timezone": _zone, "active_hours": _hours, "above_percent": _percent,
    "overlap": _one_of(Overlap), "missed": _one_of(Missed), "disks": disk, **_seconds_of, **_counts,
}  # fmt: skip
SELECTION: Mapping[str, Reader] = {
    "strategy": _one_of(Strategy), "target_percent": _target, "tolerance": _points, "from_disks": disk,
    "to_disks": disk, "paths": _path, "shares": _share, "exclude_shares": _share, "exclude": _glob,
    "unit_depth": _depth, "min_unit_size": quantities.parse_size, "max_unit_size": _some(quantities.parse_size),
    "min_age": quantities.parse_duration, "reserve": _reserve, "max_bytes": _some(quantities.parse_size),
    "max_runtime": _some(quantities.parse_duration), "bandwidth_limit": quantities.parse_rate,
    "moves_at_once": _moves_at_once, "verify": _one_of(Verification),
}  # fmt: skip
GUARD: Mapping[str, Reader] = {
    "ignored": _guard,
    "max_temperature": _in_range("max_temperature", _degrees),
    "cool_down": _in_range("cool_down", _degrees),
    "max_cpu": _in_range("max_cpu", quantities.parse_percent),
    "min_memory": _in_range("min_memory", quantities.parse_size),
    "max_disk_activity": _in_range("max_disk_activity", quantities.parse_rate),
    "max_streams": _in_range("max_streams", _number),
}


# -- together ---------------------------------------------------------------------------------------------------


def selection_of(options: Mapping[str, Any]) -> Selection:
    """Return the selection of these options; raises UsageError for options that contradict each other."""
    given = {name: value for name, value in options.items() if value not in {None, ()}}
    _check_strategy(given)
    largest = given.get("max_unit_size")
    if largest is not None and largest < given.get("min_unit_size", 0):
        raise UsageError("--max-unit-size: is smaller than --min-unit-size, so no unit would fit")
    if overlap := set(given.get("shares", ())) & set(given.get("exclude_shares", ())):
        raise UsageError(f"--exclude-share: {min(overlap)!r} is also named by --share")
    return Selection(**given)


def _check_strategy(given: Mapping[str, Any]) -> None:
    strategy = given["strategy"]
    if strategy is not Strategy.TARGET and "target_percent" in given:
        raise UsageError("--target-percent: only --strategy target has a target")
    if strategy is not Strategy.GATHER and "paths" in given:
        raise UsageError("--path: only --strategy gather brings folders together")
    if strategy is Strategy.GATHER and "paths" not in given:
        raise UsageError("--strategy gather: name the folders that should come together with --path")
    if strategy is Strategy.EVACUATE and "from_disks" not in given:
        raise UsageError("--strategy evacuate: name the disks that should end empty with --from")


def arguments_of(selection: Selection) -> list[str]:
    """Return the options that say the same on a command line; what is at its default is left out."""
    found = []
    defaults = Selection()
    for name in Selection.__struct_fields__:
        value = getattr(selection, name)
        if value != getattr(defaults, name):
            values = value if isinstance(value, tuple) else (value,)
            found += [f"--{spelled(name)}={in_text(name, one)}" for one in values]
    return found
