"""Work that the dashboard asks for, begun as processes of their own: it goes on whatever becomes of the dashboard."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rebalancer import records
from rebalancer.errors import NotFoundError, NotNowError, RebalancerError, RefusedError, UsageError
from rebalancer.executions.execution import ProcessIdentity, ScheduleExecution
from rebalancer.executions.monitor import MANUAL, ScheduleMonitor
from rebalancer.executions.starting import start, start_marked
from rebalancer.schedules.command import ScheduleCommand
from rebalancer.state import StateFolders, ensure

_SEEN_WITHIN = 10.0  # seconds until a process that was started has its record
_POLL = 0.05
_NEWEST = 5  # runs by hand among which one that ended before anybody looked is found
PROGRAM = "unraid-rebalancer"
_KINDS: dict[int, type[RebalancerError]] = {
    int(kind.exit_code): kind for kind in (UsageError, NotFoundError, RefusedError, NotNowError)
}


@dataclass(eq=False)
class Starts:
    """Starts executions, each at most once at a time, and knows those that it started until they have ended."""

    folders: StateFolders
    command: ScheduleCommand
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _starting: set[str] = field(default_factory=set)
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def schedule(self, schedule_id: str) -> ScheduleExecution | None:
        """Run a schedule now; returns its execution, None when it ended before it could be seen.

        Raises NotNowError when it runs or is being started already.
        """
        with self._one_at_a_time(f"schedule {schedule_id}"):
            if any(one.schedule_id == schedule_id for one in self._monitor.get_running_executions()):
                raise NotNowError(f"{schedule_id} runs already")
            return self._seen(self.program("--quiet", "schedule", "run", schedule_id))

    def plan(self, *words: str, log: Path) -> ScheduleExecution | None:
        """Carry a plan out, by the words of the command line behind ``run``; returns its execution.

        None when it is still on its way to its first record. When it ended without one, a guard holding it or the
        plan not fitting the disks any more, the error is raised that the program ended with; ``log`` has it too.
        """
        with self._one_at_a_time("run"):
            before = {one.execution_id for one in self._by_hand()}
            child = self.program("--quiet", "run", "--yes", *words, log=log)
            found = self._seen(child) or next(
                (one for one in self._by_hand() if one.execution_id not in before and _is_of(child, one)), None
            )
            if found is None and child.poll():
                kind = _KINDS.get(child.returncode, RefusedError)
                raise kind(said_last(log) or "it ended without a word")
            return found

    def program(self, *words: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start this program with these words; raises RefusedError when that is impossible."""
        with self._starting_it():
            child = start(self.command.program(*words), log=log or ensure(self.folders.logs) / "dashboard.log")
        self._remember(child)
        return child

    def marked(self, *words: str, log: Path) -> ProcessIdentity | None:
        """Start this program so that it can be asked to stop later; None when it has ended already.

        Raises RefusedError when it cannot be started.
        """
        with self._starting_it():
            child, identity = start_marked(self.command.program(*words), log=log)
        self._remember(child)
        return identity

    @contextmanager
    def _starting_it(self) -> Iterator[None]:
        self._reap()
        try:
            yield
        except OSError as error:
            raise RefusedError(f"it cannot be started: {(error.strerror or str(error)).lower()}") from error

    def _remember(self, child: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._children.append(child)

    def _seen(self, child: subprocess.Popen[bytes]) -> ScheduleExecution | None:
        """Wait until the records name the child, or until it has ended."""
        deadline = time.monotonic() + _SEEN_WITHIN
        while time.monotonic() < deadline:
            is_over = child.poll() is not None
            if found := self._of(child.pid):
                return found
            if is_over:
                return None
            time.sleep(_POLL)
        return None

    def _of(self, pid: int) -> ScheduleExecution | None:
        running = self._monitor.get_running_executions()
        return next((one for one in running if one.process is not None and one.process.pid == pid), None)

    def _by_hand(self) -> list[ScheduleExecution]:
        return self._monitor.index.latest(MANUAL, count=_NEWEST)

    @property
    def _monitor(self) -> ScheduleMonitor:
        return ScheduleMonitor.of(self.folders)

    @contextmanager
    def _one_at_a_time(self, what: str) -> Iterator[None]:
        with self._lock:
            if what in self._starting:
                raise NotNowError("that is being started already")
            self._starting.add(what)
        try:
            yield
        finally:
            with self._lock:
                self._starting.discard(what)

    def _reap(self) -> None:
        with self._lock:
            self._children = [child for child in self._children if child.poll() is None]


def _is_of(child: subprocess.Popen[bytes], execution: ScheduleExecution) -> bool:
    return execution.process is not None and execution.process.pid == child.pid


def said_last(log: Path) -> str:
    """Return the last sentence that this program left in a log; empty when it left none."""
    try:
        text = records.read_bytes(log).decode(errors="replace")
    except RebalancerError:
        return ""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix(f"{PROGRAM}: ").strip() if lines else ""
