"""Records made up for tests, and statistics counted the naive way."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rebalancer.executions.current import Machine
from rebalancer.executions.execution import ExecutionStatus, ProcessIdentity, ScheduleExecution
from rebalancer.executions.index import Index
from rebalancer.state import StateFolders

NOW = 1_800_000_000.0
DAY = 86400.0
LIVING = ProcessIdentity(boot_id="this boot", pid_namespace=7, pid=4242, start_ticks=99, token="t")  # noqa: S106 - no secret
DEAD = ProcessIdentity(boot_id="this boot", pid_namespace=7, pid=4343, start_ticks=99, token="t")  # noqa: S106 - no secret
FINAL = [status for status in ExecutionStatus if status.is_final]


def machine() -> Machine:
    """A machine on which one process lives."""
    return Machine(boot_id="this boot", pid_namespace=7, is_alive=lambda identity: identity == LIVING)


def folders_in(folder: Path) -> StateFolders:
    return StateFolders(config=folder / "config", runtime_root=folder / "runtime")


def index_in(folders: StateFolders, now: float = NOW) -> Index:
    return Index(folders, clock=lambda: now, machine=machine)


def execution(
    number: int = 0, *, status: ExecutionStatus = ExecutionStatus.COMPLETED, **fields: Any
) -> ScheduleExecution:
    """Return the record of an execution that started ``number`` seconds after others; it ran for 10 s when it has ended."""
    schedule_id = fields.pop("schedule_id", "nightly")
    start = fields.pop("start_time", NOW - 1000 + number)
    ended: dict[str, Any] = {"end_time": start + 10, "duration_seconds": 10.0} if status.is_final else {}
    return ScheduleExecution(
        execution_id=f"{number:08d}-{schedule_id}-abc",
        schedule_id=schedule_id,
        start_time=start,
        status=status,
        **{**ended, **fields},
    )


def running(number: int = 0, process: ProcessIdentity | None = LIVING, **fields: Any) -> ScheduleExecution:
    return execution(number, status=ExecutionStatus.RUNNING, process=process, **fields)


def plant(folders: StateFolders, name: str, content: object) -> Path:
    """Write a file among the records: bytes as they are, anything else as JSON."""
    folders.executions.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folders.executions / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def document_of(one: ScheduleExecution, **changes: object) -> dict[str, object]:
    return {**asdict(one), "status": one.status.value, **changes}


def recount(executions: Iterable[ScheduleExecution]) -> dict[str, object]:
    """Count one schedule's executions as somebody would who reads the specification."""
    all_of_them = list(executions)
    ran = [one.duration_seconds for one in all_of_them if one.duration_seconds > 0]

    def starts(*statuses: ExecutionStatus) -> list[float]:
        return [one.start_time for one in all_of_them if one.status in statuses]

    return {
        "total_executions": len(all_of_them),
        "successful_executions": len(starts(ExecutionStatus.COMPLETED)),
        "failed_executions": len(starts(ExecutionStatus.FAILED)),
        "cancelled_executions": len(starts(ExecutionStatus.CANCELLED)),
        "last_execution_time": max(starts(*ExecutionStatus), default=None),
        "last_success_time": max(starts(ExecutionStatus.COMPLETED), default=None),
        "last_failure_time": max(starts(ExecutionStatus.FAILED), default=None),
        "average_duration_seconds": sum(ran) / len(ran) if ran else 0.0,
        "total_files_moved": sum(one.files_moved for one in all_of_them),
        "total_bytes_moved": sum(one.bytes_moved for one in all_of_them),
    }


def counted(index: Index, schedule_id: str = "nightly") -> dict[str, object]:
    """Return the same figures as `recount`, from the index; nothing known counts as nothing."""
    statistics = index.statistics(schedule_id)
    names = recount([])
    if statistics is None:
        return names
    return {name: getattr(statistics, name) for name in names}


def files_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


def fill(disk: Path) -> None:
    """Write until nothing more fits."""
    with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
