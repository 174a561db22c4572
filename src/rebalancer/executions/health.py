"""How every schedule fares: what it did last, what comes next, what was missed, and what speaks against it."""

from collections.abc import Sequence
from enum import Enum

from msgspec import Struct

from rebalancer.errors import ExitCode
from rebalancer.executions.claims import newest_slot
from rebalancer.executions.due import ON_TIME
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.schedules.manager import is_suspended
from rebalancer.schedules.schedule import Schedule, Suspension
from rebalancer.schedules.slots import Slot, slots_between
from rebalancer.schedules.upcoming import upcoming


class Condition(Enum):
    """How a schedule fares, in one word; the first that applies."""

    DISABLED = "disabled"
    SUSPENDED = "suspended"
    MISSING = "missing runs"  #: slots have passed and nothing is recorded of them: nothing starts it
    FAILING = "failing"  #: its last run failed
    WAITING = "waiting"  #: it has not run yet
    HEALTHY = "healthy"


class ScheduleHealth(Struct, frozen=True, kw_only=True):
    """One schedule's health; times are seconds since 1970 (UTC), None for what never was."""

    schedule_id: str
    name: str
    condition: Condition
    last_success_time: float | None
    last_run_time: float | None  # of the last execution that really ran
    last_run_status: ExecutionStatus | None
    last_run_message: str
    last_record_time: float | None  # also of a firing that did not run
    last_record_cause: str
    last_record_message: str
    next_run: Slot | None
    missed_runs: int  # slots since the last record that nothing is recorded of
    missed_since: str  # the first of them; empty when there is none
    suspension: Suspension | None
    holding: str  # what its active execution waits for; empty when none does
    cron_line: bool | None  # whether its crontab line is in force; None: the crontab cannot be read
    warnings: tuple[str, ...]


def health_of(
    schedule: Schedule,
    executions: Sequence[ScheduleExecution],
    *,
    now: float,
    machine_timezone: str,
    last_success_time: float | None = None,
    holding: str = "",
    cron_line: bool | None = None,
    warnings: Sequence[str] = (),
) -> ScheduleHealth:
    """Judge a schedule by its newest executions (newest first); ``last_success_time`` where they do not reach back.

    ``holding`` is what keeps its active execution from working; ``warnings`` are what is known besides, such as what `lint` says.
    """
    ran = [one for one in executions if one.exit_code != ExitCode.NOT_NOW]
    succeeded = [one.end_time or one.start_time for one in ran if one.status is ExecutionStatus.COMPLETED]
    last, newest = next(iter(ran), None), next(iter(executions), None)
    missed = _missed(schedule, executions, now=now, machine_timezone=machine_timezone)
    return ScheduleHealth(
        schedule_id=schedule.schedule_id,
        name=schedule.name,
        condition=_condition(schedule, last, is_missing=bool(missed), now=now),
        last_success_time=max([*succeeded, last_success_time or 0.0]) or None,
        last_run_time=last.start_time if last is not None else None,
        last_run_status=last.status if last is not None else None,
        last_run_message=last.error_message if last is not None else "",
        last_record_time=newest.start_time if newest is not None else None,
        last_record_cause=newest.cause if newest is not None else "",
        last_record_message=newest.error_message if newest is not None else "",
        next_run=next(iter(upcoming(schedule, now=now, count=1, machine_timezone=machine_timezone)), None),
        missed_runs=len(missed),
        missed_since=missed[0].local if missed else "",
        suspension=schedule.suspension if is_suspended(schedule, now=now) else None,
        holding=holding,
        cron_line=cron_line,
        warnings=tuple(warnings),
    )


def is_enough(newest: Sequence[ScheduleExecution]) -> bool:
    """Return whether some of a schedule's newest executions say the same of its health as all of them do.

    So it is when one of them succeeded, and one stands for a slot that came after every older one had begun.
    """
    slot = newest_slot(newest)
    has_succeeded = any(one.status is ExecutionStatus.COMPLETED and one.exit_code != ExitCode.NOT_NOW for one in newest)
    return has_succeeded and slot is not None and slot.at >= newest[-1].start_time


def _condition(schedule: Schedule, last: ScheduleExecution | None, *, is_missing: bool, now: float) -> Condition:
    if not schedule.enabled:
        return Condition.DISABLED
    if is_suspended(schedule, now=now):
        return Condition.SUSPENDED
    if is_missing:
        return Condition.MISSING
    if last is None:
        return Condition.WAITING
    return Condition.FAILING if last.status is ExecutionStatus.FAILED else Condition.HEALTHY


def _missed(
    schedule: Schedule, executions: Sequence[ScheduleExecution], *, now: float, machine_timezone: str
) -> list[Slot]:
    """Return the slots since the newest recorded one, or since the schedule's last change, that left no record."""
    recorded = newest_slot(executions)
    since = max(schedule.updated_at, recorded.at if recorded is not None else 0.0)
    if not schedule.enabled or not 0.0 < since < now:
        return []
    return list(slots_between(schedule, since=since, until=now - ON_TIME, machine_timezone=machine_timezone))
