"""The form of a schedule: every value written is read again, every wrong field is told, nothing that was typed is lost."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec import structs

from rebalancer.array.disk import Disk, DiskStatus
from rebalancer.errors import UsageError
from rebalancer.guards.options import NAMES as GUARD_NAMES
from rebalancer.guards.options import GuardOptions
from rebalancer.planning.selection import Selection, Strategy, Verification
from rebalancer.schedules import validation
from rebalancer.schedules.schedule import Missed, Overlap, Schedule
from rebalancer.schedules.templates import TEMPLATES
from rebalancer.schedules.writing import in_text
from rebalancer.web.schedule_fields import Field, every_field, fits_a_line
from rebalancer.web.schedule_form import (
    ALL,
    NEW,
    Form,
    Timing,
    differing,
    disk_choices,
    fill,
    is_default,
    read,
    read_new,
)

LARGEST = 2**63 - 1
RANGES = validation.SCHEDULE_RANGES | validation.SELECTION_RANGES | validation.GUARD_RANGES
FLOATS = {"above_percent", "target_percent", "tolerance", "max_cpu"}
FIELDS = {field.name: field for field in every_field()}

printable = some.text(some.characters(exclude_categories=("C", "Zl", "Zp", "Zs")) | some.just(" "), max_size=40)
entry = some.text(some.characters(codec="utf-8", exclude_characters="\0\r\n/"), min_size=1, max_size=12).filter(
    lambda text: bool(text.strip()) and text not in {".", ".."}
)
entries = some.lists(entry, max_size=4, unique=True).map(tuple)
paths = some.lists(some.lists(entry, min_size=1, max_size=3).map("/".join), max_size=3, unique=True).map(tuple)
clock = some.tuples(some.integers(0, 23), some.integers(0, 59))
hours = some.sampled_from(["", "22:00-06:00", "mon-fri 01:00-07:00, sat 00:00-24:00"])
reserve = some.sampled_from(["50GB", "5%", "1.5 TiB", "0"])
crons = some.sampled_from(
    ["15 4 * * *", "0 0 * * 1-5", "5 23 * * 7", "30 5 1,15 * *", "0 6 * * sat,sun", "*/5 * * * *", "0 4 29 2 *",
     "15 4 1 * 1", "0 3 1 1 *", "7 7 1-28 * *", "0 5 31 * *", "0 5 * * *", "15 */6 * * *", "0 5 * * */2"]
)  # fmt: skip


def number(name: str) -> some.SearchStrategy[Any]:
    """Every value that a number may have."""
    allowed = RANGES[name]
    if name in FLOATS:
        return some.floats(allowed.lowest, allowed.highest)
    highest = LARGEST if allowed.highest == LARGEST else int(allowed.highest)
    return some.integers(math.ceil(allowed.lowest), highest)


def value_of(field: Field) -> some.SearchStrategy[Any]:
    """Every value that a field may hold, its default among them."""
    special: dict[str, some.SearchStrategy[Any]] = {
        "name": printable.filter(lambda text: not text or bool(text.strip())),
        "timezone": some.sampled_from(["", "Europe/Berlin", "UTC", "Australia/Lord_Howe"]),
        "active_hours": hours,
        "disks": some.lists(entry.map(lambda name: f"/mnt/{name}"), max_size=4, unique=True).map(tuple),
        "from_disks": entries, "to_disks": entries, "shares": entries, "exclude_shares": entries, "exclude": entries,
        "paths": paths, "strategy": some.sampled_from(Strategy), "verify": some.sampled_from(Verification),
        "overlap": some.sampled_from(Overlap), "missed": some.sampled_from(Missed), "reserve": reserve,
        "only_when_idle": some.booleans(),
        "ignored": some.lists(some.sampled_from(GUARD_NAMES), unique=True).map(tuple),
    }  # fmt: skip
    values = special[field.name] if field.name in special else number(field.name)
    return values | some.just(field.default)


def values_of(kind: type[Schedule | Selection | GuardOptions]) -> some.SearchStrategy[dict[str, Any]]:
    return some.fixed_dictionaries(
        {name: value_of(field) for name, field in FIELDS.items() if field.part.value is kind}
    )


@some.composite
def schedules(draw: some.DrawFn) -> Schedule:
    """A schedule as it may be stored, save that its options may contradict each other."""
    return Schedule(
        schedule_id="one",
        cron=draw(crons),
        enabled=draw(some.booleans()),
        selection=Selection(**draw(values_of(Selection))),
        guards=GuardOptions(**draw(values_of(GuardOptions))),
        created_at=1.0,
        updated_at=2.0,
        **draw(values_of(Schedule)),
    )


def refused_field(schedule: Schedule) -> str:
    """The first field that keeps a schedule from being saved; empty when it can be."""
    try:
        validation.check(schedule)
    except UsageError as error:
        return str(error).partition(": ")[0]
    return ""


def test_the_form_asks_for_every_option_of_a_schedule() -> None:
    told_apart = {"schedule_id", "cron", "enabled", "selection", "guards", "created_at", "updated_at", "suspension"}
    known = {*Schedule.__struct_fields__, *Selection.__struct_fields__, *GuardOptions.__struct_fields__} - told_apart

    assert {field.name for field in every_field()} == known
    assert len(list(every_field())) == len(known)
    for field in every_field():
        assert field.label
        assert field.name in field.part.readers or field.kind.value == "switch"


@pytest.mark.parametrize("name", [field.name for field in every_field() if field.kind.value not in {"switch"}])
@given(data=some.data())
@settings(max_examples=25, deadline=None)
def test_every_value_is_written_so_that_its_reader_reads_it_again(name: str, data: some.DataObject) -> None:
    field = FIELDS[name]
    value = data.draw(value_of(field))
    several = value if isinstance(value, tuple) else (value,)

    for one in several:
        if one is not None and one != "":
            assert field.part.readers[name](in_text(name, one), field=name) == one


@given(schedule=schedules(), before=schedules())
@settings(max_examples=20, deadline=None)
def test_a_form_filled_with_a_schedule_is_read_as_that_schedule(schedule: Schedule, before: Schedule) -> None:
    filled = fill(schedule)

    unchanged = read(filled, before=schedule)
    copied = read(filled, before=structs.replace(NEW, schedule_id="one", created_at=1.0, updated_at=2.0))
    changed = read(filled, before=before)

    assert unchanged.schedule == schedule
    assert structs.replace(copied.schedule, cron=schedule.cron) == schedule
    assert Timing.of(copied.schedule.cron) == Timing.of(schedule.cron)
    assert sorted(changed.schedule.selection.from_disks) == sorted(schedule.selection.from_disks)
    assert changed.schedule.guards.max_cpu == schedule.guards.max_cpu
    assert differing(filled, schedule) == []


@given(schedule=schedules())
@settings(max_examples=20, deadline=None)
def test_contradictions_are_told_exactly_when_the_schedule_could_not_be_saved(schedule: Schedule) -> None:
    wrong = read(fill(schedule), before=schedule).wrong

    assert refused_field(schedule) in (wrong or {""})


def test_all_wrong_fields_are_told_at_once_and_in_their_order() -> None:
    typed = {
        **fill(NEW), "at": ["25:00"], "max_runtime": ["soon"], "reserve": ["much"], "min_unit_size": ["10GB"],
        "max_unit_size": ["1GB"], "shares": ["films"], "exclude_shares": ["films\r\ntv"], "strategy": ["gather"],
        "retries": ["11"], "ignored": ["gravity"], "timezone": ["Mars/Olympus"],
    }  # fmt: skip

    wrong = read(typed, before=NEW).wrong

    assert list(wrong) == [
        "at", "timezone", "max_runtime", "reserve", "exclude_shares", "paths", "max_unit_size", "ignored", "retries",
    ]  # fmt: skip
    assert wrong["at"] == "'25:00' is not a time of day from 00:00 to 23:59"
    assert wrong["max_runtime"] == "'soon' is not a duration; write it like 30m, 6h or 1h30m"
    assert wrong["max_unit_size"] == "is smaller than min_unit_size, so no unit would fit"
    assert wrong["retries"] == "allowed is 0 to 10"
    assert wrong["paths"] == "name the folders that the strategy gather should bring together"


@pytest.mark.parametrize(
    ("typed", "cron"),
    [
        ({"when": ["daily"], "at": ["05:30"]}, "30 5 * * *"),
        ({"when": ["weekly"], "at": ["05:30"], "weekdays": ["sat", "sun"]}, "30 5 * * 6,0"),
        ({"when": ["monthly"], "at": ["05:30"], "dates": ["1, 15"]}, "30 5 1,15 * *"),
        ({"when": ["cron"], "cron": ["*/15  *\t* * *"]}, "*/15 * * * *"),
    ],
)
def test_the_ways_to_say_when_become_expressions(typed: dict[str, list[str]], cron: str) -> None:
    reading = read(typed, before=NEW)

    assert reading.wrong == {}
    assert reading.schedule.cron == cron


@pytest.mark.parametrize(
    ("typed", "field", "sentence"),
    [
        ({"when": ["daily"], "at": [" "]}, "at", "name a time of day, such as 04:15"),
        ({"when": ["weekly"], "at": ["05:30"]}, "weekdays", "choose at least one day"),
        ({"when": ["weekly"], "at": ["05:30"], "weekdays": ["3"]}, "weekdays", "choose days of the week"),
        ({"when": ["monthly"], "at": ["05:30"], "dates": ["sat"]}, "dates", "name days of the month from 1 to 28, such as 1, 15"),
        ({"when": ["monthly"], "at": ["05:30"], "dates": ["31"]}, "dates", "'31' is neither a day such as sat or mon-fri nor a day of the month, 1 to 28"),
        ({"when": ["cron"], "cron": ["61 * * * *"]}, "cron", "'61' is no minute; allowed are 0-59, with * , - and /"),
        ({"when": ["sometimes"]}, "when", "choose when it runs"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_time_is_told_at_its_field(
    typed: dict[str, list[str]], field: str, sentence: str
) -> None:
    reading = read(typed, before=NEW)

    assert reading.wrong == {field: sentence}
    assert reading.schedule.cron == NEW.cron


def test_the_plainest_way_to_ask_for_an_expression_is_found() -> None:
    assert Timing.of("5 4 * * 1-5").weekdays == {"mon", "tue", "wed", "thu", "fri"}
    assert Timing.of("5 4 * * 7").weekdays == {"sun"}
    assert Timing.of("5 4 15,1 * *").dates == (1, 15)
    assert [Timing.of(cron).when for cron in ("0 0 31 * *", "0 0 1 * 1", "0 0 * 6 *", "*/5 4 * * *")] == ["cron"] * 4


def test_an_expression_keeps_its_words_when_the_form_says_the_same() -> None:
    before = structs.replace(NEW, cron="15 4 * * mon-fri")

    assert read(fill(before), before=before).schedule.cron == "15 4 * * mon-fri"


def test_a_field_that_was_not_sent_stays_and_one_that_was_emptied_is_the_default() -> None:
    before = structs.replace(NEW, max_wait=60, retries=3, enabled=False)

    reading = read({"retries": [""]}, before=before)

    assert (reading.schedule.max_wait, reading.schedule.retries, reading.schedule.enabled) == (60, 0, False)
    assert reading.schedule.cron == before.cron


def test_a_name_with_a_line_break_survives_a_form_whose_lines_cannot_hold_it() -> None:
    selection = Selection(shares=("films", "two\nlines", " spaces "))
    before = structs.replace(NEW, selection=selection)
    typed = fill(before)

    assert typed["shares"] == ["films\n spaces "]
    assert set(read(typed, before=before).schedule.selection.shares) == set(selection.shares)
    assert not fits_a_line("two\nlines")


def test_an_id_is_made_of_the_name_or_of_how_often_it_runs() -> None:
    def made(**typed: list[str]) -> str:
        reading = read_new({**fill(NEW), **typed}, taken={"nightly", "daily"})
        assert reading.wrong == {}
        return reading.schedule.schedule_id

    assert made(name=["Nightly!"]) == "nightly-2"
    assert made() == "daily-2"
    assert made(when=["cron"], cron=["*/5 * * * *"]) == "schedule"
    assert made(schedule_id=[" mine "], name=["Nightly"]) == "mine"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"schedule_id": ["nightly"]}, "there is a schedule nightly already; choose another id"),
        (
            {"schedule_id": ["../x"]},
            "'../x' is not allowed; write up to 41 of a-z, 0-9 and '-', not beginning with '-'",
        ),
        ({"schedule_id": ["manual"]}, "'manual' is reserved; choose another name"),
        ({"name": ["夜"]}, "no id can be made of that name; write one here, of a-z, 0-9 and '-'"),
    ],
)
def test_an_id_that_cannot_be_is_told_at_its_field(typed: dict[str, list[str]], sentence: str) -> None:
    assert read_new({**fill(NEW), **typed}, taken={"nightly"}).wrong == {"schedule_id": sentence}


@pytest.mark.parametrize("name", [template.name for template in TEMPLATES])
def test_a_template_is_a_form_that_can_be_saved_as_it_is(name: str) -> None:
    values = next(template.values for template in TEMPLATES if template.name == name)
    start = structs.replace(NEW, **values)

    reading = read_new(fill(start), taken=())

    assert reading.wrong == {}
    assert structs.replace(reading.schedule, schedule_id="new") == start


def test_disks_are_ticked_by_the_name_or_path_by_which_they_were_chosen() -> None:
    disks = [
        Disk(name="disk1", path="/mnt/disk1", size_bytes=1, used_bytes=0),
        Disk(
            name="disk2", path="/mnt/disk2", size_bytes=1, used_bytes=0, status=DiskStatus.READ_ONLY, reason="read-only"
        ),
        Disk(name="bad\udcff", path="/mnt/bad\udcff", size_bytes=1, used_bytes=0),
    ]

    by_name = disk_choices(disks, ["/mnt/disk2", "disk9"], by_path=False)
    by_path = disk_choices(disks, [], by_path=True)

    assert [(one.value, one.hint) for one in by_name] == [
        ("disk1", "/mnt/disk1"), ("/mnt/disk2", "read-only"), ("disk9", "not found now"),
    ]  # fmt: skip
    assert [one.value for one in by_path] == ["/mnt/disk1", "/mnt/disk2"]


def test_a_group_is_open_when_it_holds_something_to_see() -> None:
    field = FIELDS["tolerance"]

    assert is_default(field, {"tolerance": ["1"]})
    assert is_default(field, {"tolerance": [""]})
    assert not is_default(field, {"tolerance": ["2"]})
    assert not is_default(FIELDS["ignored"], {"ignored": ["mover"]})
    assert is_default(FIELDS["verify"], fill(NEW))
    assert Form({}, wrong={ALL: "no"}).text("name") == ""


def test_what_another_changed_is_named() -> None:
    stored = structs.replace(NEW, cron="0 9 * * *", max_wait=60)

    assert differing(fill(NEW), stored) == ["When", "Wait at most"]
