"""An equal file that stands at the destination already ends up as the only one; anything else is a conflict."""

import os
from pathlib import Path

import pytest

import lab
from lab import MakeDisk
from transfer.bench import Bench, own_names

MOMENT = 1_500_000_000_123_456_789


@pytest.fixture
def disks(make_disk: MakeDisk) -> tuple[Path, Path]:
    return make_disk("ext4", 32, "disk1"), make_disk("xfs", 300, "disk2")


def put(root: Path, content: bytes = b"the same" * 1_000, *, name: str = "s/u/it") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o640)
    os.utime(path, ns=(MOMENT, MOMENT))
    return path


def test_an_equal_file_at_the_destination_becomes_the_only_one(bench: Bench, disks: tuple[Path, Path]) -> None:
    put(disks[0])
    inode = put(disks[1]).stat().st_ino

    outcome = bench.move("s/u", *disks)

    assert (outcome.left, outcome.files_moved) == ({}, 1)
    assert (disks[1] / "s/u/it").stat().st_ino == inode
    assert (disks[1] / "s/u/it").read_bytes() == b"the same" * 1_000
    assert os.listdir(disks[0] / "s") == []


def test_an_equal_symlink_at_the_destination_becomes_the_only_one(bench: Bench, disks: tuple[Path, Path]) -> None:
    for root in disks:
        (root / "s/u").mkdir(parents=True)
        (root / "s/u/it").symlink_to("target")
        os.utime(root / "s/u/it", ns=(MOMENT, MOMENT), follow_symlinks=False)

    outcome = bench.move("s/u", *disks)

    assert (outcome.left, outcome.files_moved) == ({}, 1)
    assert os.readlink(disks[1] / "s/u/it") == "target"
    assert os.listdir(disks[0] / "s") == []


@pytest.mark.parametrize("present", [("first",), ("second", "third"), ("first", "second", "third")])
def test_a_hard_link_group_of_which_the_destination_has_some_names_is_completed(
    bench: Bench, disks: tuple[Path, Path], present: tuple[str, ...]
) -> None:
    source, destination = disks
    first = put(source, name="s/u/first")
    for name in ("second", "third"):
        (source / "s/u" / name).hardlink_to(first)
    before = lab.snapshot(source)
    twin = put(destination, name=f"s/u/{present[0]}")
    for name in present[1:]:
        (destination / "s/u" / name).hardlink_to(twin)

    outcome = bench.move("s/u", source, destination)

    assert (outcome.left, outcome.files_moved) == ({}, 3)
    assert lab.difference(before, lab.snapshot(destination), ignore_folder_times=True) == []
    assert os.listdir(source / "s") == []


def test_names_of_a_hard_link_group_that_are_two_files_at_the_destination_are_a_conflict(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    source, destination = disks
    (source / "s/u/second").parent.mkdir(parents=True)
    (source / "s/u/second").hardlink_to(put(source))
    put(destination)
    put(destination, name="s/u/second")
    before = lab.snapshot(source), lab.snapshot(destination)

    outcome = bench.move("s/u", source, destination)

    assert outcome.conflicts == {b"s/u/it", b"s/u/second"}
    assert (lab.snapshot(source), lab.snapshot(destination)) == before


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("content", lambda path: put(path.parents[2], b"THE SAME" * 1_000)),
        ("size", lambda path: put(path.parents[2], b"the same" * 999)),
        ("owner", lambda path: os.chown(path, 99, 100)),
        ("mode", lambda path: path.chmod(0o600)),
        ("modification time", lambda path: os.utime(path, ns=(MOMENT, MOMENT + 1))),
        ("user.note", lambda path: os.setxattr(path, "user.note", b"mine")),
    ],
)
def test_anything_that_differs_is_a_conflict_and_both_stay(
    bench: Bench, disks: tuple[Path, Path], what: str, change: object
) -> None:
    put(disks[0])
    put(disks[0], name="s/u/else")
    assert callable(change)
    change(put(disks[1]))
    before = lab.snapshot(disks[0])[b"s/u/it"], lab.snapshot(disks[1])[b"s/u/it"]

    outcome = bench.move("s/u", *disks)

    assert outcome.conflicts == {b"s/u/it"} == set(outcome.left)
    assert what in outcome.left[b"s/u/it"]
    assert (lab.snapshot(disks[0])[b"s/u/it"], lab.snapshot(disks[1])[b"s/u/it"]) == before
    assert os.listdir(disks[0] / "s/u") == ["it"]
    assert own_names(*disks) == []


def test_an_equal_file_that_somebody_has_open_is_not_adopted_now(bench: Bench, disks: tuple[Path, Path]) -> None:
    put(disks[0])

    with put(disks[1]).open("rb"):
        outcome = bench.move("s/u", *disks)

    assert "in use" in outcome.left[b"s/u/it"]
    assert (disks[0] / "s/u/it").exists()
    assert (disks[1] / "s/u/it").exists()
