"""Active hours: what may be written, when they are open, and when they open next."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.errors import UsageError
from rebalancer.schedules.hours import DAYS, is_open, next_opening, parse_active_hours

BERLIN = ZoneInfo("Europe/Berlin")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def monday(clock: str, *, days: int = 0) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T{clock}").replace(tzinfo=BERLIN) + timedelta(days=days)


@pytest.mark.parametrize(
    ("hours", "at", "expected"),
    [
        ("", monday("12:00"), True),
        ("22:00-06:00", monday("21:59"), False),
        ("22:00-06:00", monday("22:00"), True),
        ("22:00-06:00", monday("05:59"), True),
        ("22:00-06:00", monday("06:00"), False),
        ("mon-fri 01:00-07:00", monday("06:59:59"), True),
        ("mon-fri 01:00-07:00", monday("03:00", days=5), False),
        ("fri 22:00-06:00", monday("05:00", days=5), True),
        ("fri 22:00-06:00", monday("05:00", days=4), False),
        ("sun 22:00-06:00", monday("05:00"), True),
        ("sat-mon 10:00-11:00", monday("10:30"), True),
        ("sat-mon 10:00-11:00", monday("10:30", days=1), False),
        ("01:00-02:00, mon 12:00-24:00", monday("23:59"), True),
        ("MON 0:00-24:00", monday("00:00"), True),
        ("mon 00:00-24:00", monday("00:00", days=1), False),
    ],
)
def test_hours_are_open_from_their_begin_to_just_before_their_end(hours: str, at: datetime, expected: bool) -> None:
    assert is_open(hours, at=at) is expected


@pytest.mark.parametrize(
    "hours",
    [
        "22:00", "22-06", "mon", "mon 25:00-26:00", "10:00-10:00", "24:00-02:00", "24:30-25:00", "10:60-11:00",
        "foo 10:00-11:00", "mon-foo 10:00-11:00", "10:00-11:00,", "10:00-11:00;12:00-13:00", "\uff110:00-11:00", "x" * 501,
    ],
)  # fmt: skip
def test_hours_that_cannot_be_meant_are_refused_with_the_field(hours: str) -> None:
    with pytest.raises(UsageError, match=r"^active_hours: "):
        parse_active_hours(hours)


@pytest.mark.parametrize(
    ("hours", "at", "expected"),
    [
        ("", monday("12:00:01"), monday("12:00:01")),
        ("22:00-06:00", monday("23:00:30"), monday("23:00:30")),
        ("22:00-06:00", monday("12:00:30"), monday("22:00")),
        ("tue 01:00-02:00", monday("12:00"), monday("01:00", days=1)),
        ("mon 01:00-02:00", monday("02:00"), monday("01:00", days=7)),
    ],
)
def test_the_next_opening_is_the_first_open_minute(hours: str, at: datetime, expected: datetime) -> None:
    assert next_opening(hours, at=at) == expected


def test_hours_that_begin_in_a_skipped_hour_open_when_it_is_over() -> None:
    before = datetime(2026, 3, 29, 1, 30, tzinfo=BERLIN)

    opening = next_opening("02:30-05:00", at=before)

    assert opening.isoformat() == "2026-03-29T03:00:00+02:00"


def test_hours_inside_a_skipped_hour_open_the_next_time() -> None:
    before = datetime(2026, 3, 29, 1, 30, tzinfo=BERLIN)

    assert next_opening("sun 02:15-02:45", at=before).isoformat() == "2026-04-05T02:15:00+02:00"


def test_hours_inside_an_hour_that_comes_twice_open_twice() -> None:
    between = datetime(2026, 10, 25, 2, 50, tzinfo=BERLIN)

    assert next_opening("02:15-02:45", at=between).isoformat() == "2026-10-25T02:15:00+01:00"


_CLOCK = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
_DAY = st.sampled_from(DAYS)
_WINDOW = st.one_of(
    st.builds("{}-{}".format, _CLOCK, _CLOCK), st.builds("{}-{} {}-{}".format, _DAY, _DAY, _CLOCK, _CLOCK)
)


@given(
    hours=st.lists(_WINDOW, min_size=1, max_size=3).map(",".join),
    at=st.integers(0, 366 * 86400).map(lambda seconds: BEGIN + timedelta(seconds=seconds)),
    zone=st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "UTC"]),
    waited=st.floats(0, 1),
)
def test_nothing_is_open_between_now_and_the_next_opening(hours: str, at: datetime, zone: str, waited: float) -> None:
    try:
        parse_active_hours(hours)
    except UsageError:  # begin and end were drawn equal
        return
    local = at.astimezone(ZoneInfo(zone))

    opening = next_opening(hours, at=local)

    assert is_open(hours, at=opening)
    between = at + waited * (opening.astimezone(UTC) - at - timedelta(microseconds=2))
    assert opening == local or not is_open(hours, at=between.astimezone(ZoneInfo(zone)))
