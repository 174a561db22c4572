"""When a schedule is due: shown against cronsim, and against a walk over every minute that knows only Debian's rules."""

import datetime as dt
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rebalancer.errors import UsageError
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.slots import (
    NEWEST,
    Slot,
    jitter_of,
    latest_slot,
    next_slots,
    slot_at,
    slot_of,
    slots_between,
)

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",  # +05:30, no daylight saving time
    "America/Santiago",  # southern, clocks change at midnight
    "Australia/Lord_Howe",  # half an hour of daylight saving time
    "Pacific/Chatham",  # +12:45, southern
)
MINUTE, DAY = 60.0, 86400.0
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
TWO_YEARS = 2 * 365 * DAY


def schedule(cron: str, timezone: str = "", **values: object) -> Schedule:
    return Schedule(schedule_id="nightly", cron=cron, timezone=timezone, **values)  # type: ignore[arg-type]


def keys(cron: str, timezone: str, day: str) -> list[str]:
    """Return the slots of one local day."""
    begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(timezone))
    since, until = begin.timestamp() - 1, (begin + dt.timedelta(days=1)).timestamp() - 1
    return [
        slot.local for slot in slots_between(schedule(cron, timezone), since=since, until=until, machine_timezone="UTC")
    ]


def test_a_slot_that_clocks_skip_runs_at_the_first_instant_after_it() -> None:
    assert keys("30 2 * * *", "Europe/Berlin", "2026-03-29") == ["2026-03-29T03:00:00+02:00"]
    assert keys("15 2 * * *", "Australia/Lord_Howe", "2026-10-04") == ["2026-10-04T02:30:00+11:00"]
    assert keys("10 0 * * *", "America/Santiago", "2026-09-06") == ["2026-09-06T01:00:00-03:00"]


def test_several_slots_that_clocks_skip_are_one() -> None:
    assert keys("0,15,30 2,3 * * *", "Europe/Berlin", "2026-03-29") == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:15:00+02:00",
        "2026-03-29T03:30:00+02:00",
    ]


def test_a_slot_in_the_hour_that_comes_twice_runs_once() -> None:
    assert keys("30 2 * * *", "Europe/Berlin", "2026-10-25") == ["2026-10-25T02:30:00+02:00"]
    assert keys("45 1 * * *", "Australia/Lord_Howe", "2026-04-05") == ["2026-04-05T01:45:00+11:00"]


def test_the_two_hours_of_autumn_have_keys_of_their_own() -> None:
    assert keys("30 * * * *", "Europe/Berlin", "2026-10-25")[2:4] == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+01:00",
    ]


def test_an_expression_with_a_star_follows_the_clock_on_the_wall() -> None:
    assert keys("*/30 2 * * *", "Europe/Berlin", "2026-03-29") == []
    assert len(keys("*/30 2 * * *", "Europe/Berlin", "2026-10-25")) == 4


def test_the_second_hour_of_autumn_does_not_bring_back_slots_of_the_first() -> None:
    second = datetime(2026, 10, 25, 1, 10, tzinfo=UTC).timestamp()  # 02:10 for the second time

    (slot,) = next_slots(schedule("30 2 * * *", "Europe/Berlin"), after=second, count=1, machine_timezone="UTC")

    assert slot.local == "2026-10-26T02:30:00+01:00"


def test_a_schedule_without_a_zone_lives_in_the_machines() -> None:
    (slot,) = next_slots(schedule("0 3 * * *"), after=NEW_YEAR, count=1, machine_timezone="Asia/Kolkata")

    assert slot == Slot(at=NEW_YEAR + 21.5 * 3600, local="2026-01-02T03:00:00+05:30")


def test_a_long_time_yields_the_newest_slots_only() -> None:
    found = list(
        slots_between(schedule("* * * * *"), since=NEW_YEAR, until=NEW_YEAR + TWO_YEARS, machine_timezone="UTC")
    )

    assert len(found) == NEWEST
    assert found[-1].at == NEW_YEAR + TWO_YEARS
    assert [slot.at for slot in found] == sorted({slot.at for slot in found})


def test_both_ends_of_a_span_are_as_promised() -> None:
    noon = NEW_YEAR + DAY / 2
    hourly = schedule("0 * * * *")

    between = [slot.at for slot in slots_between(hourly, since=noon, until=noon + 7200, machine_timezone="UTC")]

    assert between == [noon + 3600, noon + 7200]
    assert latest_slot(hourly, now=noon + 60, window=60, machine_timezone="UTC") == slot_at(noon, "UTC")
    assert latest_slot(hourly, now=noon, window=60, machine_timezone="UTC") == slot_at(noon, "UTC")
    assert latest_slot(hourly, now=noon + 61, window=60, machine_timezone="UTC") is None


def test_no_slot_is_lost_where_clocks_change_by_half_an_hour() -> None:
    assert keys("0 */6 * * *", "Australia/Lord_Howe", "2026-04-05")[1] == "2026-04-05T06:00:00+10:30"


def test_a_rare_day_is_found() -> None:
    (slot,) = next_slots(schedule("0 5 29 2 *"), after=NEW_YEAR, count=1, machine_timezone="UTC")

    assert slot.local == "2028-02-29T05:00:00+00:00"


def test_jitter_is_stable_and_differs_between_machines_and_schedules() -> None:
    jittered = schedule("0 3 * * *", jitter=3600)
    others = [jitter_of(jittered, machine=f"machine-{n}") for n in range(200)]

    assert jitter_of(jittered, machine="tower") == jitter_of(jittered, machine="tower")
    assert all(0 <= seconds <= 3600 for seconds in others)
    assert len(set(others)) > 150
    assert jitter_of(schedule("0 3 * * *"), machine="tower") == 0


@pytest.mark.parametrize("key", ["", "nonsense", "2026-10-25", "2026-10-25T02:30:00", "2026-10-25T02:30:07+01:00"])
def test_what_is_no_slot_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="slot"):
        slot_of(key)


@pytest.mark.parametrize(("cron", "timezone"), [("0 3 * *", ""), ("99 3 * * *", ""), ("0 3 * * *", "Mars/Olympus")])
def test_what_cannot_be_computed_is_said_with_its_field(cron: str, timezone: str) -> None:
    with pytest.raises(UsageError, match=r"cron|timezone"):
        next_slots(schedule(cron, timezone), after=NEW_YEAR, count=1, machine_timezone="UTC")


# Two years in six zones, against cronsim and against every minute of the time.

minutes = st.sampled_from(["0", "30", "15,45", "*/20", "7-52/15", "59"])
hours = st.sampled_from(["*", "0", "1", "2", "3", "1-3", "0,2,23", "*/6", "22-23"])
days = st.sampled_from(["*", "*", "1", "15,31", "*/2", "25-31"])
months = st.sampled_from(["*", "*", "3,10", "4-9", "*/2"])
weekdays = st.sampled_from(["*", "*", "0", "1-5", "sun", "*/3"])
expressions = st.builds("{} {} {} {} {}".format, minutes, hours, days, months, weekdays)


def walked(cron: str, timezone: str, *, since: float, until: float) -> list[float]:
    """Return the slots as Debian's rules put them, by looking at every minute of the time."""
    fields = CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC))
    follows_the_wall = any(field.startswith("*") for field in cron.split()[:2])
    zone = ZoneInfo(timezone)

    def matches(moment: datetime) -> bool:
        return (
            moment.minute in fields.minutes
            and moment.hour in fields.hours
            and moment.month in fields.months
            and fields.match_day(moment.date())
        )

    found = set()
    before = datetime.fromtimestamp(since, zone).replace(tzinfo=None)
    for at in range(int(since) + 60, int(until) + 1, 60):
        wall = datetime.fromtimestamp(at, zone).replace(tzinfo=None)
        skipped = wall - before - dt.timedelta(minutes=1)
        if follows_the_wall:
            candidates: Iterator[datetime] = iter([wall])
        else:  # a minute that was on the wall before does not count again, a skipped one counts now
            seen_before = datetime.fromtimestamp(at, zone).fold == 1
            span = int(skipped.total_seconds() // 60)
            candidates = iter([] if seen_before else [wall - dt.timedelta(minutes=n) for n in range(max(span, 0) + 1)])
        if any(matches(candidate) for candidate in candidates):
            found.add(float(at))
        before = wall
    return sorted(found)


@settings(max_examples=120, deadline=None)
@given(expressions, st.sampled_from(ZONES), st.integers(0, 730 * 24))
def test_every_slot_is_one_of_cronsim_and_the_other_way_round(cron: str, timezone: str, hours_later: int) -> None:
    since = NEW_YEAR + hours_later * 3600
    # cronsim loses slots of `0 */6 * * *` on the day on which clocks change by half an hour
    assume(timezone != "Australia/Lord_Howe" or not any(field.startswith("*") for field in cron.split()[:2]))
    until = min(since + 40 * DAY, NEW_YEAR + TWO_YEARS)
    expected: list[float] = []
    for moment in CronSim(cron, datetime.fromtimestamp(since - DAY, ZoneInfo(timezone))):
        if moment.timestamp() > until:
            break
        if moment.timestamp() > since and moment.timestamp() not in expected:
            expected.append(moment.timestamp())

    found = [s.at for s in slots_between(schedule(cron, timezone), since=since, until=until, machine_timezone="UTC")]

    assert found == expected[-NEWEST:]


@pytest.mark.parametrize("timezone", ZONES)
@settings(max_examples=25, deadline=None)
@given(cron=expressions)
def test_around_every_change_of_the_clocks_slots_are_what_debians_rules_say(timezone: str, cron: str) -> None:
    for change in changes(timezone):
        since, until = change - 2 * DAY - MINUTE, change + 2 * DAY

        found = [
            s.at for s in slots_between(schedule(cron, timezone), since=since, until=until, machine_timezone="UTC")
        ]

        assert found == walked(cron, timezone, since=since, until=until)


def changes(timezone: str) -> list[float]:
    """Return the days within two years on which the zone's offset changes; one ordinary day where it never does."""
    zone = ZoneInfo(timezone)
    offsets = [(NEW_YEAR + n * DAY, datetime.fromtimestamp(NEW_YEAR + n * DAY, zone).utcoffset()) for n in range(730)]
    found = [later for (_, one), (later, other) in itertools.pairwise(offsets) if one != other]
    return found or [NEW_YEAR]
