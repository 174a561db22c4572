"""What pages show again and again, looked at no more often than it can have changed, and waited for only so long."""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from rebalancer.array.disk import Disk
from rebalancer.engine import Engine
from rebalancer.errors import NotNowError, RefusedError
from rebalancer.executions.background import Background
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.store import ExecutionStore

PATIENCE = 2.0  # seconds for the disks to answer
FOLDERS_EVERY = 10.0  # seconds between two readings of the trees of folders that have a size limit
_COARSEST = 3.0  # seconds; FAT notes times to 2 s, so that a younger folder may change without showing it


@dataclass(frozen=True, slots=True)
class _Measured:
    at: float
    is_busy: bool
    chosen: object  # the settings that named the disks
    disks: Sequence[Disk]


@dataclass(eq=False)
class DiskSights:
    """The disks as they are; one that does not answer keeps one thread waiting and no page.

    A mounted disk is measured each time, which wakes none; a folder with a size limit is measured by reading its tree
    (ADR 1), so while nothing runs its figures may be ``FOLDERS_EVERY`` seconds old.
    """

    clock: Callable[[], float] = monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asked: Background[Sequence[Disk]] | None = None  # a look that goes on
    _since: float = 0.0
    _known: _Measured | None = None

    def look(self, engine: Engine, *, is_busy: bool) -> Sequence[Disk]:
        """Return every disk; raises what the engine raises, NotNowError when the disks do not answer in time."""
        chosen = (engine.settings, engine.named_disks)
        with self._lock:
            known = self._known
            if known is not None and known.chosen == chosen and self._is_fresh(known, is_busy=is_busy):
                return known.disks
            if self._asked is None:
                self._asked, self._since = Background(lambda: _disks(engine)), self.clock()
            try:
                found = self._asked.result_within(self._since + PATIENCE - self.clock())
            except BaseException:
                self._asked = None
                raise
            if found is None:
                seconds = round(self.clock() - self._since)
                raise NotNowError(f"the disks have not answered for {seconds} s; one of them may hang")
            self._asked, self._known = None, _Measured(self.clock(), is_busy, chosen, found)
            return found

    def _is_fresh(self, known: _Measured, *, is_busy: bool) -> bool:
        has_trees = any(disk.is_folder for disk in known.disks)
        return has_trees and not (is_busy or known.is_busy) and self.clock() - known.at < FOLDERS_EVERY


@dataclass(eq=False)
class RecentExecutions:
    """The newest executions that have ended, asked for anew only when a record came, went or changed."""

    clock: Callable[[], float]  # seconds since 1970 (UTC)
    count: int
    _known: tuple[object, list[ScheduleExecution]] | None = None

    def look(self, engine: Engine) -> list[ScheduleExecution]:
        """Return them, newest first; raises RefusedError when the folder of the records cannot be read."""
        store = ExecutionStore(engine.folders.executions)
        folder, known = store.stamp(), self._known
        if known is not None and known[0] == (folder, _stamps(store, known[1])):
            return known[1]
        newest = engine.index.history(limit=self.count + 8)
        found = [execution for execution in newest if execution.status.is_final][: self.count]
        is_settled = self.clock() - folder[2] / 1e9 > _COARSEST and folder == store.stamp()
        self._known = ((folder, _stamps(store, found)), found) if is_settled else None
        return found


def _disks(engine: Engine) -> Sequence[Disk]:
    try:
        return engine.disks()
    except OSError as error:
        raise RefusedError(f"the disks cannot be looked at: {(error.strerror or str(error)).lower()}") from error


def _stamps(store: ExecutionStore, executions: Sequence[ScheduleExecution]) -> list[tuple[int, int, int]]:
    """Return what the files of these records look like; zeros for one that is gone."""
    return [_stamp_of(store, one.execution_id) for one in executions]


def _stamp_of(store: ExecutionStore, execution_id: str) -> tuple[int, int, int]:
    try:
        status = os.stat(store.path_of(execution_id))
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns
