"""A schedule's month: right days in every zone, right times where clocks change, and nothing that will not happen."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from rebalancer.errors import UsageError
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.schedules.schedule import Schedule, Suspension
from rebalancer.web.calendar import Day, Month, month, month_of, span_of

NIGHTLY = Schedule(schedule_id="nightly", cron="15 4 * * *")
NOVEMBER, OCTOBER = date(2026, 11, 1), date(2026, 10, 1)


def at(text: str, timezone: str = "UTC") -> float:
    """Seconds since 1970 of a time on a clock in that zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone)).timestamp()


def ran(text: str, timezone: str = "UTC", status: ExecutionStatus = ExecutionStatus.COMPLETED) -> ScheduleExecution:
    return ScheduleExecution(execution_id=text, schedule_id="nightly", start_time=at(text, timezone), status=status)


def days_of(shown: Month) -> dict[int, Day]:
    return {day.number: day for week in shown.weeks for day in week if day is not None}


def shown(
    schedule: Schedule, *executions: ScheduleExecution, first: date = NOVEMBER, now: str, timezone: str = "UTC"
) -> Month:
    return month(schedule, executions, first=first, now=at(now, timezone), machine_timezone=timezone)


def test_a_month_holds_each_of_its_days_once_below_its_weekday() -> None:
    found = shown(NIGHTLY, now="2026-11-10 12:00")

    assert (found.title, found.previous, found.next, found.timezone) == ("November 2026", "2026-10", "2026-12", "UTC")
    assert [len(week) for week in found.weeks] == [7] * 6
    assert list(days_of(found)) == list(range(1, 31))
    assert [day and day.number for day in found.weeks[0]] == [None] * 6 + [1]
    assert {day.weekday for day in (week[6] for week in found.weeks) if day is not None} == {"Sunday"}
    assert [day.number for day in days_of(found).values() if day.is_today] == [10]


def test_only_firings_to_come_are_shown_and_what_ran_before_them() -> None:
    found = days_of(shown(NIGHTLY, ran("2026-11-09 04:15:07"), now="2026-11-10 04:15"))

    assert (found[9].times, [one.at for one in found[9].executions]) == ((), ["04:15"])
    assert (found[10].times, found[11].times) == ((), ("04:15",))
    assert (found[30].times, found[30].firings) == (("04:15",), "")


def test_a_day_with_many_firings_shows_a_few_and_counts_the_others() -> None:
    hourly = days_of(shown(structs.replace(NIGHTLY, cron="0 * * * *"), now="2026-10-31 23:30"))
    always = days_of(shown(structs.replace(NIGHTLY, cron="* * * * *"), now="2026-10-31 23:30"))
    today = days_of(shown(structs.replace(NIGHTLY, cron="* * * * *"), now="2026-11-10 23:57:30"))
    executions = [ran(f"2026-11-02 0{hour}:00") for hour in range(5)]
    ran_often = days_of(shown(NIGHTLY, *executions, now="2026-11-10 12:00"))

    assert (hourly[1].times, hourly[1].firings) == (("00:00", "01:00", "02:00"), "and 21 more")
    assert {day.firings for day in always.values()} == {"and 1,437 more"}
    assert [(day.times, day.firings) for day in (today[9], today[10])] == [((), ""), (("23:58", "23:59"), "")]
    assert ([one.at for one in ran_often[2].executions], ran_often[2].more_executions) == (
        ["00:00", "01:00", "02:00"],
        2,
    )


def test_a_schedule_that_rests_fires_on_no_day_before_its_rest_ends() -> None:
    rest = Suspension(reason="", actor="me", since=at("2026-11-01 00:00"), until=at("2026-11-20 12:00"))
    until = days_of(shown(structs.replace(NIGHTLY, suspension=rest), now="2026-11-10 12:00"))
    resting = structs.replace(NIGHTLY, suspension=structs.replace(rest, until=None))
    disabled = structs.replace(NIGHTLY, enabled=False)

    assert [day.number for day in until.values() if day.times] == list(range(21, 31))
    for schedule in (resting, disabled):
        assert not any(day.times for day in days_of(shown(schedule, now="2026-11-10 12:00")).values())


def test_days_are_those_of_the_schedules_own_time_zone() -> None:
    late = structs.replace(NIGHTLY, cron="30 23 * * *", timezone="Pacific/Kiritimati")  # UTC+14
    found = shown(late, ran("2026-11-01 23:30", "Pacific/Kiritimati"), now="2026-11-01 12:00")

    assert found.timezone == "Pacific/Kiritimati"
    assert [day.number for day in days_of(found).values() if day.is_today] == [2]
    assert [one.at for one in days_of(found)[1].executions] == ["23:30"]
    assert days_of(found)[2].times == ("23:30",)
    assert span_of(NOVEMBER, ZoneInfo("Pacific/Kiritimati"))[0] == at("2026-10-31 10:00")


def test_the_day_on_which_clocks_go_back_has_its_firing_once_and_the_wall_follower_twice() -> None:
    once = structs.replace(NIGHTLY, cron="30 2 * * *", timezone="Europe/Berlin")
    wall = structs.replace(NIGHTLY, cron="30 * * * *", timezone="Europe/Berlin")

    assert days_of(shown(once, first=OCTOBER, now="2026-10-20 12:00"))[25].times == ("02:30",)
    assert days_of(shown(wall, first=OCTOBER, now="2026-10-20 12:00"))[25].firings == "and 22 more"  # of 25 hours
    assert days_of(shown(wall, first=OCTOBER, now="2026-10-20 12:00"))[26].firings == "and 21 more"


def test_a_frequent_schedule_has_as_many_firings_as_its_days_have_minutes() -> None:
    always = structs.replace(NIGHTLY, cron="* * * * *", timezone="Europe/Berlin")

    back = days_of(shown(always, first=OCTOBER, now="2026-10-20 12:00"))
    forward = days_of(shown(always, first=date(2027, 3, 1), now="2027-03-20 12:00"))

    assert [back[day].firings for day in (24, 25, 26)] == ["and 1,437 more", "and 1,497 more", "and 1,437 more"]
    assert [forward[day].firings for day in (27, 28)] == ["and 1,437 more", "and 1,377 more"]
    assert back[25].times == ("00:00", "00:01", "00:02")


def test_the_day_on_which_clocks_go_forward_shows_when_it_really_runs() -> None:
    schedule = structs.replace(NIGHTLY, cron="30 2 * * *", timezone="Europe/Berlin")

    found = days_of(shown(schedule, first=date(2027, 3, 1), now="2027-03-20 12:00"))

    assert [found[day].times for day in (27, 28, 29)] == [("02:30",), ("03:00",), ("02:30",)]


@pytest.mark.parametrize("timezone", ["America/Santiago", "Asia/Beirut", "Africa/Cairo"])
def test_a_zone_that_skips_midnight_loses_no_day(timezone: str) -> None:
    every_hour = structs.replace(NIGHTLY, cron="0 */1 * * *", timezone=timezone)

    for number in range(1, 13):
        first = date(2027, number, 1)
        found = days_of(shown(every_hour, first=first, now="2026-12-01 12:00"))
        begin, end = span_of(first, ZoneInfo(timezone))
        firings = sum(int(day.firings.split()[1]) + 3 for day in found.values())
        assert firings == (end - begin) / 3600


def test_months_follow_each_other_without_a_gap_to_the_ends_of_time() -> None:
    here = ZoneInfo("America/New_York")
    for year, number in [(2026, 12), (2028, 2), (2026, 3), (1971, 1), (9000, 12)]:
        first = date(year, number, 1)
        found = month(NIGHTLY, (), first=first, now=at("2026-11-10 12:00"), machine_timezone="America/New_York")
        if found.next:
            assert span_of(month_of(found.next, today=first), here)[0] == span_of(first, here)[1]
    first_of_all = month(NIGHTLY, (), first=date(1971, 1, 1), now=at("2026-11-10 12:00"), machine_timezone="UTC")
    last_of_all = month(NIGHTLY, (), first=date(9000, 12, 1), now=at("2026-11-10 12:00"), machine_timezone="UTC")
    assert (first_of_all.previous, last_of_all.next) == ("", "")
    assert days_of(last_of_all)[31].times == ("04:15",)


def test_a_month_is_read_as_it_is_written_in_the_address() -> None:
    today = datetime(2026, 11, 28, tzinfo=UTC).date()

    assert month_of("", today=today) == NOVEMBER
    assert month_of("2026-12", today=today) == date(2026, 12, 1)


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-1", "0001-01", "9999-12", "next", "2026-12-01", "²026-12"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write it like 2026-12"):
        month_of(text, today=NOVEMBER)
