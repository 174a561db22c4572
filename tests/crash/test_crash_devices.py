"""L5: a device that fails at a random moment of a move costs no file, shows none half, and delays the rest only."""

import os
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import lab
from crash.devices import FailingDisk, btrfs_with_quota, damaged_ext4, device_with_errors, thin_device, vanishing_device
from crash.figures import Figures
from lab.aftermath import look, own_names
from transfer.bench import Bench, Worked, ended

MIB = 2**20
UNITS = [f"s/u{number}" for number in range(5)]
SIZES = {"ext4": 64, "xfs": 320, "btrfs": 128}
TRIES = 10  # a fault that comes when the work is done is tried again at another moment
STARTS = 3  # within so many starts after the repair everything must be as if nothing had happened
SEED = os.environ.get("REBALANCER_CRASH_SEED") or str(random.SystemRandom().randrange(10**6))

Make = Callable[[Path], AbstractContextManager[FailingDisk]]

pytestmark = [
    pytest.mark.needs_loop_disks("ext4"),
    pytest.mark.needs_loop_disks("xfs"),
    pytest.mark.needs_loop_disks("btrfs"),
]
needs_server = pytest.mark.needs_tool("nbdkit", "nbdfuse", "fusermount3", "setpriv")


def rounds(few: int, many: int) -> list[object]:
    """Give a few rounds to `make test` and many to the long campaign."""
    return [few, pytest.param(many, marks=pytest.mark.long)]


@dataclass(eq=False)
class Campaign:
    """Rounds of one fault, each on new disks: the fault strikes a real worker, is mended, and the work goes on."""

    folder: Path
    make: Make
    is_source: bool
    figures: Figures
    is_struck_first: bool = False  # the fault waits for the worker, not for a moment
    rate: int = 25 * MIB
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))  # noqa: S311 - repeatable, no secret
    seconds: float = 0.0  # that an undisturbed run takes

    def run(self, count: int) -> None:
        if not self.is_struck_first:
            self._round(self.folder / "rehearsal", rehearse=True)
        for number in range(count):
            fired = any(self._round(self.folder / f"{number}.{attempt}") for attempt in range(TRIES))
            self.figures.points += 1
            self.figures.fired += fired
        self.figures.publish()

    def _round(self, folder: Path, *, rehearse: bool = False) -> bool:
        """Return whether the fault came in time to disturb the worker; what it left is judged in any case."""
        with ExitStack() as stack:
            other = stack.enter_context(lab.disk(folder / "mnt/other", "ext4", 64))
            failing = stack.enter_context(self.make(folder / "mnt/failing"))
            disks = (failing.root, other) if self.is_source else (other, failing.root)
            write_units(disks[0], self.chance)
            originals = lab.snapshot(disks[0])
            failing.mend()  # mounted anew, it has nothing in its cache
            bench = Bench(folder)
            if rehearse:
                began = time.monotonic()
                assert bench.work(bench.operation(UNITS, *disks, rate=self.rate)).left == {}
                self.seconds = time.monotonic() - began
                return True
            worked = self._struck(bench, disks, failing)
            assert not [reason for reason in worked.left.values() if reason.startswith("other:")], worked.left
            has_fired = worked.left != {} and failing.has_fired(str(worked.left))
            failing.mend()
            self._judge(disks, originals)
            self._recover(bench, disks, originals)
        if not has_fired:
            self.figures.note("came too late")
        return has_fired

    def _struck(self, bench: Bench, disks: tuple[Path, Path], failing: FailingDisk) -> Worked:
        if self.is_struck_first:
            failing.strike()
            return self._work(bench, disks)
        with bench.start(bench.operation(UNITS, *disks, rate=self.rate)) as process:
            time.sleep(self.chance.uniform(0.1, 1.0) * self.seconds)
            failing.strike()
            return ended(process)

    def _work(self, bench: Bench, disks: tuple[Path, Path], *flags: str) -> Worked:
        return bench.work(bench.operation(UNITS, *disks), *flags)

    def _judge(self, disks: tuple[Path, Path], originals: lab.originals.Originals) -> None:
        found = look(disks, originals)
        self.figures.states += 1
        self.figures.lost += len(found.lost) + len(found.only_hidden)
        self.figures.half += len(found.halves)
        self.figures.note("files on both disks", len(found.on_both))
        if found.lost or found.only_hidden or found.halves:
            print(f"lost {found.lost}, invisible {found.only_hidden}, half {found.halves}")  # noqa: T201

    def _recover(self, bench: Bench, disks: tuple[Path, Path], originals: lab.originals.Originals) -> None:
        """Let later runs, which finish first what was begun, bring everything to its end."""
        for _ in range(STARTS):
            self._work(bench, disks, "--only-begun")
            self._work(bench, disks)
            if not (problems := _problems(disks, originals)):
                return
        self.figures.unrecovered += 1
        print(problems)  # noqa: T201 - shown with the failure


def _problems(disks: tuple[Path, Path], originals: lab.originals.Originals) -> list[str]:
    here = [f"{path!r} is at the source" for path, entry in lab.snapshot(disks[0]).items() if entry.kind != "folder"]
    left_over = [f"{name!r} is left over" for name in own_names(disks)]
    return here + left_over or lab.difference(originals, lab.snapshot_array(disks), ignore_folder_times=True)


def write_units(root: Path, chance: random.Random) -> None:
    """Write folders with a large file, small ones, a link, and one file of two names."""
    for unit in UNITS:
        folder = root / unit / "deep"
        folder.mkdir(parents=True)
        (folder / "large").write_bytes(chance.randbytes(chance.randrange(2 * MIB, 4 * MIB)))
        for number in range(8):
            (folder / f"small {number}").write_bytes(chance.randbytes(chance.randrange(1, 9_000)))
        (folder / "second name").hardlink_to(folder / "small 0")
        (folder / "link").symlink_to("large")


few_or_many = pytest.mark.parametrize(
    ("file_system", "is_source", "count"),
    [
        ("ext4", True, 1),
        ("xfs", False, 1),
        pytest.param("ext4", True, 20, marks=pytest.mark.long),
        pytest.param("ext4", False, 20, marks=pytest.mark.long),
        pytest.param("xfs", True, 20, marks=pytest.mark.long),
        pytest.param("xfs", False, 20, marks=pytest.mark.long),
    ],
)


def figures(what: str, file_system: str, *, is_source: bool) -> Figures:
    where = f"failing {file_system} -> ext4" if is_source else f"ext4 -> failing {file_system}"
    return Figures(campaign="L5", what=what, where=where, seed=SEED)


@needs_server
@few_or_many
def test_a_device_that_answers_with_input_output_errors(
    tmp_path: Path, file_system: str, is_source: bool, count: int
) -> None:
    def make(at: Path) -> AbstractContextManager[FailingDisk]:
        return device_with_errors(at, file_system, SIZES[file_system])

    found = figures("every request to the device is answered with EIO", file_system, is_source=is_source)
    Campaign(tmp_path, make, is_source, found).run(count)


@pytest.mark.parametrize(
    ("file_system", "count"),
    [
        ("ext4", 1),
        ("btrfs", 1),
        *[pytest.param(file_system, 9, marks=pytest.mark.long) for file_system in ("ext4", "xfs", "btrfs")],
    ],
)
def test_a_device_that_promised_more_room_than_it_has(tmp_path: Path, file_system: str, count: int) -> None:
    chance = random.Random(SEED)  # noqa: S311 - repeatable, no secret

    def make(at: Path) -> AbstractContextManager[FailingDisk]:
        return thin_device(at, file_system, SIZES[file_system], room_mib=chance.randrange(1, 9))

    found = figures("a thin device is full below a file system that has room", file_system, is_source=False)
    Campaign(tmp_path, make, False, found, is_struck_first=True).run(count)


@pytest.mark.parametrize("count", rounds(1, 20))
@pytest.mark.parametrize("is_source", [True, False], ids=["source", "destination"])
def test_a_file_system_that_turns_read_only_in_the_middle(tmp_path: Path, is_source: bool, count: int) -> None:
    found = figures("the kernel finds the file system damaged and makes it read-only", "ext4", is_source=is_source)
    Campaign(tmp_path, lambda at: damaged_ext4(at, 64), is_source, found).run(count)


@few_or_many
def test_a_device_that_is_gone_and_comes_back(tmp_path: Path, file_system: str, is_source: bool, count: int) -> None:
    def make(at: Path) -> AbstractContextManager[FailingDisk]:
        return vanishing_device(at, file_system, SIZES[file_system])

    found = figures("the device is gone from one moment to the next", file_system, is_source=is_source)
    Campaign(tmp_path, make, is_source, found).run(count)


@pytest.mark.parametrize("count", rounds(1, 5))
def test_a_quota_that_is_used_up(tmp_path: Path, count: int) -> None:
    chance = random.Random(SEED)  # noqa: S311 - repeatable, no secret

    def make(at: Path) -> AbstractContextManager[FailingDisk]:
        return btrfs_with_quota(at, SIZES["btrfs"], room_mib=chance.randrange(2, 9))

    found = figures("the destination's quota is used up (EDQUOT)", "btrfs", is_source=False)
    Campaign(tmp_path, make, False, found, is_struck_first=True).run(count)
