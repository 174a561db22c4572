"""What a move does besides taking time: to memory, to the page cache, to whoever wants to stop it."""

import mmap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moving import accounts, contenders, media, memory, trees, workers
from moving.contenders import Contender, Job
from moving.media import Medium
from moving.memory import Peaks
from moving.rounds import ready, trial
from moving.trees import Tree
from rebalancer import linux

_MARGIN = 16 * 2**20  # bytes
_OFFSETS = (0.11, 0.27, 0.03, 0.19, 0.07)  # seconds into a phase, so that no round meets the same chunk


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
            for phase, skipped in (("copying", 0), ("verifying", size + _MARGIN)):
                stopped = workers.stop_latency(job, operation, skipped=skipped, after=after)
                paused = workers.pause_latency(job, operation, skipped=skipped, after=after)
                found.setdefault(f"stop while {phase}", []).append(stopped)
                found.setdefault(f"pause while {phase}", []).append(paused)
    return found


def rates(folder: Path, *, rate: int, seconds: float, rounds: int) -> list[float]:
    """Return the rates at which a worker copied that was limited to one, in bytes per second."""
    tree = trees.large(int(rate * (seconds + 4)), files=1)
    with stage(folder, tree, media.TMPFS) as job:
        operation = job.operation(job.plan(), verify="fast", rate=rate)
        return [workers.rate_kept(job, operation, seconds=seconds) for _ in range(rounds)]


@dataclass(frozen=True, slots=True)
class Copied:
    """One file moved and verified, beside what its disks can do. Seconds."""

    reading: float  # the source, by dd
    writing: float  # as much at the destination, by dd, flushed
    copying: float  # our worker, from its first byte to the flushed copy
    whole: float  # and to its end

    @property
    def of_limit(self) -> float:
        """How fast the copying was, as a part of what the slower side allows."""
        return max(self.reading, self.writing) / self.copying

    @property
    def of_parts(self) -> float:
        """How long all of it took, as a multiple of the copying and one more reading of the slower side."""
        return self.whole / (self.copying + self.reading)


def copies(folder: Path, medium: Medium, size: int, *, rounds: int) -> list[Copied]:
    found = []
    tree = trees.large(size, files=1)
    with stage(folder, tree, medium) as job:
        for _ in range(rounds):
            reading, writing = (trial(job, tree, one).seconds for one in (contenders.READ, contenders.WRITE))
            ready(job, tree)
            operation = job.operation(job.plan(), verify="full")
            copying, whole = workers.copying_and_all(job, operation, size)
            found.append(Copied(reading, writing, copying, whole))
    return found


def peaks(folder: Path, tree: Tree, medium: Medium, who: Sequence[Contender]) -> dict[str, Peaks]:
    """Return the most memory that each contender had at once."""
    found = {}
    with stage(folder, tree, medium) as job:
        for one in who:
            ready(job, tree)
            command = one.prepare(job)
            media.drop_caches()
            with accounts.started(command, variables=job.variables) as process, memory.watched(process.pid) as seen:
                code = process.wait()
            assert code == 0, f"{one.name} ended with {code}"
            found[one.name] = seen
    return found


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What a move did to the page cache, in bytes."""

    most: int  # the page cache grew by so much at most while it ran
    after: int  # and was so much larger afterwards
    of_files: int  # how much of the moved files themselves was still cached at the destination
    kept: float  # how much of a file that others had read before was still cached, 1 for all


def disturbances(
    folder: Path, size: int, who: Sequence[Contender], *, rounds: int, say: Callable[[str], None]
) -> dict[str, list[Disturbance]]:
    """Return what each contender did to the cache of the machine, beside a file of that size which others read."""
    found: dict[str, list[Disturbance]] = {}
    tree = trees.large(size)
    film = folder / "film.mkv"
    trees.write(film, size, seed=99)
    with stage(folder, tree, media.XFS) as job:
        for number in range(rounds):
            for one in who:
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
        with accounts.started(command, variables=job.variables) as process, memory.watched(process.pid) as seen:
            code = process.wait()
        assert code == 0, f"{one.name} ended with {code}"
        media.sync(job.destination)
        kept = linux.cached_pages(file.fileno()) / max(had, 1)
    after = media.cached() - before
    return Disturbance(max(seen.page_cache - before, 0), after, _cached_of(job.destination), kept)


def _cached_of(root: Path) -> int:
    """Return how much of the files below a folder is cached, in bytes."""
    pages = 0
    for path in root.rglob("*.mkv"):
        with path.open("rb", buffering=0) as file:
            pages += linux.cached_pages(file.fileno())
    return pages * mmap.PAGESIZE
