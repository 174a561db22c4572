"""How a schedule fares, judged from its records and the time."""

from msgspec import structs

from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.health import Condition, ScheduleHealth, health_of
from rebalancer.schedules.schedule import Schedule, Suspension
from rebalancer.schedules.slots import slot_at

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
