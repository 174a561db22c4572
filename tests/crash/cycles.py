"""Starts, stops and kills supervisors and their workers over and over, in a PID namespace of which this is process 1.

Every number that becomes free is given to a stranger, who notes what he hears, or to the next supervisor. Prints what
was seen as one JSON object. Run by `test_crash_cycles`.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rebalancer import names
from rebalancer.array.discovery import find_disks
from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.errors import NotNowError
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.job import Job
from rebalancer.executions.monitor import ScheduleMonitor
from rebalancer.executions.runner import Runner
from rebalancer.executions.store import new_operation_id
from rebalancer.executions.telling import Teller
from rebalancer.executions.verdict import Ending
from rebalancer.inventory.unit import UnitKind
from rebalancer.planning.plan import Move
from rebalancer.settings import Settings
from rebalancer.transfer.operation import Operation

REFUSED = 75  # a supervisor that found the disks taken
_LAST = Path("/proc/sys/kernel/ns_last_pid")
_WORKER = b"rebalancer.transfer.worker"
_PATIENCE = 15.0  # seconds
_RATE = 8 * 2**20  # bytes per second, so that a move takes a while


@dataclass(frozen=True)
class _Pair:
    """A supervisor and its worker, of which there may be none any more (0)."""

    supervisor: int
    worker: int


@dataclass(eq=False)
class Cycles:
    """One array, its monitor, and what was seen."""

    disks: tuple[Path, Path]
    monitor: ScheduleMonitor
    chance: random.Random
    watcher: int  # the process that counts workers
    counts: Counter[str] = field(default_factory=Counter)
    strangers: list[int] = field(default_factory=list)
    heard: int = -1  # what strangers heard
    heard_end: int = -1
    ended: dict[int, int] = field(default_factory=dict)  # exit codes of children that were waited for

    def __post_init__(self) -> None:
        self.heard, self.heard_end = os.pipe()
        os.set_blocking(self.heard, False)
        self.found = find_disks(root=Path("/"), settings=Settings(), named=[str(path) for path in self.disks])

    # -- one cycle ----------------------------------------------------------------------------------------------

    def go(self) -> None:
        """Start a supervisor, let something happen to it, then let its numbers go to others and look what they hear."""
        before = self._newest()
        supervisor = self._fork_supervisor()
        worker = self._wait_for_worker(supervisor)
        time.sleep(self.chance.random() * 0.25)
        deed = self.chance.choice(
            (self._nothing, self._term, self._storm, self._kill_supervisor, self._kill_worker, self._kill_both,
             self._cancel, self._emergency_stop, self._second_start)
        )  # fmt: skip
        deed(_Pair(supervisor, worker))
        self._wait_until_gone(supervisor)
        execution = self._newest()
        assert execution is not None
        assert execution is not before, "a supervisor wrote no record"
        seen = self.monitor.get_execution(execution.execution_id)
        self.counts[f"ended {seen.status.value}"] += 1
        self.counts["called running though dead"] += seen.status in {ExecutionStatus.RUNNING, ExecutionStatus.PENDING}
        self._give_numbers_away(seen, [number for number in (supervisor, worker) if number])

    def _nothing(self, _: _Pair) -> None:
        self.counts["let end"] += 1

    def _term(self, pair: _Pair) -> None:
        self._send(pair.supervisor, signal.SIGTERM)

    def _storm(self, pair: _Pair) -> None:
        for _ in range(50):
            self._send(pair.supervisor, signal.SIGTERM)
            self._send(pair.worker, signal.SIGTERM)

    def _kill_supervisor(self, pair: _Pair) -> None:
        self._send(pair.supervisor, signal.SIGKILL)

    def _kill_worker(self, pair: _Pair) -> None:
        self._send(pair.worker, signal.SIGKILL)

    def _kill_both(self, pair: _Pair) -> None:
        self._send(pair.supervisor, signal.SIGKILL)
        self._send(pair.worker, signal.SIGKILL)

    def _cancel(self, _: _Pair) -> None:
        if (execution := self._newest()) is not None:
            self.counts[f"cancel: {self.monitor.control.cancel(execution.execution_id).verdict.value}"] += 1

    def _emergency_stop(self, _: _Pair) -> None:
        for verdict in self.monitor.control.emergency_stop():
            self.counts[f"emergency stop: {verdict.verdict.value}"] += 1

    def _second_start(self, _: _Pair) -> None:
        """Two starts at once: one works, the other is told so."""
        second = self._fork_supervisor()
        self._reap_until(lambda: second in self.ended)
        self.counts["second starts refused" if self.ended[second] == REFUSED else "second starts after the first"] += 1

    def _send(self, pid: int, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if pid and pid not in self.ended:
                os.kill(pid, number)
                self.counts[f"sent {number.name}"] += 1

    # -- numbers are given away -----------------------------------------------------------------------------------

    def _give_numbers_away(self, execution: ScheduleExecution, numbers: list[int]) -> None:
        """Let strangers have the numbers, or the next supervisor; then stop the execution that is over once more."""
        for number in numbers:
            if self.chance.random() < 0.7 and not (Path("/proc") / str(number)).exists():
                self._fork_stranger(number)
        heir = 0
        if self.chance.random() < 0.25 and not (Path("/proc") / str(numbers[0])).exists():
            heir = self._fork_supervisor(as_number=numbers[0])
            self.counts["supervisors with the number of their predecessor"] += heir == numbers[0]
            self._wait_for_worker(heir)
        verdict = self.monitor.control.cancel(execution.execution_id, reason="again", grace=0.2)
        self.counts["signalled though over"] += verdict.verdict is not Ending.WAS_NOT_RUNNING
        if heir:
            self._reap_until(lambda: heir in self.ended)
            self.counts["heirs that were stopped"] += self.ended[heir] != 0
            self._wait_until_gone(heir)
        self._dismiss_strangers()

    def _dismiss_strangers(self) -> None:
        for stranger in self.strangers:
            self._reap()
            self.counts["strangers that were ended"] += stranger in self.ended
            if stranger not in self.ended:
                os.kill(stranger, signal.SIGKILL)
            self._reap_until(lambda stranger=stranger: stranger in self.ended)  # type: ignore[misc]
        self.strangers.clear()
        with suppress(BlockingIOError):
            self.counts["signals that strangers heard"] += len(os.read(self.heard, 10_000))

    def _fork_stranger(self, number: int) -> None:
        ready, up = os.pipe()
        _LAST.write_text(str(number - 1))
        pid = os.fork()
        if pid == 0:
            _listen(self.heard_end, up)
        os.read(ready, 1)
        os.close(ready)
        os.close(up)
        self.ended.pop(pid, None)
        self.strangers.append(pid)
        self.counts["numbers given away on purpose"] += pid == number

    # -- processes ------------------------------------------------------------------------------------------------

    def _fork_supervisor(self, *, as_number: int = 0) -> int:
        if as_number:
            _LAST.write_text(str(as_number - 1))
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                code = self._supervise()
            finally:
                os._exit(code)
        self.ended.pop(pid, None)
        self.counts["supervisors"] += 1
        return pid

    def _supervise(self) -> int:
        cancel = Cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: cancel.request("cancelled"))
        operation = self._operation()
        job = Job(disks=lambda: self.found, prepare=lambda: operation, measure=lambda: self.found)
        try:
            execution = Runner(
                self.monitor.folders, cancel, lambda _: None, time.time, Teller(self.monitor.folders, time.time)
            ).run(job)
        except NotNowError:
            return REFUSED
        return execution.exit_code or 0

    def _operation(self) -> Operation:
        """Move every unit to the other disk."""
        moves = [
            _move(f"s/{name}", self.found[here], self.found[1 - here])
            for here, root in enumerate(self.disks)
            for name in sorted(os.listdir(root / "s"))
        ]
        once = {move.path: move for move in moves}
        return Operation(
            operation_id=new_operation_id(now=time.time()),
            disks=self.found,
            moves=tuple(once.values()),
            reserves={},
            bandwidth_limit=_RATE,
        )

    def _wait_for_worker(self, supervisor: int) -> int:
        """Return the number of its worker; 0 when it ended before."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            self._reap()
            for pid in workers():
                if _parent_of(pid) == supervisor:
                    return pid
            if supervisor in self.ended:
                return 0
            time.sleep(0.002)
        raise AssertionError("no worker was started")

    def _wait_until_gone(self, supervisor: int) -> None:
        """Wait for the supervisor; whatever is still there a while later is an orphan.

        A process that is about to end has no command line any more and still is one: so all numbers are looked at.
        """
        self._reap_until(lambda: supervisor in self.ended)
        deadline = time.monotonic() + _PATIENCE
        while (others := self._others()) and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.002)
        self.counts["orphans"] += len(others)

    def _others(self) -> set[int]:
        """Return whoever is here besides us: supervisors, workers and what they started."""
        here = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        return here - {os.getpid(), self.watcher, *self.strangers}

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                self.ended[found[0]] = os.waitstatus_to_exitcode(found[1])

    def _reap_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 4 * _PATIENCE
        while not holds():
            self._reap()
            assert time.monotonic() < deadline, "a process did not end"
            time.sleep(0.002)

    def _newest(self) -> ScheduleExecution | None:
        found = self.monitor.get_execution_history(limit=1)
        return found[0] if found else None


def workers() -> list[int]:
    """Return the living workers: those that hold the lock of a disk, or have not come so far as to be called one."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if _WORKER in Path(f"/proc/{name}/cmdline").read_bytes():
                found.append(int(name))
    return found


def watch(stop: int) -> tuple[int, int]:
    """Return how often workers were looked at and how many held the locks of the disks at once, until told to stop."""
    looks, most = 0, 0
    os.set_blocking(stop, False)
    while True:
        with suppress(BlockingIOError):
            os.read(stop, 1)
            return looks, most
        looks += 1
        most = max(most, sum(_holds_a_disk(pid) for pid in workers()))
        time.sleep(0.003)


def _holds_a_disk(pid: int) -> bool:
    with suppress(OSError):
        links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
        return any("/disk-" in link and link.endswith(".lock") for link in links)
    return False


def _parent_of(pid: int) -> int:
    with suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_bytes()
        return int(text[text.rindex(b")") + 2 :].split()[1])
    return 0


def _listen(heard: int, up: int) -> None:
    """Be a stranger: note every signal and do nothing else."""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError, ValueError):
            signal.signal(number, lambda *_: os.write(heard, b"!"))
    os.write(up, b"!")
    while True:
        signal.pause()


def _move(path: str, source: Disk, destination: Disk) -> Move:
    text, exact = names.encode(path.encode())
    return Move(
        share="s", path=text, path_base64=exact, size_bytes=0, files=0, source=source.name,
        destination=destination.name, kind=UnitKind.FOLDER,
    )  # fmt: skip


def main() -> None:
    config, seed, count, seconds, *disks = sys.argv[1:]
    told, tell = os.pipe()
    answer, answered = os.pipe()
    watcher = os.fork()
    if watcher == 0:
        looks, most = watch(told)
        os.write(answered, json.dumps([looks, most]).encode())
        os._exit(0)
    chance = random.Random(seed)  # noqa: S311 - no secret
    cycles = Cycles((Path(disks[0]), Path(disks[1])), ScheduleMonitor(config), chance, watcher)
    deadline, done = time.monotonic() + float(seconds), 0
    while done < int(count) and time.monotonic() < deadline:
        cycles.go()
        done += 1
    os.write(tell, b"x")
    looks, most = json.loads(os.read(answer, 1000))
    counts = cycles.counts | {"cycles": done, "looks at the workers": looks, "most workers at once": most}
    print(json.dumps(counts))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
