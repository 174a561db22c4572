"""What a schedule may say, and how a refusal reads."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from cronsim import CronSim
from msgspec import structs

from rebalancer.errors import UsageError
from rebalancer.guards.options import GuardOptions
from rebalancer.planning.selection import Selection, Strategy
from rebalancer.schedules import templates, validation
from rebalancer.schedules.expression import parse_expression
from rebalancer.schedules.schedule import Schedule, Suspension

SCHEDULE = Schedule(schedule_id="nightly", cron="15 4 * * *")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15 4 * * *", "15 4 * * *"),
        ("  15\t4  * * mon-fri ", "15 4 * * mon-fri"),
        ("*/10 0-5,22,23 * * 7", "*/10 0-5,22,23 * * 7"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 3 1-7 JAN,jul *", "0 3 1-7 JAN,jul *"),
    ],
)
def test_five_fields_are_accepted_and_written_plainly(text: str, expected: str) -> None:
    assert parse_expression(text) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("60 * * * *", "cron: '60' is no minute; allowed are 0-59"),
        ("* 24 * * *", "cron: '24' is no hour; allowed are 0-23"),
        ("* * 0 * *", "cron: '0' is no day-of-month; allowed are 1-31"),
        ("* * * 13 *", "cron: '13' is no month; allowed are 1-12 or jan-dec"),
        ("* * * * 8", "cron: '8' is no day-of-week; allowed are 0-7 or sun-sat"),
        ("* * 30 foo *", "cron: 'foo' is no month"),
        ("*/0 * * * *", "cron: '*/0' is no minute"),
        ("5-1 * * * *", "cron: '5-1' is no minute"),
        ("5/15 * * * *", "cron: '5/15' is no minute"),
        ("*-5 * * * *", "cron: '*-5' is no minute"),
        ("0 0 L * *", "cron: 'L' is no day-of-month"),
        ("0 0 * * 1#1", "cron: '1#1' is no day-of-week"),
        ("0 3 * * \uff15", "cron: '\uff15' is no day-of-week"),
        ("0 0 30 2 *", "cron: '0 0 30 2 *' never runs"),
        ("0 0 31 4,6,9,11 *", "cron: '0 0 31 4,6,9,11 *' never runs"),
        ("@daily", "cron: @daily is not understood by every cron; write '0 0 * * *'"),
        ("@Weekly", "write '0 0 * * 0'"),
        ("@reboot", "cron: '@reboot' names no times"),
        ("", "does not have five fields"),
        ("0 0 3 * * *", "does not have five fields"),
        ("0 3 * * *\n* * * * * evil", "does not have five fields"),
        ("1," * 5000 + "1 * * * *", "cron: at most 200 characters"),
    ],
)
def test_an_expression_that_cannot_be_meant_is_refused_in_plain_words(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_expression(text)

    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"schedule_id": "Nightly"}, "schedule_id: 'Nightly' is not allowed"),
        ({"schedule_id": "-x"}, "schedule_id"),
        ({"schedule_id": "a/b"}, "schedule_id"),
        ({"schedule_id": "a\n"}, "schedule_id"),
        ({"schedule_id": "a" * 42}, "schedule_id"),
        ({"schedule_id": ""}, "schedule_id"),
        ({"schedule_id": "manual"}, "schedule_id: 'manual' is reserved"),
        ({"schedule_id": "com1"}, "schedule_id: 'com1' is reserved"),
        ({"name": "x\x1b[31m"}, "name"),
        ({"name": "x" * 501}, "name"),
        ({"cron": 5}, "cron: expected `str`, got `int`"),
        ({"timezone": "Mars/Olympus"}, "timezone: 'Mars/Olympus' is not a time zone"),
        ({"timezone": "Europe"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"timezone": "/etc/localtime"}, "timezone"),
        ({"disks": ("mnt/disk1",)}, "disks: 'mnt/disk1' is not an absolute path"),
        ({"disks": ("/",)}, "disks"),
        ({"disks": ("/mnt/../etc",)}, "disks"),
        ({"disks": ("/mnt/a", "/mnt/a")}, "disks: one of them is named twice"),
        ({"disks": ("/mnt/\udcff",)}, "disks"),
        ({"active_hours": "at night"}, "active_hours"),
        ({"above_percent": 0.0}, "above_percent: allowed is 1 % to 99 %"),
        ({"above_percent": 100.0}, "above_percent"),
        ({"above_percent": float("nan")}, "above_percent"),
        ({"above_percent": float("inf")}, "above_percent"),
        ({"above_percent": -1.0}, "above_percent"),
        ({"max_wait": 604801}, "max_wait: allowed is 0.0 s to 7 d 0 h"),
        ({"catch_up_window": 59}, "catch_up_window"),
        ({"catch_up_window": 2**70}, "catch_up_window"),
        ({"jitter": -1}, "jitter"),
        ({"jitter": 21601}, "jitter: allowed is 0.0 s to 6 h 00 min"),
        ({"jitter": True}, "jitter: expected `int`, got `bool`"),
        ({"retries": 11}, "retries: allowed is 0 to 10"),
        ({"retry_delay": 0}, "retry_delay"),
        ({"suspend_after_failures": 101}, "suspend_after_failures"),
        ({"keep_days": 0}, "keep_days"),
        ({"keep_failed_days": 3651}, "keep_failed_days: allowed is 1 to 3,650"),
        ({"keep_at_least": -1}, "keep_at_least"),
        ({"overlap": "sometimes"}, "overlap"),
        ({"suspension": Suspension(reason="x", actor="y", since=10.0, until=10.0)}, "until"),
        ({"selection": Selection(tolerance=101)}, "tolerance: allowed is 0 percentage points to 100 percentage points"),
        ({"selection": Selection(strategy=Strategy.TARGET, target_percent=0)}, "target_percent"),
        ({"selection": Selection(strategy=Strategy.EVACUATE)}, "from_disks: name the disks"),
        ({"selection": Selection(strategy=Strategy.GATHER)}, "paths: name the folders"),
        ({"selection": Selection(paths=("tv/x",))}, "paths: only the strategy gather"),
        ({"selection": Selection(target_percent=70)}, "target_percent: only the strategy target"),
        ({"selection": Selection(unit_depth=65)}, "unit_depth"),
        ({"selection": Selection(max_runtime=0)}, "max_runtime"),
        ({"selection": Selection(max_bytes=0)}, "max_bytes"),
        ({"selection": Selection(bandwidth_limit=0)}, "bandwidth_limit"),
        ({"selection": Selection(reserve="lots")}, "reserve"),
        ({"selection": Selection(min_unit_size=2, max_unit_size=1)}, "max_unit_size"),
        ({"selection": Selection(shares=("a/b",))}, "shares"),
        ({"selection": Selection(shares=("a",), exclude_shares=("a",))}, "exclude_shares"),
        ({"selection": Selection(exclude=("",))}, "exclude"),
        ({"selection": Selection(from_disks=("a\0",))}, "from_disks"),
        ({"guards": GuardOptions(ignored=("mover", "mice"))}, "ignored: 'mice' is no guard; there are array-state"),
        ({"guards": GuardOptions(max_temperature=19)}, "max_temperature: allowed is 20 °C to 90 °C"),
        ({"guards": GuardOptions(cool_down=31)}, "cool_down: allowed is 0 °C to 30 °C"),
        ({"guards": GuardOptions(max_cpu=0.5)}, "max_cpu: allowed is 1 % to 100 %"),
        ({"guards": GuardOptions(min_memory=0)}, "min_memory"),
        ({"guards": GuardOptions(max_disk_activity=0)}, "max_disk_activity"),
        ({"guards": GuardOptions(max_streams=-1)}, "max_streams"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError) as refusal:
        validation.check(structs.replace(SCHEDULE, **changes))

    assert str(refusal.value).startswith(field) or field in str(refusal.value)


@pytest.mark.parametrize("zone", ["", "UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+5"])
def test_a_time_zone_of_the_iana_database_is_accepted(zone: str) -> None:
    assert validation.check(structs.replace(SCHEDULE, timezone=zone)).timezone == zone


@pytest.mark.parametrize("known", templates.TEMPLATES, ids=lambda known: known.name)
def test_every_template_makes_a_schedule_that_is_allowed(known: templates.Template) -> None:
    schedule = Schedule(schedule_id=known.name, **known.values)

    assert validation.check(schedule) == schedule


def test_an_unknown_template_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="'hourly' is none of nightly, weekly, above, idle"):
        templates.template("hourly")


@pytest.mark.parametrize("expression", sorted({str(known.values["cron"]) for known in templates.TEMPLATES}))
def test_the_times_of_the_templates_are_never_skipped_or_doubled_in_any_zone(expression: str) -> None:
    minute, hour = (int(part) for part in expression.split()[:2])
    days = [datetime(2026, 1, 1) + timedelta(days=day) for day in range(3 * 366)]  # noqa: DTZ001 - made aware below

    wrong = {
        (zone, day.date())
        for zone in available_timezones() - {"Factory", "localtime"}
        for day in _days_of_change(days, ZoneInfo(zone))
        if not _comes_once(day.replace(hour=hour, minute=minute), ZoneInfo(zone))
    }

    assert wrong == set()
    assert next(CronSim(expression, datetime(2026, 11, 23, tzinfo=UTC))).minute == minute


def _days_of_change(days: list[datetime], zone: ZoneInfo) -> list[datetime]:
    offsets = [day.replace(tzinfo=zone).utcoffset() for day in days]
    return [day for day, offset, after in zip(days, offsets, offsets[1:], strict=False) if offset != after]


def _comes_once(local: datetime, zone: ZoneInfo) -> bool:
    first, second = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
    return first.utcoffset() == second.utcoffset() and first.astimezone(UTC).astimezone(zone) == first
