"""Work that the dashboard asks for, begun as processes of their own: it goes on whatever becomes of the dashboard."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rebalancer.errors import NotNowError, RefusedError
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.monitor import ScheduleMonitor
from rebalancer.executions.starting import start
from rebalancer.schedules.command import ScheduleCommand
from rebalancer.state import StateFolders, ensure

_SEEN_WITHIN = 10.0  # seconds until a process that was started has its record
_POLL = 0.05


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

    def plan(self, *words: str) -> ScheduleExecution | None:
        """Carry a plan out, by the words of the command line behind ``run``; returns its execution as `schedule` does."""
        with self._one_at_a_time("run"):
            return self._seen(self.program("--quiet", "run", "--yes", *words))

    def program(self, *words: str) -> subprocess.Popen[bytes]:
        """Start this program with these words; raises RefusedError when that is impossible."""
        self._reap()
        try:
            child = start(self.command.program(*words), log=ensure(self.folders.logs) / "dashboard.log")
        except OSError as error:
            raise RefusedError(f"it cannot be started: {(error.strerror or str(error)).lower()}") from error
        with self._lock:
            self._children.append(child)
        return child

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
