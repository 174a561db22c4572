"""The form of a schedule: what was typed becomes a schedule or sentences about every wrong field, and a schedule becomes text."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as with_default
from typing import Any

from msgspec import structs

from rebalancer.array.disk import Disk
from rebalancer.errors import UsageError
from rebalancer.guards.options import GuardOptions
from rebalancer.planning.selection import Selection
from rebalancer.schedules import hours, validation, written
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.slots import numbers_of
from rebalancer.schedules.writing import in_text
from rebalancer.web.schedule_fields import Choice, Field, Group, Kind, Part, every_field, fits_a_line

Typed = Mapping[str, Sequence[str]]
WHEN = ("daily", "weekly", "monthly", "cron")
TIMING = ("when", "at", "weekdays", "dates", "cron")
ALL = ""  # where a sentence stands that is about no single field
NEW = Schedule(schedule_id="new", cron="15 4 * * *")  # a time of day that no zone skips or doubles: see `templates`
_ID = "schedule_id"


@dataclass(frozen=True, slots=True)
class Timing:
    """When a schedule fires, as the form asks it; what another way of asking would show is empty."""

    when: str = "daily"
    at: tuple[int, int] = (4, 15)  # hour and minute
    weekdays: frozenset[str] = frozenset()
    dates: tuple[int, ...] = ()  # days of the month
    cron: str = ""

    @classmethod
    def of(cls, cron: str) -> "Timing":
        """Return the plainest way to ask for an expression."""
        minute, hour, day, month, weekday = cron.split()
        _minutes, _hours, dates, _months, weekdays = numbers_of(cron)
        if month != "*" or not (minute.isdecimal() and hour.isdecimal()):
            return cls("cron", cron=cron)
        at = (int(hour), int(minute))
        if day == weekday == "*":
            return cls("daily", at)
        if day == "*" and "*" not in weekday:
            return cls("weekly", at, weekdays=frozenset(written.WEEKDAYS[number] for number in weekdays))
        if weekday == "*" and "*" not in day and max(dates) <= written.LAST_DAY:
            return cls("monthly", at, dates=tuple(sorted(dates)))
        return cls("cron", cron=cron)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was typed, read: a schedule as far as it could be, and a sentence for each field that is wrong."""

    schedule: Schedule
    wrong: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Form:
    """What a page with the form shows. ``wrong`` holds a sentence by the name of its field."""

    typed: Typed
    wrong: Mapping[str, str] = with_default(default_factory=dict)
    disks: tuple[Disk, ...] = ()

    def text(self, name: str) -> str:
        return next(iter(self.typed.get(name, ())), "")

    def has(self, name: str, value: str) -> bool:
        return value in self.typed.get(name, ())

    def choices(self, field: Field) -> tuple[Choice, ...]:
        """Return what can be ticked: the disks that are found, and those chosen before that are not found now."""
        if field.kind is not Kind.DISKS:
            return field.choices
        return disk_choices(self.disks, self.typed.get(field.name, ()), by_path=field.name == "disks")

    def is_open(self, group: Group) -> bool:
        """Return whether a group has something to see: a wrong field, or one that is not at its default."""
        return any(field.name in self.wrong or not is_default(field, self.typed) for field in group.fields)


# -- from a schedule to text ----------------------------------------------------------------------------------------


def fill(schedule: Schedule) -> dict[str, list[str]]:
    """Return the form's fields for a schedule; what is at its default is left empty, save what must be chosen."""
    filled = {field.name: _filled(field, field.value_in(schedule)) for field in every_field()}
    return filled | _timing_filled(Timing.of(schedule.cron)) | {"enabled": ["on"] if schedule.enabled else []}


def _filled(field: Field, value: Any) -> list[str]:
    if field.kind is Kind.SWITCH:
        return ["on"] if value else []
    if field.kind in {Kind.TICKS, Kind.DISKS}:
        return [in_text(field.name, one) for one in value]
    if field.kind is Kind.LINES:
        return ["\n".join(in_text(field.name, one) for one in value if fits_a_line(one))]
    return [in_text(field.name, value) if field.kind is Kind.CHOICE or value != field.default else ""]


def _timing_filled(timing: Timing) -> dict[str, list[str]]:
    hour, minute = timing.at
    return {
        "when": [timing.when],
        "at": [f"{hour:02d}:{minute:02d}"],
        "weekdays": [day for day in hours.DAYS if day in timing.weekdays],
        "dates": [", ".join(map(str, timing.dates))],
        "cron": [timing.cron],
    }


def is_default(field: Field, typed: Typed) -> bool:
    """Return whether a field says nothing but its default."""
    said = [text for text in typed.get(field.name, ()) if text.strip()]
    return said in ([], [in_text(field.name, field.default)])


def differing(typed: Typed, schedule: Schedule) -> list[str]:
    """Return the labels of the fields in which a schedule says something else than what was typed."""
    stored = fill(schedule)
    labels = [field.label for field in every_field() if _said(typed, field.name) != _said(stored, field.name)]
    is_timed_alike = all(_said(typed, name) == _said(stored, name) for name in TIMING)
    return labels if is_timed_alike else ["When", *labels]


def _said(typed: Typed, name: str) -> list[str]:
    return sorted(text.replace("\r\n", "\n").strip() for text in typed.get(name, ()) if text.strip())


# -- from text to a schedule ----------------------------------------------------------------------------------------


def read(typed: Typed, *, before: Schedule) -> Reading:
    """Return the schedule that was typed over the one before; what is wrong stays as it was, and is told.

    A text field that was not sent at all stays as it was too. Options that contradict each other are told as well.
    """
    wrong: dict[str, str] = {}
    values: dict[Part, dict[str, Any]] = {part: {} for part in Part}
    for field in every_field():
        try:
            values[field.part][field.name] = _value(field, typed, field.value_in(before))
        except UsageError as error:
            wrong[field.name] = _about(error, field.name)
    try:
        values[Part.SCHEDULE]["cron"] = _cron(typed, before.cron)
    except UsageError as error:
        name, _, sentence = str(error).partition(": ")
        wrong[name] = sentence
    if "when" in typed:
        values[Part.SCHEDULE]["enabled"] = bool(typed.get("enabled"))
    schedule = structs.replace(
        before,
        selection=structs.replace(before.selection, **values[Part.SELECTION]),
        guards=structs.replace(before.guards, **values[Part.GUARDS]),
        **values[Part.SCHEDULE],
    )
    return Reading(schedule, in_order({**dict(_contradictions(schedule)), **wrong}))


def read_new(typed: Typed, *, taken: Collection[str], before: Schedule = NEW) -> Reading:
    """Return a new schedule as `read` does, with the id that was typed, else one made of its name."""
    reading = read(typed, before=before)
    words = next(iter(typed.get(_ID, ())), "").strip()
    try:
        schedule_id = words or _made_id(reading.schedule, taken)
        validation.check_id(schedule_id)
    except UsageError as error:
        return Reading(reading.schedule, in_order({**reading.wrong, _ID: _about(error, _ID)}))
    is_taken = {_ID: f"there is a schedule {schedule_id} already; choose another id"} if schedule_id in taken else {}
    return Reading(structs.replace(reading.schedule, schedule_id=schedule_id), in_order({**reading.wrong, **is_taken}))


def in_order(wrong: Mapping[str, str]) -> dict[str, str]:
    """Return the sentences in the order in which their fields stand on the page."""
    places = {
        name: place for place, name in enumerate((ALL, "name", _ID, *TIMING, *(one.name for one in every_field())))
    }
    return dict(sorted(wrong.items(), key=lambda item: places[item[0]]))


def _made_id(schedule: Schedule, taken: Collection[str]) -> str:
    words = schedule.name or {"cron": "schedule"}.get(when := Timing.of(schedule.cron).when, when)
    try:
        return validation.free_id(words, taken)
    except UsageError as error:
        raise UsageError("no id can be made of that name; write one here, of a-z, 0-9 and '-'") from error


def _value(field: Field, typed: Typed, before: Any) -> Any:
    reader = field.part.readers.get(field.name)
    if field.kind is Kind.SWITCH or reader is None:
        return bool(typed.get(field.name))
    if field.kind in {Kind.TICKS, Kind.DISKS}:
        read_entries = [reader(text, field=field.name) for text in typed.get(field.name, ())]
        return tuple(sorted(dict.fromkeys(read_entries), key=_in_the_order_of(before)))
    if field.name not in typed:
        return before
    text = next(iter(typed[field.name]), "")
    if field.kind is Kind.LINES:
        lines = (line.removesuffix("\r") for line in text.split("\n"))
        kept = (entry for entry in before if not fits_a_line(entry))
        return (*(reader(line, field=field.name) for line in lines if line.strip()), *kept)
    return reader(text, field=field.name) if text.strip() else field.default


def _in_the_order_of(before: Sequence[str]) -> Any:
    """Return a key that keeps what was there in its order and puts what is new behind it."""
    places = {entry: place for place, entry in enumerate(before)}
    return lambda entry: places.get(entry, len(places))


def _cron(typed: Typed, before: str) -> str:
    """Return the expression that was asked for; the one before where it says the same in other words."""
    if "when" not in typed:
        return before
    when = _only(typed, "when")
    if when not in WHEN:
        raise UsageError("when: choose when it runs")
    if when == "cron":
        text: str = written.SCHEDULE["cron"](_only(typed, "cron"), field="cron")
        return text
    if not _only(typed, "at").strip():
        raise UsageError("at: name a time of day, such as 04:15")
    at = written.clock(_only(typed, "at"), field="at")
    days = [] if when == "daily" else _weekdays(typed) if when == "weekly" else _dates(typed)
    asked = written.expression("0 0 * * *", at=at, on=days)
    return before if Timing.of(before) == Timing.of(asked) else asked


def _weekdays(typed: Typed) -> list[written.Day]:
    chosen = [written.day(text, field="weekdays") for text in typed.get("weekdays", ())]
    if not chosen:
        raise UsageError("weekdays: choose at least one day")
    if any(one.is_date for one in chosen):
        raise UsageError("weekdays: choose days of the week")
    return chosen


def _dates(typed: Typed) -> list[written.Day]:
    found = [written.day(text, field="dates") for text in _only(typed, "dates").split(",") if text.strip()]
    if not found or not all(one.is_date for one in found):
        raise UsageError(f"dates: name days of the month from 1 to {written.LAST_DAY}, such as 1, 15")
    return found


def _only(typed: Typed, name: str) -> str:
    return next(iter(typed.get(name, ())), "")


def _about(error: UsageError, name: str) -> str:
    return str(error).removeprefix(f"{name}: ")


def _contradictions(schedule: Schedule) -> Iterator[tuple[str, str]]:
    """Yield each field that does not fit to the others, with a sentence.

    The rules stop at the first, so each is told and its field put back to its default, until nothing is new.
    """
    fields, told = {field.name: field for field in every_field()}, set[str]()
    while True:
        try:
            validation.check(schedule)
        except UsageError as error:
            name, _, sentence = str(error).partition(": ")
            if name in told:
                return
            told.add(name)
            if name not in fields:
                yield ALL, str(error)
                return
            yield name, sentence
            schedule = _without(schedule, fields[name])
        else:
            return


def _without(schedule: Schedule, field: Field) -> Schedule:
    if field.part is Part.SCHEDULE:
        return structs.replace(schedule, **{field.name: field.default})
    changed: Selection | GuardOptions = structs.replace(field.part.of(schedule), **{field.name: field.default})  # type: ignore[assignment]
    return structs.replace(schedule, **{field.part.name.lower(): changed})


# -- disks ----------------------------------------------------------------------------------------------------------


def disk_choices(disks: Sequence[Disk], chosen: Sequence[str], *, by_path: bool) -> tuple[Choice, ...]:
    """Return the disks to tick, each by the name or path it was chosen by; then what was chosen and is not found."""
    found = [_disk_choice(disk, chosen, by_path=by_path) for disk in disks if _is_text(disk)]
    known = {name for disk in disks for name in (disk.name, disk.path)}
    lost = [Choice(text, text, "not found now") for text in dict.fromkeys(chosen) if text not in known]
    return (*found, *lost)


def _disk_choice(disk: Disk, chosen: Sequence[str], *, by_path: bool) -> Choice:
    usual, other = (disk.path, disk.name) if by_path else (disk.name, disk.path)
    value = other if other in chosen and usual not in chosen else usual
    return Choice(value, disk.name, disk.reason or disk.path)


def _is_text(disk: Disk) -> bool:
    """Return whether the disk's name and path are UTF-8, as names of disks in a schedule have to be."""
    return not any("\ud800" <= character <= "\udfff" for character in disk.name + disk.path)
