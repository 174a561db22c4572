"""Which executions may be running, found without reading the records of those that have ended."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from rebalancer import records
from rebalancer.errors import RebalancerError
from rebalancer.executions import checking, process_table
from rebalancer.executions.execution import ExecutionStatus, ProcessIdentity
from rebalancer.executions.process import identity_of
from rebalancer.executions.store import SUFFIX, ExecutionStore, Stamp
from rebalancer.state import StateFolders, ensure

_COARSEST = 3.0  # seconds; FAT notes times to 2 s, so that a younger folder may change without showing it


class _Status(Struct, frozen=True):
    status: ExecutionStatus


class _Seen(Struct, frozen=True):
    """What was found when the folder of the records looked like ``stamp``."""

    stamp: Stamp
    active: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Active:
    """Remembers in the runtime folder which executions have ended: a final record never changes again.

    What is remembered may be deleted at any time, and a runtime folder that cannot be written only costs time.
    """

    folders: StateFolders
    clock: Callable[[], float]  # seconds since 1970 (UTC)

    def ids(self) -> list[str]:
        """Return the executions whose records are not final, newest first.

        Raises RefusedError when the folder of the records cannot be read.
        """
        store = ExecutionStore(self.folders.executions)
        stamp = store.stamp()
        seen = self._remembered("active.json", _Seen)
        if seen is not None and seen.stamp == stamp:
            return list(seen.active)
        ended = set(self._remembered("ended.json", list[str]) or ())
        names = {name.removesuffix(SUFFIX) for name in store.file_names() if name.endswith(SUFFIX)}
        status = {name: _status_of(store.folder, name) for name in names - ended if checking.is_id(name)}
        active = [name for name, found in status.items() if found is not None and not found.is_final]
        newly_ended = [name for name, found in status.items() if found is not None and found.is_final]
        if newly_ended or len(ended) > len(names):
            self._remember("ended.json", sorted((ended & names).union(newly_ended)))
        active.sort(reverse=True)
        if self.clock() - stamp[2] / 1e9 > _COARSEST:
            self._remember("active.json", _Seen(stamp, tuple(active)))
        return active

    def supervisors(self) -> dict[str, list[ProcessIdentity]]:
        """Return the living supervisors by execution, told from the locks that they hold: no record is read.

        A supervisor holds ``execution-{id}.lock`` while it lives; its log lies in this installation's runtime folder.
        """
        with suppress(OSError):
            waiting = {name for name in os.listdir(self.folders.locks) if name.startswith("execution-")}
            ids = {name.removeprefix("execution-").removesuffix(".lock") for name in waiting}
            ours = {name for name in ids if (self.folders.logs / f"{name}.log").exists()}
            return _lock_holders(self.folders.locks, ours)
        return {}

    def _remembered(self, name: str, kind: type[records.T]) -> records.T | None:
        try:
            return records.read(self._folder / name, kind, limit=records.DOCUMENT_LIMIT)
        except RebalancerError:
            return None

    def _remember(self, name: str, value: object) -> None:
        with suppress(OSError, RebalancerError):
            records.write(ensure(self._folder) / name, value, durable=False)

    @property
    def _folder(self) -> Path:
        return self.folders.runtime / "active"


def _status_of(folder: Path, execution_id: str) -> ExecutionStatus | None:
    """Return the status that a record states; None when it cannot be read."""
    try:
        return records.read(folder / f"{execution_id}{SUFFIX}", _Status).status
    except RebalancerError:
        return None


def _lock_holders(folder: Path, execution_ids: set[str]) -> dict[str, list[ProcessIdentity]]:
    by_path = {f"{os.path.realpath(folder)}/execution-{name}.lock": name for name in execution_ids}
    found: dict[str, list[ProcessIdentity]] = {}
    for pid in process_table.everybody() if by_path else ():
        for path in process_table.locked_files(pid, among=by_path):
            with suppress(OSError):
                found.setdefault(by_path[path], []).append(identity_of(pid, ""))
    return found
