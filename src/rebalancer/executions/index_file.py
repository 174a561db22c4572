"""The file of the index: opened by one process at a time, and made anew whenever it is not what we left."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rebalancer.errors import RebalancerError, RefusedError
from rebalancer.state import ensure
from rebalancer.turns import is_taken

_VERSION = 2  # of the tables; another one makes the index anew
_TABLES = """
CREATE TABLE execution (
    name TEXT PRIMARY KEY, schedule_id TEXT, status TEXT, is_final INT, start REAL, end REAL, duration REAL,
    speed REAL, files INT, bytes INT, modified INT, size INT
) WITHOUT ROWID;
CREATE TABLE damaged (name BLOB PRIMARY KEY, reason TEXT, modified INT, size INT) WITHOUT ROWID;
CREATE TABLE answer (schedule_id TEXT PRIMARY KEY, figures BLOB) WITHOUT ROWID;
CREATE TABLE folder (device INT, inode INT, changed INT, is_settled INT, names INT);
CREATE INDEX newest ON execution (start, name, schedule_id, status, is_final);
CREATE INDEX figures ON execution (schedule_id, status, duration, files, bytes, start);
CREATE INDEX durations ON execution (schedule_id, duration) WHERE duration > 0;
CREATE INDEX speeds ON execution (schedule_id, speed) WHERE speed > 0;
CREATE INDEX active ON execution (name) WHERE is_final = 0;
"""


class IndexUnusableError(RebalancerError):
    """The index cannot be used now; the records answer without it."""


class Tables:
    """The open index."""

    def __init__(self, path: Path | str, on_change: Callable[[], None]) -> None:
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("PRAGMA synchronous = OFF")  # derived: nothing waits for the disk
        self.database.execute("PRAGMA journal_mode = MEMORY")  # what was cut short is made anew, not played back
        self.database.execute("PRAGMA temp_store = MEMORY")
        self._on_change = on_change

    def create(self) -> Self:
        with self.changing():
            for statement in _TABLES.split(";"):
                self.database.execute(statement)
        return self

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Change all or nothing; from here until the index is closed, a killed process leaves it to be made anew."""
        self._on_change()
        self.database.execute("BEGIN")
        try:
            yield self.database
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def close(self) -> None:
        self.database.close()


def in_memory() -> Tables:
    """Return an empty index that vanishes with this process."""
    return Tables(":memory:", lambda: None).create()


@dataclass(frozen=True, slots=True)
class IndexFile:
    """``path`` and, beside it, a lock that says what the file was like when it was last closed."""

    path: Path

    @contextmanager
    def opened(self, *, patience: float) -> Iterator[Tables]:
        """Open the index for this process alone, empty when it was missing, damaged or not left by us.

        Raises IndexUnusableError when it cannot be written or another process keeps it for ``patience`` seconds.
        """
        try:
            with closing(_Lock(self.path.with_suffix(".lock"), patience)) as lock:
                yield from self._used(lock)
        except (OSError, sqlite3.Error) as error:
            raise IndexUnusableError(f"the index {self.path} cannot be used: {error}") from error

    def _used(self, lock: "_Lock") -> Iterator[Tables]:
        found = self._look()
        is_as_we_left_it = bool(found) and found == lock.note()
        if not is_as_we_left_it:
            self.path.unlink(missing_ok=True)
        with closing(Tables(self.path, lock.clear)) as tables:
            if not is_as_we_left_it:
                tables.create()
            try:
                yield tables
            except sqlite3.Error:
                lock.clear()
                raise
        if not lock.note():  # it was changed, and nothing failed
            lock.write(self._look())

    def _look(self) -> bytes:
        """Return what would be different had anybody else written to the file, or the machine been restarted."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return b""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{_VERSION} {boot} {status.st_ino} {status.st_size} {status.st_mtime_ns}".encode()


class _Lock:
    """A file whose kernel lock is held until it is closed, and which holds a note; no note means: do not trust."""

    def __init__(self, path: Path, patience: float) -> None:
        try:
            ensure(path.parent)
        except RefusedError as error:
            raise IndexUnusableError(str(error)) from error
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if not is_taken(self._fd, patience=patience):
            os.close(self._fd)
            raise IndexUnusableError(f"another process keeps {path}")

    def note(self) -> bytes:
        return os.pread(self._fd, 500, 0)

    def clear(self) -> None:
        os.ftruncate(self._fd, 0)

    def write(self, note: bytes) -> None:
        os.pwrite(self._fd, note, 0)

    def close(self) -> None:
        os.close(self._fd)
