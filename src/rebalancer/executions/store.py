"""The records of executions: one file each, the truth about what ran."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from rebalancer import names, records
from rebalancer.errors import DamagedRecordError, NotFoundError, RefusedError
from rebalancer.executions import checking
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.state import ensure
from rebalancer.turns import turn_at

DAMAGED = "damaged"  # the folder, beside the records, for files that cannot be believed
SUFFIX = ".json"
LEFT_BEHIND = re.compile(r"\..+\.[0-9a-f]{8}\.tmp", re.ASCII)  # what a killed `records.write` leaves

_PATIENCE = 2.0  # seconds; a record is written even when a stopped process keeps its turn

Stamp = tuple[
    int, int, int
]  # device, inode and change time of the folder: another one when a file came, went or changed


class Follower(Protocol):
    """What is derived from the records and told of each change: see `rebalancer.executions.index`."""

    def follow(self, execution: ScheduleExecution, *, before: Stamp, after: Stamp) -> None: ...

    def forget(self, execution_ids: Sequence[str], *, before: Stamp, after: Stamp) -> None: ...


def new_id(schedule_id: str, *, now: float) -> str:
    """Return a name that sorts by time and holds no character that a FAT stick refuses."""
    return f"{_stamp(now)}-{schedule_id}-{os.urandom(3).hex()}"


def new_operation_id(*, now: float) -> str:
    return f"{_stamp(now)}-{os.urandom(4).hex()}"


@dataclass(frozen=True, slots=True)
class ExecutionStore:
    """Reads and writes ``{folder}/{execution_id}.json``; writers take turns, readers wait for nobody."""

    folder: Path
    follower: Follower | None = None  # None: whoever derives something finds the change by itself, more slowly

    def save(self, execution: ScheduleExecution) -> None:
        """Write one record durably; raises RefusedError when the state folder cannot take it."""
        path = self.path_of(execution.execution_id)
        ensure(self.folder)
        with turn_at(self.folder, patience=_PATIENCE) as is_ours:
            self._write(path, execution, is_ours=is_ours)

    def update(self, execution: ScheduleExecution, *, seen: ScheduleExecution) -> bool:
        """Write a record only if its file still says what was seen; returns whether it did.

        Raises RefusedError when the file does say that but cannot be written.
        """
        path = self.path_of(execution.execution_id)
        with turn_at(self.folder, patience=_PATIENCE) as is_ours:
            if not is_ours or not self._still_says(seen):
                return False
            self._write(path, execution, is_ours=True)
        return True

    def remove(self, execution_ids: Sequence[str]) -> None:
        """Remove records durably; those that are gone already are passed over.

        Raises RefusedError when the state folder does not let go of them.
        """
        with turn_at(self.folder, patience=_PATIENCE) as is_ours, _changeable(self.folder):
            before = self.stamp()
            for execution_id in execution_ids:
                self.path_of(execution_id).unlink(missing_ok=True)
            records.sync_folder(self.folder)
            if is_ours and self.follower is not None:
                self.follower.forget(execution_ids, before=before, after=self.stamp())

    def set_aside(self, name: str) -> str:
        """Move a file that cannot be believed into ``damaged/``; returns why, nothing when it is none any more.

        Raises RefusedError when the state folder does not let it be moved.
        """
        with turn_at(self.folder, patience=_PATIENCE), _changeable(self.folder):
            if reason := self.fault_of(name):
                move_aside(self.folder / name)
        return reason

    def load(self, execution_id: str) -> ScheduleExecution:
        """Return one record; raises NotFoundError or DamagedRecordError."""
        path = self.path_of(execution_id)
        try:
            data = records.read_bytes(path)
        except NotFoundError as error:
            raise NotFoundError(f"there is no execution {names.display(execution_id)}") from error
        return checking.decode(data, execution_id=execution_id, path=str(path))

    def names(self) -> list[str]:
        """Return the ids of all executions, newest first; raises RefusedError when the folder cannot be read."""
        stems = [name.removesuffix(SUFFIX) for name in self.file_names() if name.endswith(SUFFIX)]
        return sorted(filter(checking.is_id, stems), reverse=True)

    def all(self) -> Iterator[ScheduleExecution]:
        """Yield every record that can be believed, newest first; `damaged` names the others."""
        for execution_id in self.names():
            try:
                yield self.load(execution_id)
            except (DamagedRecordError, NotFoundError):
                continue

    def damaged(self) -> list[tuple[str, str]]:
        """Return name and reason of every file that should be a record and cannot be believed."""
        named = filter(is_record_name, sorted(self.file_names()))
        return [(name, reason) for name in named if (reason := self.fault_of(name))]

    def fault_of(self, name: str) -> str:
        """Return why the file of that name cannot be believed; nothing when it can, or is gone."""
        try:
            self.load_file(name)
        except DamagedRecordError as error:
            return error.reason
        except NotFoundError:
            return ""
        return ""

    def load_file(self, name: str) -> ScheduleExecution:
        """Return the record in the file of that name; raises NotFoundError or DamagedRecordError."""
        stem = name.removesuffix(SUFFIX)
        if not checking.is_id(stem):
            raise DamagedRecordError(names.display(str(self.folder / name)), "its name is not that of an execution")
        return self.load(stem)

    def file_names(self) -> list[str]:
        """Return the names of everything in the folder; raises RefusedError when it cannot be read."""
        return list(map(os.fsdecode, self.raw_names()))

    def raw_names(self) -> list[bytes]:
        with _readable(self.folder):
            return os.listdir(os.fsencode(self.folder))
        return []

    def stamp(self) -> Stamp:
        """Return what changes with every file that comes, goes or is replaced; zeros when there is no folder."""
        with _readable(self.folder):
            status = os.stat(self.folder)
            return status.st_dev, status.st_ino, status.st_mtime_ns
        return 0, 0, 0

    def path_of(self, execution_id: str) -> Path:
        if not checking.is_id(execution_id):
            raise NotFoundError(f"there is no execution {names.display(execution_id)}")
        return self.folder / f"{execution_id}{SUFFIX}"

    def _still_says(self, seen: ScheduleExecution) -> bool:
        try:
            return self.load(seen.execution_id) == seen
        except (DamagedRecordError, NotFoundError):
            return False

    def _write(self, path: Path, execution: ScheduleExecution, *, is_ours: bool) -> None:
        before = self.stamp()
        try:
            records.write(path, _fitting(execution))
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise RefusedError(f"the record of the execution cannot be written to {self.folder}: {reason}") from error
        if is_ours and self.follower is not None:
            self.follower.follow(execution, before=before, after=self.stamp())


def is_record_name(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


def _fitting(execution: ScheduleExecution) -> ScheduleExecution:
    """Leave out files that stayed until the record is small enough to be read again; they remain counted."""
    while execution.left and len(records.encode(execution)) > records.RECORD_LIMIT:
        execution = replace(execution, left=execution.left[: len(execution.left) // 2])
    return execution


def move_aside(path: Path) -> None:
    """Move a file, whatever it is, into the folder ``damaged`` beside it, over nothing that is there already."""
    folder = ensure(path.parent / DAMAGED)
    target, number = folder / path.name, 1
    while os.path.lexists(target):
        target, number = folder / f"{path.name}.{number}", number + 1
    path.rename(target)
    records.sync_folder(folder)
    records.sync_folder(path.parent)


@contextmanager
def _changeable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise RefusedError(f"the records in {folder} cannot be changed: {reason}") from error


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Treat a folder that is missing as empty; raise RefusedError for one that cannot be read."""
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise RefusedError(f"the records in {folder} cannot be read: {reason}") from error


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
