"""A schedule as plain data: when to run, on which disks, with which options, and what to do when it cannot."""

from enum import Enum

from msgspec import Struct

from rebalancer.guards.options import EVERY_GUARD, GuardOptions
from rebalancer.planning.selection import Selection


class Overlap(Enum):
    """What a firing does while an earlier execution of the same schedule still runs."""

    SKIP = "skip"  #: it does not run; a record says so
    QUEUE = "queue"  #: it waits; at most one waits, further ones are skipped
    REPLACE = "replace"  #: the earlier one is cancelled first


class Missed(Enum):
    """What becomes of slots at which the machine was off or the schedule could not fire."""

    SKIP = "skip"  #: nothing runs; a record says what was missed
    RUN_ONCE = "run-once"  #: one run makes up for all of them, if the last is not older than the catch-up window


class Suspension(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a schedule does not fire; times are seconds since 1970 (UTC)."""

    reason: str
    actor: str  # the user who asked, or "automatic"
    since: float
    until: float | None = None  # None: until somebody resumes it


class Schedule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One schedule. Durations in seconds, percents from 0 to 100, times in seconds since 1970 (UTC)."""

    schedule_id: str
    cron: str  # five fields, in the schedule's own time zone
    name: str = ""
    timezone: str = ""  # IANA name; empty: the machine's
    enabled: bool = True
    disks: tuple[str, ...] = ()  # as given to --disk when it was created; empty: discover
    selection: Selection = Selection()
    active_hours: str = ""  # such as 22:00-06:00 or mon-fri 01:00-07:00; empty: always
    above_percent: float | None = None  # run only when a disk is fuller than this
    only_when_idle: bool = False  # wait until the machine has nothing else to do
    guards: GuardOptions = EVERY_GUARD  # which may hold it, and from which value on
    max_wait: int = 6 * 3600  # how long a due execution waits for what holds it
    overlap: Overlap = Overlap.SKIP
    missed: Missed = Missed.SKIP
    catch_up_window: int = 24 * 3600
    jitter: int = 0  # each firing waits a stable part of this, derived from the machine and the schedule
    retries: int = 0
    retry_delay: int = 300  # before the first retry; doubled for each further one
    suspend_after_failures: int = 0  # in a row, of the same cause; 0: never
    keep_days: int = 30  # records older than this are cleaned up after a run
    keep_failed_days: int = 90
    keep_at_least: int = 10  # records, whatever their age
    created_at: float = 0.0
    updated_at: float = 0.0
    suspension: Suspension | None = None
