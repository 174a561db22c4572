"""What is due now and what was missed: decided from the schedule, the ledger of its slots and the time, without I/O."""

from collections.abc import Mapping, Sequence
from enum import Enum

from msgspec import Struct

from rebalancer.errors import ExitCode, UsageError
from rebalancer.executions.claims import Ledger
from rebalancer.executions.execution import Event, ExecutionStatus, ScheduleExecution
from rebalancer.executions.store import new_id
from rebalancer.schedules.schedule import Missed, Schedule
from rebalancer.schedules.slots import NEWEST, Slot, slots_between

ON_TIME = 600.0  # seconds after its slot in which a firing is on time: machines are busy, a start may wait
CLOCK, CATCH_UP = "clock", "catch-up"


class FiredBy(Enum):
    """Who started an execution; everything but a hand stands for a slot."""

    HAND = "hand"
    CRON = "cron"
    CLOCK = "clock"
    CATCH_UP = "catch-up"


class Due(Struct, frozen=True, kw_only=True):
    """One schedule's turn: a run for its newest slot, or only a note that slots were missed."""

    schedule_id: str
    slot: Slot
    fired_by: str  # "clock", "catch-up"; empty: nothing runs
    missed: tuple[Slot, ...] = ()  # older ones that are not made up for; one record tells of them


def due(
    schedules: Sequence[Schedule], ledgers: Mapping[str, Ledger], *, now: float, machine_timezone: str
) -> list[Due]:
    """Return what is to be done now for these schedules; one that cannot be computed is passed over.

    A suspended schedule fires too: the process that is started records why it did not run.
    """
    found = []
    for schedule in schedules:
        try:
            one = decide(
                schedule, ledgers.get(schedule.schedule_id, Ledger()), now=now, machine_timezone=machine_timezone
            )
        except UsageError:  # its file was edited by hand; `schedule health` says so
            continue
        if one is not None:
            found.append(one)
    return found


def decide(schedule: Schedule, ledger: Ledger, *, now: float, machine_timezone: str) -> Due | None:
    """Return what is to be done now for one schedule; None when nothing is.

    Never more than one run, however many slots have passed: the newest one on time, else by the schedule's policy
    one that makes up for all if the newest is not older than the catch-up window. Nothing before the last change
    of the schedule is due.
    """
    if not schedule.enabled:
        return None
    since = _since(schedule, ledger, now)
    between = slots_between(schedule, since=since, until=now, machine_timezone=machine_timezone)
    slots = [slot for slot in between if not ledger.has(slot.at)]
    if not slots:
        return None
    newest, age = slots[-1], now - slots[-1].at
    makes_up = schedule.missed is Missed.RUN_ONCE
    if age <= ON_TIME:
        missed = () if makes_up else tuple(slots[:-1])
        return Due(schedule_id=schedule.schedule_id, slot=newest, fired_by=CLOCK, missed=missed)
    if makes_up and age <= schedule.catch_up_window:
        return Due(schedule_id=schedule.schedule_id, slot=newest, fired_by=CATCH_UP)
    return Due(schedule_id=schedule.schedule_id, slot=newest, fired_by="", missed=tuple(slots))


def missed_record(one: Due, *, now: float) -> ScheduleExecution:
    """Return the record that tells of the missed slots."""
    count = f"{NEWEST:,} runs or more" if len(one.missed) >= NEWEST else _runs(len(one.missed))
    since = f" since {one.missed[0].local}" if len(one.missed) > 1 else f", due at {one.missed[0].local}"
    reason = f"{count} missed{since}: the machine was off, asleep, or nothing was there to start it"
    return ScheduleExecution(
        execution_id=new_id(one.schedule_id, now=now),
        schedule_id=one.schedule_id,
        start_time=now,
        end_time=now,
        status=ExecutionStatus.CANCELLED,
        exit_code=int(ExitCode.NOT_NOW),
        cause="missed",
        error_message=reason,
        slot=one.missed[-1].local,
        fired_by=CLOCK,
        timeline=(Event(one.missed[-1].at, "due", one.missed[-1].local), Event(now, "did not run", reason)),
    )


def _since(schedule: Schedule, ledger: Ledger, now: float) -> float:
    """Return the instant up to which nothing is left to be done."""
    changed = (
        schedule.updated_at if schedule.updated_at <= now else 0.0
    )  # later than now: made while the clock was wrong
    if ledger.until is None:
        return changed or now - ON_TIME
    if ledger.until > now:  # the clock was set back: what comes again and did not fire runs when it is its time
        return max(now - ON_TIME, changed)
    comes_again = now - ledger.until <= ON_TIME and not ledger.has(ledger.until)  # it was noted as missed before that
    return max(ledger.until - 1 if comes_again else ledger.until, changed)


def _runs(count: int) -> str:
    return "1 run was" if count == 1 else f"{count} runs were"
