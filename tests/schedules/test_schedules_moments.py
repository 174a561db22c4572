"""Moments as people say and type them."""

from datetime import UTC, datetime

import pytest

from rebalancer.errors import UsageError
from rebalancer.schedules.moments import distance, in_words, parse_moment

BERLIN = "Europe/Berlin"
NOW = datetime(2026, 11, 23, 19, 0, tzinfo=UTC).timestamp()  # 20:00 in Berlin


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("moment", "zone", "words"),
    [
        ("2026-11-23T20:30+01:00", BERLIN, "today 20:30"),
        ("2026-11-24T04:15+01:00", BERLIN, "tomorrow 04:15"),
        ("2026-11-24T04:15+01:00", "America/New_York", "today 22:15"),
        ("2026-11-22T23:59+01:00", BERLIN, "yesterday 23:59"),
        ("2026-11-28T04:15+01:00", BERLIN, "Sat 28 Nov 04:15"),
        ("2027-01-01T00:00+00:00", "UTC", "Fri 1 Jan 2027 00:00"),
    ],
)
def test_a_moment_is_told_as_the_clock_on_that_wall_shows_it(moment: str, zone: str, words: str) -> None:
    assert in_words(at(moment), now=NOW, timezone=zone) == words


def test_midnight_of_new_year_is_tomorrow_and_needs_no_year() -> None:
    new_year = at("2027-01-01T00:15+01:00")

    assert in_words(new_year, now=new_year - 3600, timezone=BERLIN) == "tomorrow 00:15"


def test_a_distance_knows_its_direction() -> None:
    assert distance(NOW + 3900, now=NOW) == "in 1 h 05 min"
    assert distance(NOW - 90, now=NOW) == "1 min 30 s ago"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("3d", NOW + 3 * 86400),
        ("90m", NOW + 5400),
        ("2026-12-01", at("2026-12-01T00:00+01:00")),
        ("2026-12-01 08:00", at("2026-12-01T08:00+01:00")),
        ("2027-07-01T08:00", at("2027-07-01T08:00+02:00")),
        ("2026-12-01T08:00-05:00", at("2026-12-01T08:00-05:00")),
    ],
)
def test_a_moment_to_come_is_read_in_the_zone_unless_it_names_its_own(typed: str, expected: float) -> None:
    assert parse_moment(typed, field="--until", now=NOW, timezone=BERLIN) == expected


@pytest.mark.parametrize(
    "typed",
    ["", "soon", "0s", "2026-11-23", "2026-11-23 19:59", "2026-02-30", "9999-12-31", "0001-01-01", "4000d", "-1d"],
)
def test_what_is_no_moment_to_come_is_refused_with_the_option(typed: str) -> None:
    with pytest.raises(UsageError, match=r"^--until: "):
        parse_moment(typed, field="--until", now=NOW, timezone=BERLIN)
