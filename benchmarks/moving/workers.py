"""Our worker while it works: what it says and when, how soon it stops or pauses, how well it keeps to a limit."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moving import accounts, media
from moving.contenders import Job, worker_command
from process_tree import tree
from rebalancer.transfer.messages import Message, Progress

_LOOK = 0.01  # seconds
_MARGIN = 4 * 2**20  # bytes
_PATIENCE = 60.0  # seconds for what should take a fraction of one


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the worker's, and when it came, in seconds since it was started."""

    at: float
    message: Message


class Working:
    """A worker that was started on an operation."""

    def __init__(self, process: subprocess.Popen[bytes], start: float) -> None:
        self.process = process
        self.start = start

    def lines(self) -> Iterator[Said]:
        """Yield what it says until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield Said(time.perf_counter() - self.start, msgspec.json.decode(line, type=Message))

    def until(self, phase: str) -> Said:
        """Wait for the first line of a phase; raises AssertionError when the worker ends before."""
        for said in self.lines():
            if isinstance(said.message, Progress) and said.message.phase == phase:
                return said
        raise AssertionError(f"the worker was never {phase}")

    def until_read(self, size: int) -> float:
        """Wait until it and its processes have read so many bytes (proc_pid_io(5)); returns when, on the clock of the lines."""
        while self.read() < size:
            assert self.process.poll() is None, "the worker ended early"
            time.sleep(_LOOK)
        return time.perf_counter() - self.start

    def read(self) -> int:
        return sum(map(_read_by, tree(self.process.pid)))

    def send(self, number: signal.Signals) -> float:
        """Send a signal; returns when, on the clock of the lines."""
        self.process.send_signal(number)
        return time.perf_counter() - self.start

    def ended(self) -> float:
        """Wait for the end; returns when, on the clock of the lines."""
        for _ in self.lines():
            pass
        self.process.wait(_PATIENCE)
        return time.perf_counter() - self.start


@contextmanager
def working(job: Job, operation: Path) -> Iterator[Working]:
    """Run a worker for as long as this lasts, at most."""
    command = worker_command(operation)
    with accounts.started(command, variables=job.variables, output=subprocess.PIPE) as process:
        yield Working(process, time.perf_counter())


@contextmanager
def _reading(job: Job, operation: Path, *, skipped: int, after: float) -> Iterator[Working]:
    """Give a worker so long after it read more than ``skipped`` bytes."""
    media.drop_caches()
    with job.pair.limited(), working(job, operation) as worker:
        worker.until_read(_before_copying(worker) + skipped)
        time.sleep(after)
        yield worker


def stop_latency(job: Job, operation: Path, *, skipped: int, after: float) -> float:
    """Return the seconds from SIGTERM to the worker's exit: sent so long after it read more than ``skipped`` bytes."""
    with _reading(job, operation, skipped=skipped, after=after) as worker:
        sent = worker.send(signal.SIGTERM)
        return worker.ended() - sent


def pause_latency(job: Job, operation: Path, *, skipped: int, after: float) -> float:
    """Return the seconds from SIGUSR1, sent likewise, to the line that says that the work stands still."""
    with _reading(job, operation, skipped=skipped, after=after) as worker:
        sent = worker.send(signal.SIGUSR1)
        return worker.until("paused").at - sent


def copying_and_all(job: Job, operation: Path, size: int) -> tuple[float, float]:
    """Return the seconds until the only file of that size was copied and flushed, and until the end, from its first byte on.

    The copy is done when more is read than the file has: what comes then is read again.
    """
    media.drop_caches()
    with job.pair.limited(), working(job, operation) as worker:
        before = _before_copying(worker)
        began = time.perf_counter() - worker.start
        copied = worker.until_read(before + size + _MARGIN)
        ended = worker.ended()
        assert worker.process.returncode == 0, "the worker did not do its work"
        media.sync(job.destination)
        return copied - began, ended - began


def _before_copying(worker: Working) -> int:
    """Wait for the first line, which comes before the first byte; returns what was read to start."""
    worker.until("copying")
    return worker.read()


def rate_kept(job: Job, operation: Path, *, seconds: float) -> float:
    """Return the bytes per second that were copied in so many seconds, from a second after the first byte on.

    What was not used before the first byte may be made up for, which is over by then. Raises AssertionError when the work
    ended before.
    """
    media.drop_caches()
    with working(job, operation) as worker:
        began = worker.until("copying").at
        first: Said | None = None
        for said in worker.lines():
            assert isinstance(said.message, Progress), "the tree is too small for the time"
            if first is None:
                first = said if said.at - began >= 1 else None
            elif said.at - first.at >= seconds:
                return _rate(first, said)
    raise AssertionError("the worker ended early")


def _rate(first: Said, last: Said) -> float:
    assert isinstance(first.message, Progress)
    assert isinstance(last.message, Progress)
    return (last.message.bytes_copied - first.message.bytes_copied) / (last.at - first.at)


def _read_by(process: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{process}/io").read_text().split()[1])
    return 0
