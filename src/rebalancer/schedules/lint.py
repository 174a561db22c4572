"""What this machine's cron daemon would make of an expression, where that is not what is meant."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from enum import Enum

from msgspec import Struct

from rebalancer.schedules.daemons import Daemon, which_daemon
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.slots import Slot, days_of, days_of_change, is_moved, next_slots, slots_between
from rebalancer.schedules.zones import zone

__all__ = ["Daemon", "Deviation", "deviations", "lint", "which_daemon"]

_ANY_TIME = 1_700_000_000.0  # seconds since 1970
_AHEAD = 800  # days searched for the first wrong firing: two changes of the clocks and every month twice


class Effect(Enum):
    """How a firing goes wrong."""

    NEVER = "would never fire"
    MISSING = "would not fire"
    EXTRA = "would also fire"
    TWICE = "would fire twice"
    UNSURE = "may not fire as meant"


class Deviation(Struct, frozen=True):
    """One way in which a daemon departs from the expression; ``first`` is the first wrong date, empty when unknown."""

    effect: Effect
    reason: str
    first: str = ""

    @property
    def loses_slots(self) -> bool:
        """Whether slots are lost unless the daemon asks more often than the expression says."""
        return self.effect in {Effect.NEVER, Effect.MISSING, Effect.UNSURE}


def lint(schedule: Schedule, *, daemon: Daemon, machine_timezone: str, now: float | None = None) -> list[str]:
    """Return sentences about what the daemon would do differently; none when it does as meant.

    With ``now`` (seconds since 1970) they name the date of the first wrong firing. The crontab line that `CronManager`
    writes is safe all the same: it makes the daemon ask more often, and the program decides.
    """
    if daemon is Daemon.NONE:
        return ["no cron daemon is installed here; keep the built-in clock running: unraid-rebalancer serve"]
    return [
        f"{daemon.value} {one.effect.value}{f' on {one.first}' if one.first else ''}: {one.reason}; {_remedy(one)}"
        for one in deviations(schedule, daemon=daemon, machine_timezone=machine_timezone, now=now)
    ]


def deviations(schedule: Schedule, *, daemon: Daemon, machine_timezone: str, now: float | None) -> list[Deviation]:
    """Return every way in which the daemon would depart from the expression written as it is in its crontab."""
    timezone = schedule.timezone or machine_timezone
    days = _about_days(schedule, daemon, timezone, now)
    return [*days, *_about_months(schedule, daemon, timezone, now), *_about_clocks(schedule, daemon, timezone, now)]


def _remedy(deviation: Deviation) -> str:
    if deviation.loses_slots:
        return "so its crontab line asks every hour and the program decides"
    return "the program recognises that and does nothing then"


def _about_days(schedule: Schedule, daemon: Daemon, timezone: str, now: float | None) -> Iterator[Deviation]:
    _minute, _hour, day, _month, weekday = schedule.cron.split()
    if day == "*" or weekday == "*":
        return
    both = "the day of the month and the day of the week are both given"
    if daemon is Daemon.DCRON_4_5:
        yield Deviation(Effect.NEVER, both, _date_of(_next(schedule, timezone, now)))
    elif daemon in {Daemon.DCRON_4_6, Daemon.SYSTEMD}:
        yield Deviation(Effect.UNSURE, both, _date_of(_next(schedule, timezone, now)))
    elif daemon is Daemon.BUSYBOX and (day.startswith("*") or weekday.startswith("*")):
        reason = "it takes days that match either field, where the * of one of them asks for both"
        yield Deviation(Effect.EXTRA, reason, _first_extra_day(schedule, timezone, now))


def _about_months(schedule: Schedule, daemon: Daemon, timezone: str, now: float | None) -> Iterator[Deviation]:
    minute, hour, day, month, weekday = schedule.cron.split()
    if daemon is not Daemon.DCRON_4_6 or month.startswith("*"):
        return
    reason = "it ignores the month"
    if now is None:
        yield Deviation(Effect.EXTRA, reason)
        return
    every_month = f"{minute} {hour} {day} * {weekday}"
    meant = days_of(schedule.cron)
    fired = (one for one in _days_ahead(timezone, now) if days_of(every_month)(one) and not meant(one))
    yield Deviation(Effect.EXTRA, reason, str(next(fired, "")))


def _about_clocks(schedule: Schedule, daemon: Daemon, timezone: str, now: float | None) -> Iterator[Deviation]:
    """Times of day that are skipped or come twice when clocks change; a minute or hour of ``*`` is meant to follow."""
    minute, hour, *_days = schedule.cron.split()
    if daemon.knows_clock_changes or minute.startswith("*") or hour.startswith("*"):
        return
    skipped, doubled = _clock_changes(schedule, timezone, now)
    if skipped:
        yield Deviation(
            Effect.MISSING, f"clocks skip that time of day in {timezone}", skipped if now is not None else ""
        )
    if doubled:
        yield Deviation(Effect.TWICE, f"that time of day comes twice in {timezone}", doubled if now is not None else "")


def _clock_changes(schedule: Schedule, timezone: str, now: float | None) -> tuple[str, str]:
    """Return the first dates on which a slot is moved out of a skipped hour, and lies in an hour that comes twice."""
    skipped = doubled = ""
    # without `now` any two years do: the question is whether clocks change at that time of day at all
    for begin, end in days_of_change(timezone, since=_ANY_TIME if now is None else now, days=_AHEAD):
        slots = slots_between(schedule, since=begin - 1, until=end - 1, machine_timezone=timezone)
        for slot in slots:
            if is_moved(slot, schedule.cron):
                skipped = skipped or _date_of(slot)
            elif _comes_twice(slot, timezone):
                doubled = doubled or _date_of(slot)
    return skipped, doubled


def _comes_twice(slot: Slot, timezone: str) -> bool:
    moment = datetime.fromtimestamp(slot.at, zone(timezone))
    second = moment.replace(fold=1)
    return moment.fold == 0 and (second.utcoffset() or timedelta()) < (moment.utcoffset() or timedelta())


def _first_extra_day(schedule: Schedule, timezone: str, now: float | None) -> str:
    if now is None:
        return ""
    minute, hour, day, month, weekday = schedule.cron.split()
    meant = days_of(schedule.cron)
    either = [days_of(f"{minute} {hour} {day} {month} *"), days_of(f"{minute} {hour} * {month} {weekday}")]
    fired = (one for one in _days_ahead(timezone, now) if not meant(one) and any(field(one) for field in either))
    return str(next(fired, ""))


def _days_ahead(timezone: str, now: float) -> Iterator[date]:
    today = datetime.fromtimestamp(now, zone(timezone)).date()
    return (today + timedelta(days=n) for n in range(_AHEAD))


def _next(schedule: Schedule, timezone: str, now: float | None) -> Slot | None:
    if now is None:
        return None
    return next(iter(next_slots(schedule, after=now, count=1, machine_timezone=timezone)), None)


def _date_of(slot: Slot | None) -> str:
    return slot.local[:10] if slot is not None else ""
