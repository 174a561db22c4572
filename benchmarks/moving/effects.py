"""What a move does besides taking time: to memory, to the page cache, to whoever wants to stop it."""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moving import accounts, media, memory, trees, workers
from moving.contenders import Contender, Job
from moving.media import Medium
from moving.memory import Peaks
from moving.rounds import ready
from moving.trees import Tree
from rebalancer import linux

_OFFSETS = (0.31, 0.47, 0.13, 0.59, 0.23)  # seconds into a phase, so that no round meets the same chunk


@contextmanager
def stage(folder: Path, tree: Tree, medium: Medium) -> Iterator[Job]:
    """Give two disks with the tree on the first."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    media.touch_memory(folder, 3 * tree.room)
    with media.pair(folder, medium, tree.room) as pair:
        job = Job(pair, state)
        ready(job, tree)
        yield job


def interruptions(folder: Path, medium: Medium, *, size: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds until a worker inside one large file stopped or paused, by what was asked of it and when."""
    found: dict[str, list[float]] = {}
    with stage(folder, trees.large(size, files=1), medium) as job:
        operation = job.operation(job.plan(), verify="full")
        for number in range(rounds):
            after = _OFFSETS[number % len(_OFFSETS)]
            for phase in ("copying", "verifying"):
                stopped = workers.stop_latency(job, operation, phase=phase, after=after)
                paused = workers.pause_latency(job, operation, phase=phase, after=after)
                found.setdefault(f"stop while {phase}", []).append(stopped)
                found.setdefault(f"pause while {phase}", []).append(paused)
    return found


def rates(folder: Path, *, rate: int, seconds: float, rounds: int) -> list[float]:
    """Return the rates at which a worker copied that was limited to one, in bytes per second."""
    tree = trees.large(int(rate * (seconds + 3)), files=1)
    with stage(folder, tree, media.TMPFS) as job:
        operation = job.operation(job.plan(), verify="fast", rate=rate)
        return [workers.rate_kept(job, operation, seconds=seconds) for _ in range(rounds)]


def peaks(folder: Path, tree: Tree, medium: Medium, contenders: Sequence[Contender]) -> dict[str, Peaks]:
    """Return the most memory that each contender had at once."""
    found = {}
    with stage(folder, tree, medium) as job:
        for one in contenders:
            ready(job, tree)
            command = one.prepare(job)
            media.drop_caches()
            with _started(command, job) as process, memory.watched(process.pid) as seen:
                code = process.wait()
            assert code == 0, f"{one.name} ended with {code}"
            found[one.name] = seen
    return found


@contextmanager
def _started(command: Sequence[str], job: Job) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **job.variables},
        cwd="/",
    )
    try:
        yield process
    finally:
        accounts.end(process)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What a move did to the page cache, in bytes."""

    most: int  # the page cache grew by so much at most while it ran
    after: int  # and was so much larger afterwards
    kept: float  # how much of a file that others had read before was still cached, 1 for all


def disturbances(
    folder: Path, size: int, contenders: Sequence[Contender], *, rounds: int, say: Callable[[str], None]
) -> dict[str, list[Disturbance]]:
    """Return what each contender did to the cache of the machine, beside a file of that size which others read."""
    found: dict[str, list[Disturbance]] = {}
    tree = trees.large(size)
    film = folder / "film.mkv"
    trees.write(film, size, seed=99)
    with stage(folder, tree, media.XFS) as job:
        for number in range(rounds):
            for one in contenders:
                found.setdefault(one.name, []).append(_disturbance(job, tree, one, film))
                say(f"page cache, round {number + 1}: {one.name}")
    return found


def _disturbance(job: Job, tree: Tree, one: Contender, film: Path) -> Disturbance:
    ready(job, tree)
    command = one.prepare(job)
    media.drop_caches()
    with film.open("rb", buffering=0) as file:
        while file.read(2**20):
            pass
        had, before = linux.cached_pages(file.fileno()), media.cached()
        with _started(command, job) as process, memory.watched(process.pid) as seen:
            code = process.wait()
        assert code == 0, f"{one.name} ended with {code}"
        media.sync(job.destination)
        kept = linux.cached_pages(file.fileno()) / max(had, 1)
    return Disturbance(max(seen.page_cache - before, 0), media.cached() - before, kept)
