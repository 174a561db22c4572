"""The executions that ended last, for a page that is looked at all day: asked for anew only when records changed."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rebalancer.engine import Engine
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.store import ExecutionStore

_COARSEST = 3.0  # seconds; FAT notes times to 2 s, so that a younger folder may change without showing it


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


def _stamps(store: ExecutionStore, executions: Sequence[ScheduleExecution]) -> list[tuple[int, int, int]]:
    """Return what the files of these records look like; zeros for one that is gone."""
    return [_stamp_of(store, one.execution_id) for one in executions]


def _stamp_of(store: ExecutionStore, execution_id: str) -> tuple[int, int, int]:
    try:
        status = os.stat(store.path_of(execution_id))
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns
