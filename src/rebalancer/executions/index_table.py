"""Keeping the index in step with the records: told of each change, or by looking at the folder."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from rebalancer.errors import DamagedRecordError, NotFoundError
from rebalancer.executions import checking
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.index_file import Tables
from rebalancer.executions.index_query import forget_figures
from rebalancer.executions.store import SUFFIX, ExecutionStore, Stamp, is_record_name

_GRAIN = 2.5  # seconds; a FAT folder tells changes apart that lie 2 s from each other, any other one sooner

_Seen = tuple[int, int]  # time of change and size of a file
NO_STAMP: Stamp = (-1, -1, -1)


@dataclass(frozen=True, slots=True)
class Known:
    """What the index knows of the folder as a whole."""

    stamp: Stamp = NO_STAMP
    is_settled: bool = False  # nothing can have changed without changing the stamp
    names: int = 0  # a sum over the names of all files


def is_in_step(tables: Tables, store: ExecutionStore, *, now: float) -> bool:
    """Return whether the index still says what the records say; looks at names only when time stamps are too coarse."""
    known, stamp = known_folder(tables.database), store.stamp()
    if known.stamp != stamp:
        return False
    if known.is_settled:
        return True
    if known.names != sum_of(store.raw_names()):
        return False
    if now > stamp[2] / 1e9 + _GRAIN:
        with tables.changing() as database:
            _note_folder(database, Known(stamp, is_settled=True, names=known.names))
    return True


def reconcile(tables: Tables, store: ExecutionStore, *, now: float) -> None:
    """Bring the index in step with the records; files that are as they were are not read again."""
    stamp = store.stamp()
    with tables.changing() as database:
        forget_figures(database)
        names = sum_of(store.raw_names())
        known = _known_files(database)
        for raw, seen in _record_files(store.folder):
            if known.pop(raw, None) != seen:
                _take_in(database, store, raw, seen)
        for raw in known:
            _drop(database, raw)
        is_settled = now > stamp[2] / 1e9 + _GRAIN
        _note_folder(database, Known(stamp, is_settled=is_settled, names=names))


def follow(tables: Tables, store: ExecutionStore, execution: ScheduleExecution, *, change: tuple[Stamp, Stamp]) -> None:
    """Take in one record that was just written; ``change`` is the folder's stamp before and after."""
    raw = f"{execution.execution_id}{SUFFIX}".encode()
    known = known_folder(tables.database)
    status = os.stat(store.path_of(execution.execution_id))
    with tables.changing() as database:
        forget_figures(database)
        is_new = not _drop(database, raw)
        _insert(database, execution, (status.st_mtime_ns, status.st_size))
        if known.stamp == change[0]:
            names = known.names + (crc32(raw) if is_new else 0)
            _note_folder(database, Known(change[1], is_settled=False, names=names))


def forget(tables: Tables, execution_ids: Sequence[str], *, change: tuple[Stamp, Stamp]) -> None:
    """Drop records that were just removed."""
    known = known_folder(tables.database)
    names = known.names
    with tables.changing() as database:
        forget_figures(database)
        for execution_id in execution_ids:
            raw = f"{execution_id}{SUFFIX}".encode()
            names -= crc32(raw) if _drop(database, raw) else 0
        if known.stamp == change[0]:
            _note_folder(database, Known(change[1], is_settled=False, names=names))


def distrust(tables: Tables) -> None:
    """Let the next look read every file again."""
    with tables.changing() as database:
        database.execute("UPDATE execution SET size = -1")
        _note_folder(database, Known())


def known_folder(database: sqlite3.Connection) -> Known:
    row = database.execute("SELECT device, inode, changed, is_settled, names FROM folder").fetchone()
    return Known() if row is None else Known((row[0], row[1], row[2]), is_settled=bool(row[3]), names=row[4])


def sum_of(names: Sequence[bytes]) -> int:
    """Return a number that another set of names hardly ever gives, whatever their order."""
    return sum(map(crc32, names))


def _note_folder(database: sqlite3.Connection, known: Known) -> None:
    database.execute("DELETE FROM folder")
    database.execute("INSERT INTO folder VALUES (?, ?, ?, ?, ?)", (*known.stamp, known.is_settled, known.names))


def _known_files(database: sqlite3.Connection) -> dict[bytes, _Seen]:
    """Return the files that need no second look: final records, and damaged files."""
    known = {}
    for name, modified, size in database.execute("SELECT name, modified, size FROM execution"):
        known[f"{name}{SUFFIX}".encode()] = (modified, size)
    for raw, modified, size in database.execute("SELECT name, modified, size FROM damaged"):
        known[raw] = (modified, size)
    for (name,) in database.execute("SELECT name FROM execution WHERE is_final = 0"):
        known[f"{name}{SUFFIX}".encode()] = (-1, -1)
    return known


def _record_files(folder: Path) -> Iterator[tuple[bytes, _Seen]]:
    try:
        entries = os.scandir(os.fsencode(folder))
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if not is_record_name(os.fsdecode(entry.name)):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield entry.name, (status.st_mtime_ns, status.st_size)


def _take_in(database: sqlite3.Connection, store: ExecutionStore, raw: bytes, seen: _Seen) -> None:
    _drop(database, raw)
    name = os.fsdecode(raw)
    try:
        execution = store.load_file(name)
    except DamagedRecordError as error:
        database.execute("INSERT INTO damaged VALUES (?, ?, ?, ?)", (raw, error.reason, *seen))
    except NotFoundError:
        return
    else:
        _insert(database, execution, seen)


def _insert(database: sqlite3.Connection, execution: ScheduleExecution, seen: _Seen) -> None:
    worked, size = execution.duration_seconds, execution.bytes_moved
    row = (
        execution.execution_id,
        execution.schedule_id,
        execution.status.value,
        execution.status.is_final,
        execution.start_time,
        execution.end_time,
        worked,
        size / worked if worked > 0 else 0.0,
        execution.files_moved,
        size,
        *seen,
    )
    database.execute(f"INSERT INTO execution VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 - only marks


def _drop(database: sqlite3.Connection, raw: bytes) -> bool:
    """Drop what is known of a file; returns whether anything was."""
    stem = os.fsdecode(raw).removesuffix(SUFFIX)
    found = database.execute("DELETE FROM damaged WHERE name = ?", (raw,)).rowcount
    if checking.is_id(stem):
        found += database.execute("DELETE FROM execution WHERE name = ?", (stem,)).rowcount
    return found > 0
