"""What is still to come of a schedule that may be disabled or suspended."""

from datetime import UTC, datetime

import pytest
from msgspec import structs

from rebalancer.schedules.schedule import Schedule, Suspension
from rebalancer.schedules.upcoming import state_of, upcoming

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC).timestamp()
DAY = 86400.0
NIGHTLY = Schedule(schedule_id="nightly", cron="15 4 * * *", timezone="Europe/Berlin")
SUSPENDED = structs.replace(NIGHTLY, suspension=Suspension(reason="", actor="anna", since=NOW - DAY))
UNTIL = structs.replace(NIGHTLY, suspension=Suspension(reason="", actor="anna", since=NOW - DAY, until=NOW + 2 * DAY))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (NIGHTLY, ["2026-11-24T04:15:00+01:00", "2026-11-25T04:15:00+01:00"]),
        (UNTIL, ["2026-11-26T04:15:00+01:00", "2026-11-27T04:15:00+01:00"]),
        (SUSPENDED, []),
        (structs.replace(NIGHTLY, enabled=False), []),
        (structs.replace(UNTIL, enabled=False), []),
    ],
)
def test_only_what_will_fire_as_things_stand_is_to_come(schedule: Schedule, expected: list[str]) -> None:
    found = upcoming(schedule, now=NOW, count=2, machine_timezone="UTC")

    assert [slot.local for slot in found] == expected


def test_a_suspension_that_is_over_keeps_nothing() -> None:
    assert state_of(UNTIL, now=NOW) == "suspended"
    assert state_of(UNTIL, now=NOW + 2 * DAY) == "enabled"
    assert state_of(structs.replace(NIGHTLY, enabled=False), now=NOW) == "disabled"
