"""Room that a failed copy had taken is given back within a second, and the copy that failed leaves nothing."""

import os
from pathlib import Path

import pytest

import lab
from lab import MakeDisk
from transfer.bench import Bench, own_names, wait_until

MIB = 2**20
SIZES = {"ext4": 64, "xfs": 300, "btrfs": 128, "tmpfs": 64}


def free(root: Path) -> int:
    figures = os.statvfs(root)
    return figures.f_bfree * figures.f_frsize


def take_all_but(root: Path, rest: int) -> None:
    """Take the room of a disk with one file; space is allocated, not written."""
    with (root / "filler").open("wb") as file:
        figures = os.statvfs(root)
        os.posix_fallocate(file.fileno(), 0, figures.f_bavail * figures.f_frsize - rest)


def is_back(disk: Path, before: int, filler: int) -> bool:
    return free(disk) >= before - filler - MIB


@pytest.mark.parametrize("file_system", list(SIZES))
def test_a_copy_that_finds_the_disk_full_gives_its_room_back_within_a_second(
    bench: Bench, make_disk: MakeDisk, file_system: str
) -> None:
    source, destination = make_disk("ext4", 64, "disk1"), make_disk(file_system, SIZES[file_system], "disk2")
    (source / "s/u").mkdir(parents=True)
    (source / "s/u/it").write_bytes(os.urandom(24 * MIB))
    originals = lab.snapshot(source)
    os.sync()
    before = free(destination)
    bench.control.limit(20 * MIB)

    with bench.meanwhile(lambda: take_all_but(destination, 8 * MIB)):
        outcome = bench.move("s/u", source, destination)

    filler = (destination / "filler").stat().st_blocks * 512
    wait_until(lambda: is_back(destination, before, filler), seconds=1)
    assert "no space" in outcome.failure
    assert lab.difference(originals, lab.snapshot(source)) == []
    assert own_names(source, destination) == []


def test_a_copy_that_finds_no_inode_left_gives_everything_back(bench: Bench, make_disk: MakeDisk) -> None:
    source = make_disk("ext4", 16, "disk1")
    destination = make_disk("tmpfs", 16, "disk2", options="noatime,nr_inodes=4")  # itself, two folders, one file
    (source / "s/u").mkdir(parents=True)
    for name in ("first", "second"):
        (source / "s/u" / name).write_bytes(os.urandom(MIB))
    originals = lab.snapshot(source)
    before = os.statvfs(destination)

    outcome = bench.move("s/u", source, destination)

    after = os.statvfs(destination)
    moved = sum(path.is_file() for path in destination.rglob("*"))
    assert "inodes" in outcome.failure
    assert before.f_bfree - after.f_bfree == moved * MIB // after.f_frsize
    assert after.f_ffree == before.f_ffree - 2 - moved
    assert lab.difference(originals, lab.snapshot_array([source, destination]), ignore_folder_times=True) == []
    assert own_names(source, destination) == []
