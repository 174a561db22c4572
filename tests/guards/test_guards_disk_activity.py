import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import MakeDisk
from rebalancer.array.discovery import find_disks
from rebalancer.array.disk import Disk
from rebalancer.guards.disk_activity import DiskActivityGuard
from rebalancer.guards.guard import Moment
from rebalancer.settings import Settings

MIB = 2**20
WRITE = """
import os, sys
for line in sys.stdin:
    with open(sys.argv[1], "wb") as file:
        file.write(os.urandom(int(line)))
        file.flush()
        os.fsync(file.fileno())
    print("written", flush=True)
"""


class Writer:
    """Another process that writes when it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def write(self, size: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{size}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "written\n"


@contextmanager
def writer(path: Path) -> Iterator[Writer]:
    command = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Writer(process)
        process.communicate("")


def found(*roots: Path) -> tuple[Disk, ...]:
    return find_disks(root=Path("/"), settings=Settings(), named=tuple(map(str, roots)))


def now(disks: tuple[Disk, ...], *own: int, root: Path = Path("/")) -> Moment:
    return Moment(at=10.0, root=root, disks=disks, own=frozenset(own))


@pytest.mark.parametrize("file_system", ["ext4", "btrfs"])  # of which the device that stat(2) names is none
def test_what_others_write_to_a_disk_holds(make_disk: MakeDisk, file_system: str) -> None:
    quiet, busy = make_disk(file_system, 128, "disk1"), make_disk(file_system, 128, "disk2")
    with writer(busy / "file") as other:
        guard = DiskActivityGuard(20 * MIB, rest=lambda _: other.write(30 * MIB))

        hold = guard.look(now(found(quiet, busy)))

    assert hold is not None
    assert hold.guard == "disk-activity"
    assert hold.reason.startswith("others read and write 6")
    assert hold.reason.endswith(" MB/s on disk2 (at most 21.0 MB/s), taken over 0.5 s")


def test_what_our_own_processes_write_does_not(make_disk: MakeDisk) -> None:
    roots = make_disk("ext4", 128, "disk1"), make_disk("ext4", 128, "disk2")
    with writer(roots[1] / "file") as worker:
        guard = DiskActivityGuard(20 * MIB, rest=lambda _: worker.write(30 * MIB))

        assert guard.look(now(found(*roots), worker.process.pid)) is None


def test_what_others_write_is_seen_beside_our_own_work(make_disk: MakeDisk) -> None:
    roots = make_disk("ext4", 128, "disk1"), make_disk("ext4", 128, "disk2")
    with writer(roots[0] / "file") as worker, writer(roots[1] / "file") as other:

        def rest(_: float) -> None:
            worker.write(50 * MIB)
            other.write(30 * MIB)

        hold = DiskActivityGuard(20 * MIB, rest=rest).look(now(found(*roots), worker.process.pid))

    assert hold is not None
    assert hold.reason.startswith("others read and write 6")


def test_a_disk_without_a_device_of_its_own_holds_and_says_what_to_do(make_disk: MakeDisk) -> None:
    hold = DiskActivityGuard(MIB).look(now(found(make_disk("tmpfs", 8, "disk1"))))

    assert hold is not None
    assert hold.reason == (
        "how busy disk1 is cannot be told: its file system (tmpfs) has no row of its own in /proc/diskstats; "
        "do without a limit of disk activity"
    )


# -- devices that are not here ----------------------------------------------------------------------------------


def row(major: int, minor: int, name: str, read: int, written: int) -> str:
    return f" {major:3} {minor:7} {name} 9 9 {read // 512} 9 9 9 {written // 512} 9 0 9 9 0 0 0 0 0 0\n"


def disk(name: str, major: int, minor: int) -> Disk:
    return Disk(name=name, path=f"/mnt/{name}", size_bytes=1, used_bytes=0, device=os.makedev(major, minor))


def listed(root: Path, *rows: str) -> None:
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/diskstats").write_text("".join(rows))


def test_unraid_counts_for_the_whole_device_what_goes_to_its_partition(tmp_path: Path) -> None:
    def rest(_: float) -> None:
        listed(tmp_path, row(9, 1, "md1", 0, 40 * MIB), row(259, 3, "md1p1", 0, 0))

    listed(tmp_path, row(9, 1, "md1", 0, 0), row(259, 3, "md1p1", 0, 0))
    hold = DiskActivityGuard(MIB, rest=rest).look(now((disk("disk1", 259, 3),), root=tmp_path))

    assert hold is not None
    assert " 83.9 MB/s on disk1 " in hold.reason


def test_an_encrypted_disk_has_the_row_of_its_mapping(tmp_path: Path) -> None:
    def rest(_: float) -> None:
        listed(tmp_path, row(9, 1, "md1", 0, 0), row(253, 0, "dm-0", 10 * MIB, 0))

    listed(tmp_path, row(9, 1, "md1", 0, 0), row(253, 0, "dm-0", 0, 0))
    hold = DiskActivityGuard(MIB, rest=rest).look(now((disk("disk1", 253, 0),), root=tmp_path))

    assert hold is not None
    assert " 21.0 MB/s on disk1 " in hold.reason


def test_it_lets_go_after_a_quiet_while_and_not_at_once(tmp_path: Path) -> None:
    disks = (disk("disk1", 8, 1),)
    listed(tmp_path, row(8, 1, "sda1", 0, 0))
    guard = DiskActivityGuard(
        MIB, rest=lambda _: listed(tmp_path, "torn\n", row(8, 1, "sda1", 10 * MIB, 10 * MIB), "8 2 sdb\n")
    )
    looks = [guard.look(Moment(at=100.0 + 2 * n, root=tmp_path, disks=disks)) for n in range(20)]

    assert looks[0] is not None
    assert looks[:7] == [looks[0]] * 7
    assert looks[-1] is None


@pytest.mark.parametrize("text", ["", "9 1\n", "nothing of the kind\n"])
def test_what_cannot_be_read_holds(tmp_path: Path, text: str) -> None:
    listed(tmp_path, text)

    hold = DiskActivityGuard(MIB).look(now((disk("disk1", 8, 1),), root=tmp_path))

    assert hold is not None
    assert "cannot be told" in hold.reason


def test_what_nobody_asked_for_is_not_looked_at(tmp_path: Path) -> None:
    listed(tmp_path, "")

    assert DiskActivityGuard(None).look(now((disk("disk1", 8, 1),), root=tmp_path)) is None
