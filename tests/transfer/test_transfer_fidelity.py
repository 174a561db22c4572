"""What arrives on the other disk is what stood on the first, down to the last attribute."""

import os
from pathlib import Path

import pytest

import lab
from lab import MakeDisk
from transfer.bench import Bench, own_names

_DAY = 86_400 * 10**9


def times(root: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            status = os.lstat(os.path.join(folder, name))
            found[os.path.relpath(os.path.join(folder, name), root)] = (status.st_atime_ns, status.st_mtime_ns)
    found.pop("lost+found", None)
    return found


def units(root: Path) -> list[bytes]:
    """Return all folders and loose files of the shares."""
    shares = [share for share in lab.trees.SHARES if (root / share).is_dir()]
    return [os.fsencode(f"{share}/{name}") for share in shares for name in sorted(os.listdir(root / share))]


@pytest.mark.parametrize(("before", "after"), [("ext4", "xfs"), ("xfs", "btrfs"), ("btrfs", "ext4"), ("ext4", "tmpfs")])
def test_a_moved_tree_is_the_tree_it_was_in_every_attribute(
    bench: Bench, make_disk: MakeDisk, before: str, after: str
) -> None:
    source, destination = make_disk(before, 300, "disk1"), make_disk(after, 300, "disk2")
    lab.write_tree(source, files=150, seed=5)
    originals, original_times = lab.snapshot(source), times(source)

    outcomes = [bench.move(unit, source, destination) for unit in units(source)]

    assert [outcome.left for outcome in outcomes if outcome.left] == []
    assert lab.difference(originals, lab.snapshot(destination)) == []
    assert times(destination) == original_times
    assert sum(entry.kind != "folder" for entry in originals.values()) == sum(o.files_moved for o in outcomes)


def test_nothing_is_left_at_the_source_but_the_shares_top_folder_with_its_times(
    bench: Bench, make_disk: MakeDisk
) -> None:
    source, destination = make_disk("ext4", 64, "disk1"), make_disk("xfs", 300, "disk2")
    lab.write_tree(source, files=30, seed=2, plain=True)
    tops = {name: entry for name, entry in lab.snapshot(source).items() if b"/" not in name}
    top_times = {name: moment for name, moment in times(source).items() if "/" not in name}

    for unit in units(source):
        bench.move(unit, source, destination)

    assert lab.difference(tops, lab.snapshot(source)) == []
    assert times(source) == top_times
    assert b"media" in tops


def test_a_share_folder_that_stood_at_the_destination_keeps_its_times(bench: Bench, make_disk: MakeDisk) -> None:
    source, destination = make_disk("ext4", 64, "disk1"), make_disk("xfs", 300, "disk2")
    lab.write_tree(source, files=30, seed=2, plain=True)
    lab.write_tree(destination, files=30, seed=3, plain=True)
    os.utime(destination / "media", ns=(5 * _DAY + 1, 9 * _DAY + 3))
    before = lab.snapshot_array([source, destination])
    top = lab.snapshot(destination)[b"media"]

    for unit in units(source):
        bench.move(unit, source, destination)

    assert lab.snapshot(destination)[b"media"] == top
    assert lab.difference(before, lab.snapshot_array([source, destination])) == []
    assert own_names(source, destination) == []


def test_a_large_file_full_of_holes_arrives_with_them(bench: Bench, make_disk: MakeDisk) -> None:
    source, destination = make_disk("ext4", 300, "disk1"), make_disk("xfs", 400, "disk2")
    (source / "s/u").mkdir(parents=True)
    with (source / "s/u/image").open("wb") as file:
        for number in range(50):
            file.seek(number * 10 * 2**20 + number * 4096)
            file.write(os.urandom(4096 * (number % 7 + 1)))
        file.truncate(510 * 2**20)
    before = lab.snapshot(source)

    outcome = bench.move("s/u", source, destination)

    after = lab.snapshot(destination)
    assert outcome.left == {}
    assert lab.difference(before, after) == []
    assert abs(after[b"s/u/image"].allocated - before[b"s/u/image"].allocated) <= 2**20


def test_an_empty_file_an_empty_folder_and_a_file_of_one_byte_arrive(bench: Bench, make_disk: MakeDisk) -> None:
    source, destination = make_disk("ext4", 16, "disk1"), make_disk("tmpfs", 16, "disk2")
    (source / "s/u/empty folder").mkdir(parents=True)
    (source / "s/u/empty").touch()
    (source / "s/u/one byte").write_bytes(b"\0")
    before = lab.snapshot(source)

    outcome = bench.move("s/u", source, destination)

    assert (outcome.left, outcome.files_moved, outcome.bytes_moved) == ({}, 2, 1)
    assert lab.difference(before, lab.snapshot(destination)) == []
    assert os.listdir(source / "s") == []


def test_the_folders_above_a_unit_go_too_when_nothing_else_lives_in_them(bench: Bench, make_disk: MakeDisk) -> None:
    source, destination = make_disk("ext4", 16, "disk1"), make_disk("ext4", 16, "disk2")
    for name in ("one", "two"):
        (source / "s/deep/er" / name).mkdir(parents=True)
        (source / "s/deep/er" / name / "file").write_bytes(b"x")
    before = lab.snapshot(source)

    bench.move("s/deep/er/one", source, destination)
    assert sorted(os.listdir(source / "s/deep/er")) == ["two"]
    bench.move("s/deep/er/two", source, destination)

    assert os.listdir(source / "s") == []
    assert lab.difference(before, lab.snapshot(destination)) == []


def test_a_loose_file_moves_alone(bench: Bench, make_disk: MakeDisk) -> None:
    source, destination = make_disk("ext4", 16, "disk1"), make_disk("ext4", 16, "disk2")
    (source / "s").mkdir()
    (source / "s/mine").write_bytes(b"mine")
    (source / "s/other").write_bytes(b"other")

    outcome = bench.move("s/mine", source, destination)

    assert (outcome.files_moved, outcome.bytes_moved) == (1, 4)
    assert os.listdir(source / "s") == ["other"]
    assert (destination / "s/mine").read_bytes() == b"mine"


def test_members_tied_by_hard_links_move_as_one_unit(bench: Bench, make_disk: MakeDisk) -> None:
    source, destination = make_disk("xfs", 300, "disk1"), make_disk("btrfs", 64, "disk2")
    for name in ("one", "two"):
        (source / "s" / name).mkdir(parents=True)
        (source / "s" / name / "own").write_bytes(name.encode())
    (source / "s/one/tied").write_bytes(b"tied")
    (source / "s/two/tied").hardlink_to(source / "s/one/tied")
    before = lab.snapshot(source)

    outcome = bench.move("s/one", source, destination, also=["s/two"])

    assert outcome.left == {}
    assert lab.difference(before, lab.snapshot(destination)) == []
    assert os.listdir(source / "s") == []
