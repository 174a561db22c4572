"""Our worker while it works: what it says and when, how soon it stops or pauses, how well it keeps to a limit."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moving import media
from moving.contenders import Job, worker_command
from rebalancer.transfer.messages import Message, Progress

_PATIENCE = 60.0  # seconds for what should take a fraction of one


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the worker's, and when it came, in seconds since it was started."""

    at: float
    message: Message


def phases(lines: Sequence[tuple[float, bytes]]) -> dict[str, float]:
    """Return how many seconds the worker spent in each phase, as its lines tell; before its first line it starts."""
    spent: dict[str, float] = {}
    phase, since = "starting", 0.0
    for at, line in lines:
        message = msgspec.json.decode(line, type=Message)
        spent[phase] = spent.get(phase, 0.0) + at - since
        phase, since = message.phase if isinstance(message, Progress) else "ending", at
    return spent


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
    process = subprocess.Popen(
        worker_command(operation),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **job.variables},
        cwd="/",
    )
    try:
        yield Working(process, time.perf_counter())
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def stop_latency(job: Job, operation: Path, *, phase: str, after: float) -> float:
    """Return the seconds from SIGTERM, sent so long after a phase began, to the worker's exit."""
    media.drop_caches()
    with job.pair.limited(), working(job, operation) as worker:
        worker.until(phase)
        time.sleep(after)
        sent = worker.send(signal.SIGTERM)
        return worker.ended() - sent


def pause_latency(job: Job, operation: Path, *, phase: str, after: float) -> float:
    """Return the seconds from SIGUSR1 to the line that says that the work stands still."""
    media.drop_caches()
    with job.pair.limited(), working(job, operation) as worker:
        worker.until(phase)
        time.sleep(after)
        sent = worker.send(signal.SIGUSR1)
        return worker.until("paused").at - sent


def rate_kept(job: Job, operation: Path, *, seconds: float) -> float:
    """Return the bytes per second that were copied in so many seconds; raises AssertionError when it ended before."""
    media.drop_caches()
    with working(job, operation) as worker:
        first = worker.until("copying")
        for said in worker.lines():
            assert isinstance(said.message, Progress), "the tree is too small for the time"
            if said.at - first.at >= seconds:
                assert isinstance(first.message, Progress)
                return (said.message.bytes_copied - first.message.bytes_copied) / (said.at - first.at)
    raise AssertionError("the worker ended early")
