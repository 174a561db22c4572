"""L5: a single bit that goes wrong on its way or on the medium is never taken for the file, if `full` verifies it."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest

import lab
from crash.figures import Figures
from crash.flips import Bit, any_bit, forget
from lab import MakeDisk
from rebalancer.array.medium import medium_of
from rebalancer.planning.selection import Verification
from rebalancer.transfer import sides
from transfer.bench import Bench, Worked, disks_at, ended, own_names, wait_until

MIB = 2**20
SIZE = 5 * MIB
SIZES = {"ext4": 64, "xfs": 300, "btrfs": 128}
UNIT, NAME = "s/u", "s/u/it"
SEED = os.environ.get("REBALANCER_CRASH_SEED") or str(random.SystemRandom().randrange(10**6))

pytestmark = pytest.mark.needs_tool("strace")


class Fault(StrEnum):
    """Where the bit goes wrong; the first three are as it is on the medium at that moment, the last is in memory."""

    FIRST_READ = "first read of the source"
    SECOND_READ = "second read of the source"
    COPY = "read of the copy"
    WRITE = "write of the copy"


@dataclass(eq=False)
class Flips:
    """Moves one file again and again between two disks while one bit of it goes wrong."""

    bench: Bench
    source: Path
    destination: Path
    size: int = SIZE
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))  # noqa: S311 - repeatable, no secret
    content: bytes = b""
    has_fired: bool = False

    def move(self, fault: Fault) -> Worked:
        """Write the file anew and move it under that fault."""
        self._clear()
        self.content, self.has_fired = self.chance.randbytes(self.size), False
        (self.source / UNIT).mkdir(parents=True)
        (self.source / NAME).write_bytes(self.content)
        forget(self.source / NAME)
        moves: dict[Fault, Callable[[], Worked]] = {
            Fault.FIRST_READ: self._first_read,
            Fault.SECOND_READ: self._second_read,
            Fault.COPY: self._copy,
            Fault.WRITE: self._write,
        }
        return moves[fault]()

    def is_wrong_accepted(self) -> bool:
        """Return whether the destination shows a file that is not the original."""
        copy = self.destination / NAME
        return copy.exists() and copy.read_bytes() != self.content

    def is_right_somewhere(self) -> bool:
        return any((disk / NAME).exists() and (disk / NAME).read_bytes() == self.content for disk in self._disks)

    def is_moved_by_the_next_run(self) -> bool:
        self.bench.work(self.bench.operation([UNIT], *self._disks))
        copy = self.destination / NAME
        return copy.exists() and copy.read_bytes() == self.content and not (self.source / NAME).exists()

    @property
    def _disks(self) -> tuple[Path, Path]:
        return self.source, self.destination

    def _first_read(self) -> Worked:
        bit = self._bit(self.source, self.source / NAME)
        bit.flip()

        def repair(part: Path) -> None:
            self.has_fired = bit.is_wrong_in(part)
            bit.flip_back()

        worked = self._paused(repair)
        if not self.has_fired:  # btrfs noticed and gave nothing at all
            self.has_fired = "it cannot be read" in str(worked.left)
            bit.flip_back()
        if (self.source / NAME).exists():
            forget(self.source / NAME)
        return worked

    def _second_read(self) -> Worked:
        bit = self._bit(self.source, self.source / NAME)

        def spoil(_: Path) -> None:
            bit.flip()
            self.has_fired = True

        worked = self._paused(spoil)
        if (self.source / NAME).exists():
            bit.flip_back()
            forget(self.source / NAME)
        return worked

    def _copy(self) -> Worked:
        def spoil(part: Path) -> None:
            self._bit(self.destination, part).flip()
            self.has_fired = True

        return self._paused(spoil)

    def _write(self) -> Worked:
        trace, number = self.bench.folder / "trace", self.chance.randrange(self.size // MIB)
        wrong = self.content[number * MIB] ^ 1 << self.chance.randrange(8)
        fault = ["-e", "trace=pwrite64", "-e", f"inject=pwrite64:poke_enter=@arg2={wrong:02x}:when={number + 1}"]
        worked = self.bench.work(
            self.bench.operation([UNIT], *self._disks), under=["strace", "-f", "-qq", "-o", str(trace), *fault]
        )
        self.has_fired = trace.read_text().count("(INJECTED") == 1
        return worked

    def _bit(self, disk: Path, file: Path) -> Bit:
        return any_bit(disk, file, self.content, self.chance, below=2 * MIB)

    def _paused(self, act: Callable[[Path], None]) -> Worked:
        """Run the real worker; once it has copied more than the part with the bit, act while it stands still."""
        operation = self.bench.operation([UNIT], *self._disks, rate=15 * MIB)
        with self.bench.start(operation) as process:
            wait_until(lambda: process.poll() is not None or self._copied() >= 3 * MIB)
            if process.poll() is None:
                process.send_signal(signal.SIGUSR1)
                self._wait_until_it_stands_still()
                act(self._part())
                process.send_signal(signal.SIGUSR2)
            return ended(process)

    def _wait_until_it_stands_still(self) -> None:
        copied = -1
        while copied != (copied := self._copied()):
            time.sleep(0.12)

    def _copied(self) -> int:
        try:
            return self._part().stat().st_size
        except OSError:
            return 0

    def _part(self) -> Path:
        names = os.listdir(self.destination / UNIT)
        return self.destination / UNIT / next((name for name in names if name.endswith(".part")), "not yet")

    def _clear(self) -> None:
        for disk in self._disks:
            shutil.rmtree(disk / "s", ignore_errors=True)
            subprocess.run(["sync", "--file-system", disk], check=True)


@pytest.mark.parametrize(
    ("file_systems", "count"),
    [
        (("ext4", "xfs"), 4),
        pytest.param(("ext4", "xfs"), 20, marks=pytest.mark.long),
        pytest.param(("xfs", "btrfs"), 16, marks=pytest.mark.long),
        pytest.param(("btrfs", "ext4"), 16, marks=pytest.mark.long),
    ],
)
def test_no_wrong_file_is_accepted_whichever_bit_goes_wrong_where(
    tmp_path: Path, make_disk: MakeDisk, file_systems: tuple[str, str], count: int
) -> None:
    figures = Figures("L5", "one bit goes wrong, verified in full", " -> ".join(file_systems), seed=SEED)
    disks = [make_disk(name, SIZES[name], f"disk{number}") for number, name in enumerate(file_systems, start=1)]
    flips = Flips(Bench(tmp_path), disks[0], disks[1])

    for number in range(count):
        _try(flips, list(Fault)[number % len(Fault)], figures)
    figures.publish()

    assert sum(figures.notes.values()) == count, "a wrong bit was not noticed"


def test_no_wrong_file_is_accepted_when_both_sides_are_read_at_once(tmp_path: Path, make_disk: MakeDisk) -> None:
    figures = Figures("L5", "one bit goes wrong, both sides verified at once", "ext4 -> xfs", seed=SEED)
    with ExitStack() as stack:
        source = stack.enter_context(lab.disk(make_disk("tmpfs", 80, "memory1") / "disk1", "ext4", 64))
        destination = stack.enter_context(lab.disk(make_disk("tmpfs", 320, "memory2") / "disk2", "xfs", 300))
        one, other = (medium_of(disk) for disk in disks_at(source, destination))
        assert not one.spindles & other.spindles
        flips = Flips(Bench(tmp_path), source, destination, size=sides.WORTH_A_THREAD + 5)

        for fault in Fault:
            _try(flips, fault, figures)
        figures.publish()

        assert sum(figures.notes.values()) == len(Fault), "a wrong bit was not noticed"


def test_fast_verification_takes_a_bad_first_read_of_the_source_for_the_file(
    tmp_path: Path, make_disk: MakeDisk
) -> None:
    """This is what `fast` costs: the copy is what was read, and nobody reads the source a second time."""
    bench = Bench(tmp_path, verify=Verification.FAST)
    flips = Flips(bench, make_disk("ext4", 64, "disk1"), make_disk("xfs", 300, "disk2"))

    worked = flips.move(Fault.FIRST_READ)

    assert flips.has_fired
    assert worked.left == {}
    assert flips.is_wrong_accepted()
    assert not flips.is_right_somewhere()


@pytest.mark.parametrize("fault", [Fault.COPY, Fault.WRITE])
def test_fast_verification_finds_what_goes_wrong_on_the_destination(
    tmp_path: Path, make_disk: MakeDisk, fault: Fault
) -> None:
    bench = Bench(tmp_path, verify=Verification.FAST)
    flips = Flips(bench, make_disk("ext4", 64, "disk1"), make_disk("xfs", 300, "disk2"))

    worked = flips.move(fault)

    assert flips.has_fired
    assert worked.left == {NAME: "what was read again from disk2 differs from what was copied"}
    assert flips.is_right_somewhere()
    assert lab.snapshot(flips.destination).keys() <= {b"s", b"s/u"}


def _try(flips: Flips, fault: Fault, figures: Figures) -> None:
    """Move a file while one bit goes wrong, let the next run finish, and count what came of it."""
    worked = flips.move(fault)

    figures.points += 1
    figures.fired += flips.has_fired
    figures.states += 1
    figures.half += flips.is_wrong_accepted()
    figures.lost += not flips.is_right_somewhere()
    figures.note(f"found: {fault}", NAME in worked.left)
    figures.unrecovered += not flips.is_moved_by_the_next_run() or bool(own_names(flips.source, flips.destination))
