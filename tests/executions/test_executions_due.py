"""What is due: by policy, and over two years in six zones while the wall clock jumps about."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rebalancer.executions.claims import Ledger
from rebalancer.executions.due import ON_TIME, Due, decide, due, missed_record
from rebalancer.executions.execution import ExecutionStatus
from rebalancer.schedules.schedule import Missed, Schedule, Suspension
from rebalancer.schedules.slots import next_slots, slot_at, slots_between

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
TWO_YEARS = 2 * 365 * DAY
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
)


def nightly(**values: object) -> Schedule:
    return Schedule(**{"schedule_id": "nightly", "cron": "0 3 * * *", "timezone": "UTC", "updated_at": 1.0, **values})  # type: ignore[arg-type]


def ledger(day: int) -> Ledger:
    """Return the ledger of a schedule that fired at 03:00 of that day last."""
    return Ledger().with_fired(slot_at(NEW_YEAR + day * DAY + 3 * HOUR, "UTC"))


def asked(schedule: Schedule, known: Ledger, *, day: int, hour: float) -> Due | None:
    return decide(schedule, known, now=NEW_YEAR + day * DAY + hour * HOUR, machine_timezone="UTC")


def key(day: int) -> str:
    return f"2026-01-{day + 1:02}T03:00:00+00:00"


def test_a_slot_is_due_from_its_instant_on_and_once() -> None:
    assert asked(nightly(), ledger(0), day=1, hour=2.999) is None

    one = asked(nightly(), ledger(0), day=1, hour=3)

    assert one is not None
    assert (one.slot.local, one.fired_by, one.missed) == (key(1), "clock", ())
    assert asked(nightly(), ledger(1), day=1, hour=3.1) is None


def test_missed_slots_are_noted_together_and_nothing_runs() -> None:
    one = asked(nightly(), ledger(0), day=4, hour=12)

    assert one is not None
    assert one.fired_by == ""
    assert [slot.local for slot in one.missed] == [key(1), key(2), key(3), key(4)]


def test_one_run_makes_up_for_all_within_the_window() -> None:
    schedule = nightly(missed=Missed.RUN_ONCE, catch_up_window=10 * 3600)

    within, beyond = asked(schedule, ledger(0), day=4, hour=12), asked(schedule, ledger(0), day=4, hour=14)

    assert within is not None
    assert (within.slot.local, within.fired_by, within.missed) == (key(4), "catch-up", ())
    assert beyond is not None
    assert (beyond.fired_by, len(beyond.missed)) == ("", 4)


def test_a_slot_on_time_runs_and_the_older_ones_are_noted() -> None:
    one = asked(nightly(), ledger(0), day=3, hour=3.05)

    assert one is not None
    assert (one.slot.local, one.fired_by) == (key(3), "clock")
    assert [slot.local for slot in one.missed] == [key(1), key(2)]


def test_nothing_before_the_last_change_of_a_schedule_is_due() -> None:
    changed = nightly(updated_at=NEW_YEAR + 2 * DAY)

    assert asked(changed, Ledger(), day=2, hour=2) is None
    assert asked(changed, ledger(0), day=2, hour=2) is None


def test_a_change_that_was_made_while_the_clock_was_wrong_does_not_silence_a_schedule() -> None:
    one = asked(nightly(updated_at=NEW_YEAR + 4000 * DAY), ledger(0), day=1, hour=3)

    assert one is not None
    assert one.fired_by == "clock"


def test_a_schedule_that_was_never_fired_does_not_make_up_for_its_past() -> None:
    assert asked(nightly(updated_at=0.0), Ledger(), day=2, hour=12) is None


def test_a_disabled_schedule_is_never_due_and_a_suspended_one_is() -> None:
    suspension = Suspension(reason="holiday", actor="me", since=1.0)

    assert asked(nightly(enabled=False), ledger(0), day=1, hour=3) is None
    assert asked(nightly(suspension=suspension), ledger(0), day=1, hour=3) is not None


def test_a_schedule_that_cannot_be_computed_does_not_hold_the_others_up() -> None:
    schedules = [nightly(schedule_id="broken", cron="every night"), nightly()]

    found = due(schedules, {}, now=NEW_YEAR + DAY + 3 * HOUR, machine_timezone="UTC")

    assert [one.schedule_id for one in found] == ["nightly"]


def test_the_record_says_how_many_were_missed_and_since_when() -> None:
    one = asked(nightly(), ledger(0), day=4, hour=12)
    assert one is not None

    record = missed_record(one, now=NEW_YEAR + 4.5 * DAY)

    assert (record.status, record.exit_code, record.cause) == (ExecutionStatus.CANCELLED, 75, "missed")
    assert record.error_message.startswith(f"4 runs were missed since {key(1)}")
    assert record.slot == key(4)


# Two years with a clock that jumps


@dataclass
class World:
    """A schedule, its ledger, and what came of every slot."""

    schedule: Schedule
    now: float = NEW_YEAR
    ledger: Ledger = field(default_factory=Ledger)
    fired: dict[float, int] = field(default_factory=dict)
    accounted: set[float] = field(default_factory=set)  # noted as missed, or made up for
    passed: set[float] = field(default_factory=set)  # the clock went through them without a jump

    def go_on(self, seconds: float) -> None:
        """Let time pass, with a look at every slot as the clock's loop has it."""
        end = self.now + seconds
        while slots := next_slots(self.schedule, after=self.now, count=1, machine_timezone="UTC"):
            if slots[0].at > end:
                break
            self.now = slots[0].at
            self.passed.add(self.now)
            self.look()
        self.now = end

    def jump(self, seconds: float) -> None:
        over = slots_between(self.schedule, since=self.now, until=self.now + seconds, machine_timezone="UTC")
        lost = {slot.at for slot in over if slot.at not in self.fired}
        self.now = max(self.now + seconds, NEW_YEAR)
        one = self.look()
        if one is not None and one.fired_by and self.schedule.missed is Missed.RUN_ONCE:
            self.accounted |= {at for at in lost if at <= one.slot.at}

    def look(self) -> Due | None:
        one = decide(self.schedule, self.ledger, now=self.now, machine_timezone="UTC")
        if one is None:
            return None
        self.accounted.update(slot.at for slot in one.missed)
        if one.missed and (self.ledger.until is None or self.ledger.until < one.missed[-1].at):
            self.ledger = self.ledger.with_missed(one.missed[-1])
        if one.fired_by and not self.ledger.has(one.slot.at):
            assert self.now - one.slot.at <= max(ON_TIME, self.schedule.catch_up_window)
            self.fired[one.slot.at] = self.fired.get(one.slot.at, 0) + 1
            self.ledger = self.ledger.with_fired(one.slot)
        return one


jumps = st.lists(st.tuples(st.floats(1, 20 * DAY), st.sampled_from([HOUR, -HOUR, DAY, -DAY])), max_size=120)
expressions = st.sampled_from(
    ["30 2 * * *", "0 3 * * 0", "15,45 1-3 * * *", "0 */6 * * *", "20 0 1,15 * *", "59 23 * * 1-5"]
)


def test_a_slot_that_was_noted_as_missed_fires_when_the_clock_is_set_back_and_comes_to_it() -> None:
    missed = ledger(0).with_missed(slot_at(NEW_YEAR + DAY + 3 * HOUR, "UTC"))

    for hour in (3, 3.01, 3.1):
        one = asked(nightly(), missed, day=1, hour=hour)
        assert one is not None
        assert (one.slot.local, one.fired_by) == (key(1), "clock")
    assert asked(nightly(), missed, day=1, hour=3.2) is None


@pytest.mark.parametrize("timezone", ZONES)
@settings(max_examples=12, deadline=None)
@given(cron=expressions, policy=st.sampled_from(Missed), window=st.sampled_from([3600, 86400]), stretches=jumps)
@example(cron="0 */6 * * *", policy=Missed.SKIP, window=3600, stretches=[(1.0, HOUR), (375900.0, HOUR), (1.0, -HOUR)])
def test_for_two_years_each_slot_fires_at_most_once_and_none_is_lost(
    timezone: str, cron: str, policy: Missed, window: int, stretches: list[tuple[float, float]]
) -> None:
    schedule = nightly(cron=cron, timezone=timezone, missed=policy, catch_up_window=window)
    world = World(schedule, ledger=Ledger(until=NEW_YEAR))

    for seconds, jump in stretches:
        world.go_on(min(seconds, max(0.0, NEW_YEAR + TWO_YEARS - world.now)))
        world.jump(jump)
    world.go_on(max(0.0, NEW_YEAR + TWO_YEARS - world.now))

    assert set(world.fired.values()) <= {1}
    assert world.passed <= set(world.fired)
    everything = all_slots(schedule, until=world.now)
    assert everything - set(world.fired) - world.accounted == set()


def all_slots(schedule: Schedule, *, until: float) -> set[float]:
    months = itertools.pairwise([NEW_YEAR + n * 30 * DAY for n in range(30)])
    found = {
        slot.at
        for since, end in months
        for slot in slots_between(schedule, since=since, until=min(end, until), machine_timezone="UTC")
    }
    assert len(found) > 40
    return found


def test_without_jumps_every_slot_of_two_years_fires_exactly_once() -> None:
    for timezone in ZONES:
        world = World(nightly(cron="30 2 * * *", timezone=timezone), ledger=Ledger(until=NEW_YEAR))

        world.go_on(TWO_YEARS)

        assert set(world.fired) == all_slots(world.schedule, until=world.now)
        assert set(world.fired.values()) == {1}
        assert len(world.fired) == 730
        assert world.accounted == set()
