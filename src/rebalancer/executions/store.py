"""The records of executions: one file each, the truth about what ran."""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rebalancer import names, records
from rebalancer.errors import NotFoundError, RefusedError
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.state import ensure

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,150}", re.ASCII)


def new_id(schedule_id: str, *, now: float) -> str:
    """Return a name that sorts by time and holds no character that a FAT stick refuses."""
    return f"{_stamp(now)}-{schedule_id}-{secrets.token_hex(3)}"


def new_operation_id(*, now: float) -> str:
    return f"{_stamp(now)}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class ExecutionStore:
    """Reads and writes ``{folder}/{execution_id}.json``."""

    folder: Path

    def save(self, execution: ScheduleExecution) -> None:
        """Write one record durably; raises RefusedError when the state folder cannot take it."""
        ensure(self.folder)
        try:
            records.write(self.path_of(execution.execution_id), execution)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise RefusedError(f"the record of the execution cannot be written to {self.folder}: {reason}") from error

    def load(self, execution_id: str) -> ScheduleExecution:
        """Return one record; raises NotFoundError or DamagedRecordError."""
        try:
            execution = records.read(self.path_of(execution_id), ScheduleExecution)
        except NotFoundError as error:
            raise NotFoundError(f"there is no execution {names.display(execution_id)}") from error
        return execution

    def path_of(self, execution_id: str) -> Path:
        if not _ID.fullmatch(execution_id):
            raise NotFoundError(f"there is no execution {names.display(execution_id)}")
        return self.folder / f"{execution_id}.json"


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
