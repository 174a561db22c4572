"""Sums over executions that can be added up in any order, and the file in which those of removed records live on."""

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct, structs

from rebalancer import names, records
from rebalancer.errors import DamagedRecordError, NotFoundError, RefusedError
from rebalancer.executions import checking
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.state import ensure

_LATEST = ("longest_seconds", "last_start", "last_success", "last_failure")  # the larger one counts


class Totals(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Counts, sums and extremes; times are starts in seconds since 1970 (UTC), 0.0 when there is none."""

    active: int = 0  # pending or running
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    suspended: int = 0
    ran: int = 0  # those that worked: only they count for durations
    duration_seconds: float = 0.0
    files_moved: int = 0
    bytes_moved: int = 0
    longest_seconds: float = 0.0
    first_start: float = 0.0
    last_start: float = 0.0
    last_success: float = 0.0
    last_failure: float = 0.0


class Lifetime(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a schedule's removed records.

    ``removing`` are records that are counted here although they may still be there: they were about to be removed.
    """

    schedule_id: str
    totals: Totals = Totals()
    removing: tuple[str, ...] = ()


def totals_of(execution: ScheduleExecution) -> Totals:
    """Return the totals of one execution."""
    status, start = execution.status, execution.start_time
    counted = {"active" if not status.is_final else status.value: 1}
    return Totals(
        **counted,
        ran=int(execution.duration_seconds > 0),
        duration_seconds=execution.duration_seconds,
        files_moved=execution.files_moved,
        bytes_moved=execution.bytes_moved,
        longest_seconds=execution.duration_seconds,
        first_start=start,
        last_start=start,
        last_success=start if status is ExecutionStatus.COMPLETED else 0.0,
        last_failure=start if status is ExecutionStatus.FAILED else 0.0,
    )


def added(all_totals: Iterable[Totals]) -> Totals:
    """Return the totals of everything that the given ones count."""
    values: dict[str, float] = {}
    for totals in all_totals:
        for name, value in structs.asdict(totals).items():
            values[name] = _joined(name, values.get(name, 0), value)
    return Totals(**values)  # type: ignore[arg-type]  # whole numbers stay whole when they are added


def load_lifetime(folder: Path, schedule_id: str) -> Lifetime:
    """Return what lives on of a schedule's removed records; raises DamagedRecordError."""
    path = path_of(folder, schedule_id)
    try:
        lifetime = records.read(path, Lifetime)
    except NotFoundError:
        return Lifetime(schedule_id=schedule_id)
    if lifetime.schedule_id != schedule_id:
        raise DamagedRecordError(str(path), "it holds the statistics of another schedule")
    if any(not 0 <= value < 2**80 for value in structs.asdict(lifetime.totals).values()):
        raise DamagedRecordError(str(path), "a figure is negative or too large")
    return lifetime


def save_lifetime(folder: Path, lifetime: Lifetime) -> None:
    """Write durably; raises RefusedError when the state folder cannot take it."""
    ensure(folder)
    try:
        records.write(path_of(folder, lifetime.schedule_id), lifetime)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise RefusedError(f"the statistics cannot be written to {folder}: {reason}") from error


def path_of(folder: Path, schedule_id: str) -> Path:
    if not checking.is_id(schedule_id):
        raise NotFoundError(f"there is no schedule {names.display(schedule_id)}")
    return folder / f"{schedule_id}.json"


def _joined(name: str, one: float, other: float) -> float:
    if name in _LATEST:
        return max(one, other)
    if name == "first_start":
        return min(one, other) if one and other else one or other
    return one + other
