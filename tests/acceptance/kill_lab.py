"""Killing the real program at chosen moments, and judging what is on the disks right after it."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import lab
from lab import Entry, Running
from lab.aftermath import HIDDEN, PART, PREFIX, Aftermath, names_below
from lab.processes import children_of

ATTEMPTS = 4  # a kill that came too late is tried again, earlier
PATIENCE = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Golden:
    """An array before anything was done to it: the image of its full disk, and what its files are."""

    image: Path
    file_system: str
    receiver: str  # file system of the empty disk
    originals: Mapping[bytes, Entry]
    duration: float  # seconds that the worker takes when nobody kills it
    at_once: int = 1  # moves; with more than one the disks are said to have no heads


@dataclass(slots=True)
class Array:
    """One copy of the golden array, with state folders of its own."""

    disks: tuple[Path, Path]
    state: Path
    at_once: int = 1

    @property
    def arguments(self) -> list[str | Path]:
        return ["--disk", self.disks[0], "--disk", self.disks[1], "run", "--yes", f"--moves-at-once={self.at_once}"]

    @property
    def operations(self) -> list[Path]:
        """The journal. A file that was being written when its writer was killed is none yet; cleanup collects those."""
        return sorted((self.state / "config/operations").glob("[!.]*"))

    @property
    def records(self) -> list[Path]:
        return sorted((self.state / "config/executions").glob("*.json"))


@dataclass(slots=True)
class Tally:
    """What the campaign saw."""

    hits: Counter[str] = field(default_factory=Counter)  # by who was killed and at which moment
    too_late: int = 0
    hidden: int = 0  # files that waited in hidden folders
    only_hidden: int = 0  # those of them that nobody could see anywhere
    kills_with_hidden: int = 0
    on_both: int = 0  # files that were whole on both disks
    parts: int = 0
    recoveries: Counter[int] = field(default_factory=Counter)  # runs that were needed

    def note(self, kill: str, aftermath: Aftermath) -> None:
        self.hits[kill] += 1
        self.hidden += len(aftermath.hidden)
        self.only_hidden += len(aftermath.only_hidden)
        self.kills_with_hidden += bool(aftermath.hidden)
        self.on_both += len(aftermath.on_both)
        self.parts += aftermath.parts


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: at a random time after what it is named for; the sooner, the more haste."""

    name: str
    chance: random.Random
    haste: int = 0


@contextmanager
def array_copy(golden: Golden, folder: Path) -> Iterator[Array]:
    """Mount a copy of the golden disk beside a new empty one; the images go with the block."""
    state = folder / "state"
    state.mkdir(parents=True, mode=0o700)
    try:
        with (
            lab.disk_copy(golden.image, folder / "full", golden.file_system) as full,
            lab.disk(folder / "empty", golden.receiver, 350) as empty,
        ):
            for disk in (full, empty) if golden.at_once > 1 else ():
                lab.disks.set_rotational(disk, rotational=False)
            yield Array((full, empty), state, golden.at_once)
    finally:
        for image in folder.glob("*.img"):
            image.unlink()


# -- who and when ------------------------------------------------------------------------------------------------


def worker_of(supervisor: Running) -> int | None:
    """Return the number of the supervisor's living worker."""
    for number in children_of(supervisor.pid):
        with suppress(OSError):
            if b"rebalancer.transfer.worker" in Path(f"/proc/{number}/cmdline").read_bytes():
                return number
    return None


def is_living(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return text[text.rindex(b")") + 2 : text.rindex(b")") + 3] not in {b"Z", b"X"}


def wait_for_worker(supervisor: Running) -> int:
    deadline = time.monotonic() + PATIENCE
    while (pid := worker_of(supervisor)) is None:
        assert supervisor.poll() is None, "the run ended before it had a worker"
        assert time.monotonic() < deadline, "no worker was started"
    return pid


def wait_for_moment(moment: Moment, array: Array, golden: Golden, worker: int) -> None:
    """Return when it has come, or when the worker ended before."""
    share = moment.chance.random() * 0.9 / (moment.haste + 1)
    if moment.name == "time":
        time.sleep(share * golden.duration)
        return
    count, delay = _COUNTS[moment.name]
    wanted = 1 + int(share * 6)  # the n-th of its kind
    while is_living(worker) and count(array) < wanted:
        pass
    time.sleep(share * delay)


def kill(victim: str, supervisor: Running, worker: int) -> bool:
    """End one or both as if there were no tomorrow; return whether the worker was alive until then.

    A lane is one of the processes that move for the worker: the last, as there may be none yet.
    """
    victims = {"worker": [worker], "supervisor": [supervisor.pid], "both": [supervisor.pid, worker]}
    numbers = children_of(worker)[-1:] if victim == "lane" else victims[victim]
    handles = []
    with suppress(ProcessLookupError):
        handles = [os.pidfd_open(number) for number in numbers]
    try:
        for handle in handles if len(handles) > 1 else []:
            signal.pidfd_send_signal(handle, signal.SIGSTOP)  # neither may answer the other's death
        was_alive = is_living(worker) and 0 < len(handles) == len(numbers)
        for handle in handles:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        was_alive = False
    finally:
        for handle in handles:
            os.close(handle)
    return was_alive


def _journals(array: Array) -> int:
    return 6 * len(array.operations)


def _parts(array: Array) -> int:
    return sum(name.startswith(PREFIX) and name.endswith(PART) for name in names_below(array.disks[1]))


def _appeared(array: Array) -> int:
    return sum(not name.startswith(PREFIX) for name in names_below(array.disks[1])) // 12


def _hidden(array: Array) -> int:
    return 6 * any(name.startswith(PREFIX) and name.endswith(HIDDEN) for name in names_below(array.disks[0]))


# what can be counted on the disks at that moment, and for how many seconds afterwards it may last
_COUNTS: dict[str, tuple[Callable[[Array], int], float]] = {
    "journal written": (_journals, 0.2),
    "copying": (_parts, 0.05),
    "appeared": (_appeared, 0.05),
    "hidden": (_hidden, 0.09),
}
MOMENTS = ("time", *_COUNTS)
