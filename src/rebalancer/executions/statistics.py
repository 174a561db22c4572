"""What a schedule's executions amount to: the specification's figures first, ours behind them."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.totals import Totals

_ENOUGH = 5  # executions that ran, before anything can be called unusual
_UNUSUAL = 1.5  # times as long as most


@dataclass(frozen=True, slots=True)
class ScheduleStatistics:
    """Figures of one schedule over all its executions, also those whose records were cleaned up.

    Times are starts in seconds since 1970 (UTC), durations are seconds of work, sizes are bytes. The medians and
    the 95th percentile are of the records that are still there.
    """

    schedule_id: str
    total_executions: int = 0
    successful_executions: int = 0
    failed_executions: int = 0
    cancelled_executions: int = 0
    last_execution_time: float | None = None  # None: there was none
    last_success_time: float | None = None
    last_failure_time: float | None = None
    average_duration_seconds: float = 0.0  # of the executions that really ran
    total_files_moved: int = 0
    total_bytes_moved: int = 0
    suspended_executions: int = 0
    active_executions: int = 0  # pending or running
    executions_that_ran: int = 0
    first_execution_time: float | None = None
    total_duration_seconds: float = 0.0
    median_duration_seconds: float | None = None  # None: none of those that are still recorded ran
    p95_duration_seconds: float | None = None
    longest_duration_seconds: float = 0.0
    bytes_per_second: float = 0.0  # of all work together
    median_bytes_per_second: float | None = None  # None: none of those that are still recorded moved anything

    @property
    def success_rate(self) -> float:
        """Percent of the ended executions that were successful; 0.0 when none has ended."""
        ended = self.total_executions - self.active_executions
        return 100.0 * self.successful_executions / ended if ended > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Statistics(ScheduleStatistics):
    """The same figures with the percent of the ended executions that were successful, as programs read them."""

    success_rate: float = 0.0  # what is derived of the others, written down


@dataclass(frozen=True, slots=True)
class Spread:
    """How durations (seconds) and speeds (bytes per second) lie; None where there is nothing to lie."""

    median_duration: float | None = None
    p95_duration: float | None = None
    median_speed: float | None = None


def statistics_of(schedule_id: str, totals: Totals, spread: Spread) -> ScheduleStatistics:
    """Return the statistics that follow from the totals."""
    ended = totals.completed + totals.failed + totals.cancelled + totals.suspended
    return ScheduleStatistics(
        schedule_id=schedule_id,
        total_executions=ended + totals.active,
        successful_executions=totals.completed,
        failed_executions=totals.failed,
        cancelled_executions=totals.cancelled,
        last_execution_time=totals.last_start or None,
        last_success_time=totals.last_success or None,
        last_failure_time=totals.last_failure or None,
        average_duration_seconds=totals.duration_seconds / totals.ran if totals.ran else 0.0,
        total_files_moved=totals.files_moved,
        total_bytes_moved=totals.bytes_moved,
        suspended_executions=totals.suspended,
        active_executions=totals.active,
        executions_that_ran=totals.ran,
        first_execution_time=totals.first_start or None,
        total_duration_seconds=totals.duration_seconds,
        median_duration_seconds=spread.median_duration,
        p95_duration_seconds=spread.p95_duration,
        longest_duration_seconds=totals.longest_seconds,
        bytes_per_second=totals.bytes_moved / totals.duration_seconds if totals.duration_seconds else 0.0,
        median_bytes_per_second=spread.median_speed,
    )


def in_full(statistics: ScheduleStatistics) -> Statistics:
    """Return the figures with the success rate."""
    return Statistics(**asdict(statistics), success_rate=statistics.success_rate)


def document(statistics: ScheduleStatistics) -> dict[str, Any]:
    """Return what ``--json`` prints: the fields by name, and the success rate."""
    return asdict(in_full(statistics))


def rank_of(percent: float, count: int) -> int:
    """Return the place, from 0, of a percentile among ``count`` sorted values (nearest rank)."""
    return max(0, math.ceil(percent / 100 * count) - 1)


def is_longer_than_usual(execution: ScheduleExecution, statistics: ScheduleStatistics, *, now: float) -> bool:
    """Return whether an execution takes, or took, unusually long for what it has to move.

    Usual is what 95 of 100 needed, or the time that its bytes take at the median speed when that is more.
    """
    if statistics.executions_that_ran < _ENOUGH or statistics.p95_duration_seconds is None:
        return False
    worked = execution.duration_seconds
    if not execution.status.is_final:
        worked = now - execution.start_time - execution.held_seconds
    size = max(execution.bytes_planned, execution.bytes_moved)
    for_its_bytes = size / statistics.median_bytes_per_second if statistics.median_bytes_per_second else 0.0
    return worked > _UNUSUAL * max(statistics.p95_duration_seconds, for_its_bytes)
