"""How a schedule fares, judged from its records and the time."""

from pathlib import Path

import pytest
from msgspec import structs
from records_lab import execution, folders_in, index_in, running

from rebalancer.engine import Engine
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.health import Condition, ScheduleHealth, health_of
from rebalancer.executions.totals import Lifetime, save_lifetime, totals_of
from rebalancer.schedules.schedule import Schedule, Suspension
from rebalancer.schedules.slots import slot_at
from rebalancer.settings import Settings

DAY, HOUR = 86400.0, 3600.0
MIDNIGHT = 1_795_392_000.0  # 2026-11-23, UTC
NIGHTLY = Schedule(schedule_id="nightly", cron="0 3 * * *", timezone="UTC", updated_at=MIDNIGHT - 30 * DAY)


def night(days_ago: int, status: ExecutionStatus = ExecutionStatus.COMPLETED, **values: object) -> ScheduleExecution:
    at = MIDNIGHT - days_ago * DAY + 3 * HOUR
    known = {
        "execution_id": f"e{days_ago}",
        "schedule_id": "nightly",
        "start_time": at + 5,
        "end_time": at + 600,
        "status": status,
        "exit_code": 0 if status is ExecutionStatus.COMPLETED else 1,
        "slot": slot_at(at, "UTC").local,
    }
    return ScheduleExecution(**{**known, **values})  # type: ignore[arg-type]


def judged(schedule: Schedule, *executions: ScheduleExecution, hour: float = 12) -> ScheduleHealth:
    return health_of(schedule, executions, now=MIDNIGHT + hour * HOUR, machine_timezone="UTC")


def test_a_schedule_that_ran_last_night_is_healthy() -> None:
    health = judged(NIGHTLY, night(0), night(1))

    assert health.condition is Condition.HEALTHY
    assert health.last_success_time == MIDNIGHT + 3 * HOUR + 600
    assert (health.missed_runs, health.missed_since) == (0, "")
    assert health.next_run == slot_at(MIDNIGHT + DAY + 3 * HOUR, "UTC")


def test_slots_that_left_no_record_are_counted_from_the_last_record_on() -> None:
    health = judged(NIGHTLY, night(3), night(9))

    assert health.condition is Condition.MISSING
    assert (health.missed_runs, health.missed_since) == (3, "2026-11-21T03:00:00+00:00")
    assert judged(NIGHTLY, night(1), hour=3.1).missed_runs == 0  # it may still be on time
    assert judged(NIGHTLY, night(1), hour=3.2).missed_runs == 1


def test_a_schedule_without_records_is_expected_from_its_last_change_on() -> None:
    assert judged(structs.replace(NIGHTLY, updated_at=MIDNIGHT + 4 * HOUR)).condition is Condition.WAITING
    assert judged(structs.replace(NIGHTLY, updated_at=MIDNIGHT - 2 * DAY)).missed_runs == 3
    assert judged(structs.replace(NIGHTLY, updated_at=0.0)).missed_runs == 0


def test_a_failure_is_told_with_the_last_success() -> None:
    health = judged(NIGHTLY, night(0, ExecutionStatus.FAILED, error_message="disk2 is full"), night(1))

    assert health.condition is Condition.FAILING
    assert (health.last_run_status, health.last_run_message) == (ExecutionStatus.FAILED, "disk2 is full")
    assert health.last_success_time == MIDNIGHT - DAY + 3 * HOUR + 600


def test_a_firing_that_did_not_run_is_no_run_but_counts_as_recorded() -> None:
    skipped = night(0, ExecutionStatus.CANCELLED, exit_code=75, cause="overlap")

    health = judged(NIGHTLY, skipped, night(1))

    assert health.condition is Condition.HEALTHY
    assert (health.last_run_time, health.last_record_cause) == (MIDNIGHT - DAY + 3 * HOUR + 5, "overlap")
    assert health.missed_runs == 0


def test_a_run_by_hand_does_not_hide_a_missed_night() -> None:
    by_hand = night(0, slot="", start_time=MIDNIGHT + 10 * HOUR)

    assert judged(NIGHTLY, by_hand, night(1)).missed_runs == 1


def test_a_rest_is_told_with_who_and_why_and_ends_by_itself() -> None:
    suspension = Suspension(reason="parity check", actor="me", since=MIDNIGHT, until=MIDNIGHT + 20 * HOUR)
    resting = structs.replace(NIGHTLY, suspension=suspension)

    health = judged(resting, night(0))

    assert (health.condition, health.suspension) == (Condition.SUSPENDED, suspension)
    assert judged(resting, night(0), hour=21).condition is Condition.HEALTHY
    assert judged(structs.replace(NIGHTLY, enabled=False), night(5)).condition is Condition.DISABLED
    assert judged(structs.replace(NIGHTLY, enabled=False), night(5)).missed_runs == 0


@pytest.mark.parametrize(
    "spoilt", ["nothing", "failed for weeks", "by hand for weeks", "held for weeks", "removed records", "no records"]
)
def test_the_few_newest_records_say_the_same_of_health_as_all_of_them(spoilt: str, tmp_path: Path) -> None:
    engine = Engine(folders=folders_in(tmp_path), settings=Settings(), root=tmp_path)
    changes: dict[str, dict[str, object]] = {
        "failed for weeks": {"status": ExecutionStatus.FAILED, "exit_code": 1, "error_message": "disk2 is full"},
        "by hand for weeks": {"slot": ""},
        "held for weeks": {"status": ExecutionStatus.CANCELLED, "exit_code": 75, "cause": "held"},
    }
    last_success = ScheduleExecution(execution_id="old", schedule_id="nightly", start_time=MIDNIGHT - 90 * DAY, status=ExecutionStatus.COMPLETED)  # fmt: skip
    if spoilt == "removed records":
        save_lifetime(engine.folders.statistics, Lifetime(schedule_id="nightly", totals=totals_of(last_success)))
    else:
        for days_ago in range(0 if spoilt != "no records" else 20, 20):
            engine.index.store.save(night(days_ago, **(changes.get(spoilt, {}) if days_ago < 15 else {})))  # type: ignore[arg-type]
    now = MIDNIGHT + 12 * HOUR
    statistics = engine.index.statistics("nightly")
    by_all = health_of(
        NIGHTLY,
        engine.index.latest("nightly", count=50),
        now=now,
        machine_timezone=engine.timezone,
        last_success_time=statistics.last_success_time if statistics is not None else None,
    )

    (found,) = engine.health([NIGHTLY], now=now)

    assert structs.replace(found, cron_line=None, warnings=()) == by_all
    assert (by_all.last_success_time is None) == (spoilt == "no records")


def test_the_newest_of_several_schedules_are_those_of_each(tmp_path: Path) -> None:
    index = index_in(folders_in(tmp_path))
    for number in range(12):
        index.store.save(execution(number, schedule_id=f"s{number % 2}"))
    index.store.save(running(20, schedule_id="s1"))
    (index.folders.executions / f"{10:08d}-s0-abc.json").write_text("{")  # in place: its folder does not tell

    found = index.newest_of_each(["s0", "s1", "s2"], count=3)

    assert found == {one: index.latest(one, count=3) for one in ("s0", "s1", "s2")}
    assert [len(some) for some in found.values()] == [3, 3, 0]
