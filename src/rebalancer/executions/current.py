"""Executions as they stand now: a record whose process is gone is settled, and written back for the next reader."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from rebalancer import names, records
from rebalancer.errors import RebalancerError, RefusedError
from rebalancer.executions import process, request
from rebalancer.executions.execution import ProcessIdentity, ScheduleExecution
from rebalancer.executions.live import Live
from rebalancer.executions.log import end_of
from rebalancer.executions.settle import Remains, settled, with_live_figures
from rebalancer.executions.store import ExecutionStore
from rebalancer.state import StateFolders
from rebalancer.turns import is_taken

_TAIL = 4096  # bytes of a log in which a crash is looked for
_CRASHES = (b"Traceback (most recent call last)", b"Fatal Python error")
_TRIES = 5  # a record that changes each time it is looked at has somebody who looks after it


@dataclass(frozen=True, slots=True)
class Machine:
    """What is asked of the machine to tell whether an execution lives."""

    boot_id: str
    pid_namespace: int
    is_alive: Callable[[ProcessIdentity], bool]


def this_machine() -> Machine:
    return Machine(process.boot_id(), os.stat("/proc/self/ns/pid").st_ino, process.is_alive)


@dataclass(frozen=True, slots=True)
class Current:
    """Reads records and settles them; ``clock`` returns seconds since 1970 (UTC)."""

    folders: StateFolders
    store: ExecutionStore
    clock: Callable[[], float]
    machine: Callable[[], Machine] = this_machine

    def load(self, execution_id: str) -> ScheduleExecution:
        """Return one execution as it stands; raises NotFoundError or DamagedRecordError."""
        return self.of(self.store.load(execution_id))

    def live(self, execution: ScheduleExecution) -> ScheduleExecution:
        """Return an execution that was loaded here with the figures it has by now, for showing: its record has none."""
        if execution.status.is_final:
            return execution
        return with_live_figures(execution, self._remains(execution), now=self.clock())

    def of(self, execution: ScheduleExecution) -> ScheduleExecution:
        """Return the execution as it stands, when its record has just been read.

        1. See whether its process lives.  2. Only if the record still says the same afterwards, settle it: a
        supervisor writes its last record before it ends.  3. Write that down for the next reader, if that is possible.
        """
        for _ in range(_TRIES):
            now_known = self._settled(execution)
            if now_known is execution:
                return execution
            try:
                if self.store.update(now_known, seen=execution):
                    self._tell(now_known)
                    return now_known
            except RefusedError:  # a state folder that cannot be written: the answer is right all the same
                return now_known
            execution = self.store.load(execution.execution_id)
        return execution

    def _tell(self, settled: ScheduleExecution) -> None:
        """Tell the owner of an execution whose supervisor could not; only the reader whose record was written comes here."""
        from rebalancer.executions.telling import Teller  # nearly no reader needs it

        Teller(self.folders, self.clock).ended(settled)

    def _settled(self, execution: ScheduleExecution) -> ScheduleExecution:
        if execution.status.is_final:
            return execution
        machine = self.machine()
        return settled(
            execution,
            boot_id=machine.boot_id,
            is_alive=lambda identity: self._is_alive(identity, machine, execution.execution_id),
            now=self.clock(),
            remains=self._remains(execution),
        )

    def _is_alive(self, identity: ProcessIdentity, machine: Machine, execution_id: str) -> bool:
        if identity.pid_namespace == machine.pid_namespace:
            return machine.is_alive(identity)
        return self._holds_its_lock(execution_id)  # a process of another container cannot be looked at

    def _holds_its_lock(self, execution_id: str) -> bool:
        try:
            fd = os.open(
                self.folders.locks / f"execution-{execution_id}.lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            )
        except OSError:
            return False
        try:
            return not is_taken(fd, patience=0.0)
        finally:
            os.close(fd)

    def _remains(self, execution: ScheduleExecution) -> Remains:
        path = self.folders.progress / f"{execution.execution_id}.json"
        progress, seen = None, None
        with suppress(RebalancerError, OSError):
            progress = records.read(path, Live)
            seen = path.stat().st_mtime
        asked = request.read(self.folders, execution.execution_id)
        return Remains(progress, seen, self._last_words(execution.execution_id), asked)

    def _last_words(self, execution_id: str) -> str:
        """Return the last line of a crash that the log ends with; nothing when it does not."""
        tail = end_of(self.folders.logs / f"{execution_id}.log", size=_TAIL)
        if not any(crash in tail for crash in _CRASHES):
            return ""
        lines = tail.decode(errors="replace").strip().splitlines()
        return names.display(lines[-1].strip())[:200]
