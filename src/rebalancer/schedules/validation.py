"""What a schedule may say: every value checked, each refusal naming the field and what is allowed."""

import re
import zoneinfo
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from rebalancer.errors import UsageError
from rebalancer.guards.options import NAMES, GuardOptions
from rebalancer.planning.selection import MOST_MOVES_AT_ONCE, Selection, Strategy
from rebalancer.quantities import format_duration, parse_reserve
from rebalancer.schedules.expression import parse_expression
from rebalancer.schedules.hours import parse_active_hours
from rebalancer.schedules.schedule import Schedule, Suspension
from rebalancer.settings import check_path

LONGEST_TEXT = 500  # characters of a name or a reason
MOST_ENTRIES = 1000  # disks, shares, globs
RESERVED_IDS = frozenset({"manual", "con", "prn", "aux", "nul"})  # `run` by hand, and names that FAT keeps for devices

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,40}", re.ASCII)
_MADE_ID = 36  # characters; leaves room for a number behind it
_DEVICE = re.compile(r"(?:com|lpt)[0-9]", re.ASCII)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Range:
    """What a number may be, both ends included."""

    lowest: float
    highest: float
    unit: str = ""  # "s" for seconds, "%" for percent

    def demand(self, value: float, field: str) -> None:
        """Raise UsageError naming the field and the allowed range; not-a-number is in no range."""
        if not self.lowest <= value <= self.highest:
            raise UsageError(f"{field}: allowed is {self._say(self.lowest)} to {self._say(self.highest)}")

    def _say(self, value: float) -> str:
        if self.unit == "s":
            return format_duration(value)
        return f"{value:,g} {self.unit}".rstrip()


SCHEDULE_RANGES = {
    "above_percent": Range(1, 99, "%"),
    "max_wait": Range(0, 7 * _DAY, "s"),
    "catch_up_window": Range(_MINUTE, 31 * _DAY, "s"),
    "jitter": Range(0, 6 * _HOUR, "s"),
    "retries": Range(0, 10),
    "retry_delay": Range(1, 6 * _HOUR, "s"),
    "suspend_after_failures": Range(0, 100),
    "keep_days": Range(1, 3650),
    "keep_failed_days": Range(1, 3650),
    "keep_at_least": Range(0, 10_000),
}
SELECTION_RANGES = {
    "target_percent": Range(1, 100, "%"),
    "tolerance": Range(0, 100, "percentage points"),
    "unit_depth": Range(0, 64),
    "min_unit_size": Range(0, _LARGEST),
    "max_unit_size": Range(1, _LARGEST),
    "min_age": Range(0, 3650 * _DAY, "s"),
    "max_bytes": Range(1, _LARGEST),
    "max_runtime": Range(1, 31 * _DAY, "s"),
    "bandwidth_limit": Range(1, _LARGEST),
    "moves_at_once": Range(1, MOST_MOVES_AT_ONCE),
}
GUARD_RANGES = {
    "max_temperature": Range(20, 90, "°C"),
    "cool_down": Range(0, 30, "°C"),
    "max_cpu": Range(1, 100, "%"),
    "min_memory": Range(1, _LARGEST),
    "max_disk_activity": Range(1, _LARGEST),
    "max_streams": Range(0, 100_000),
}


def check(schedule: Schedule) -> Schedule:
    """Return the schedule with its expression written plainly; raises UsageError for the first field that is wrong."""
    schedule = _with_types(schedule)
    check_id(schedule.schedule_id)
    check_text("name", schedule.name)
    check_timezone(schedule.timezone)
    parse_active_hours(schedule.active_hours)
    _check_disks(schedule.disks)
    _check_ranges(schedule, SCHEDULE_RANGES)
    check_selection(schedule.selection)
    check_guards(schedule.guards)
    if schedule.suspension is not None:
        check_suspension(schedule.suspension)
    return msgspec.structs.replace(schedule, cron=parse_expression(schedule.cron))


def check_id(schedule_id: str) -> None:
    """Raise UsageError for a name that a file of the state folder, a crontab line or `run` by hand could not bear."""
    if not is_id(schedule_id):
        raise UsageError(
            f"schedule_id: {schedule_id!r} is not allowed; write up to 41 of a-z, 0-9 and '-', not beginning with '-'"
        )
    if schedule_id in RESERVED_IDS or _DEVICE.fullmatch(schedule_id):
        raise UsageError(f"schedule_id: {schedule_id!r} is reserved; choose another name")


def is_id(text: str) -> bool:
    """Return whether a text has the form of a schedule's id; every file of a schedule is named so."""
    return _ID.fullmatch(text) is not None


def free_id(words: str, taken: Collection[str]) -> str:
    """Return an id made of these words, with a number when it is taken; raises UsageError when none can be made."""
    base = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:_MADE_ID].strip("-")
    if not is_id(base):
        raise UsageError("no id can be made of that name; name the schedule: schedule create ID")
    names = (base if number == 1 else f"{base}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def check_range(field: str, value: float, *, called: str = "") -> None:
    """Raise UsageError when a number of the schedule, its selection or its guards is out of its range."""
    known = SCHEDULE_RANGES | SELECTION_RANGES | GUARD_RANGES
    known[field].demand(value, called or field)


def check_timezone(name: str, *, field: str = "timezone") -> None:
    """Raise UsageError unless the name is empty (the machine's zone) or a zone of the IANA database."""
    if name and not _is_zone(name):
        raise UsageError(f"{field}: {name!r} is not a time zone known here; write it like Europe/Berlin or UTC")


def check_text(field: str, text: str) -> None:
    """Raise UsageError for a text that no record or terminal could bear."""
    if len(text) > LONGEST_TEXT:
        raise UsageError(f"{field}: at most {LONGEST_TEXT} characters are allowed")
    if not text.isprintable():
        raise UsageError(f"{field}: {text!r} holds characters that cannot be shown")


def check_suspension(suspension: Suspension) -> None:
    check_text("reason", suspension.reason)
    check_text("actor", suspension.actor)
    if suspension.until is not None and not suspension.since < suspension.until < _LARGEST:
        raise UsageError("until: the suspension would end before it begins; name a time to come")


def check_guards(guards: GuardOptions) -> None:
    """Raise UsageError for a threshold that is out of range, or a guard that there is not."""
    _check_ranges(guards, GUARD_RANGES)
    if unknown := set(guards.ignored) - set(NAMES):
        raise UsageError(f"ignored: {min(unknown)!r} is no guard; there are {', '.join(NAMES)}")


def check_selection(selection: Selection) -> None:
    """Raise UsageError for options that are out of range or contradict each other."""
    _check_ranges(selection, SELECTION_RANGES)
    if selection.reserve is not None:
        parse_reserve(selection.reserve)
    for field in ("from_disks", "to_disks", "paths", "shares", "exclude_shares", "exclude"):
        _check_entries(field, getattr(selection, field))
    if selection.max_unit_size is not None and selection.max_unit_size < selection.min_unit_size:
        raise UsageError("max_unit_size: is smaller than min_unit_size, so no unit would fit")
    if both := set(selection.shares) & set(selection.exclude_shares):
        raise UsageError(f"exclude_shares: {min(both)!r} is also named by shares")
    _check_strategy(selection)


def _check_strategy(selection: Selection) -> None:
    default = Selection.__struct_defaults__[Selection.__struct_fields__.index("target_percent")]
    if selection.strategy is not Strategy.TARGET and selection.target_percent != default:
        raise UsageError("target_percent: only the strategy target has a target")
    if selection.strategy is not Strategy.GATHER and selection.paths:
        raise UsageError("paths: only the strategy gather brings folders together")
    if selection.strategy is Strategy.GATHER and not selection.paths:
        raise UsageError("paths: name the folders that the strategy gather should bring together")
    if selection.strategy is Strategy.EVACUATE and not selection.from_disks:
        raise UsageError("from_disks: name the disks that the strategy evacuate should empty")


def _with_types(schedule: Schedule) -> Schedule:
    """Return what a file of the schedule would hold: a program that makes one is not held to its types."""
    try:
        return msgspec.convert(msgspec.to_builtins(schedule), Schedule)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        field = where.rstrip("`") or "schedule"
        raise UsageError(f"{field}: {what[:1].lower()}{what[1:]}") from error


def _check_ranges(options: Schedule | Selection | GuardOptions, ranges: dict[str, Range]) -> None:
    for field, allowed in ranges.items():
        value = getattr(options, field)
        if value is not None:
            allowed.demand(value, field)


def _check_disks(disks: tuple[str, ...]) -> None:
    _check_entries("disks", disks)
    for disk in disks:
        check_path(disk, what="disks")
    if len(set(disks)) < len(disks):
        raise UsageError("disks: one of them is named twice")


def _check_entries(field: str, entries: tuple[str, ...]) -> None:
    if len(entries) > MOST_ENTRIES:
        raise UsageError(f"{field}: at most {MOST_ENTRIES} entries are allowed")
    for entry in entries:
        is_text = bool(entry.strip()) and "\0" not in entry and not any("\ud800" <= c <= "\udfff" for c in entry)
        if not is_text:
            raise UsageError(f"{field}: {entry!r} is empty or no text")
        if field.endswith("shares") and ("/" in entry or entry in {".", ".."}):
            raise UsageError(f"{field}: {entry!r} is not a share; a share is a top-level folder such as movies")


@lru_cache(maxsize=64)
def _is_zone(name: str) -> bool:
    if not _ZONE.fullmatch(name) or name.startswith(("posix/", "right/")) or name in {"localtime", "posixrules"}:
        return False
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as Europe
        return False
    return True
