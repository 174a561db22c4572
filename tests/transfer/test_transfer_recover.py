"""After any crash a recovery and one more run bring every file to one place, whole; twice is the same as once."""

import os
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

import lab
from lab import MakeDisk
from lab.originals import Originals
from transfer.bench import Bench, own_names

KILLS = 30
SEED = 20_261_123
MIB = 2**20
HIDDEN = ".rebalancer-op.hidden"


def units(root: Path) -> list[str]:
    shares = [share for share in lab.trees.SHARES if (root / share).is_dir()]
    return [f"{share}/{name}" for share in shares for name in sorted(os.listdir(root / share))]


def assert_nothing_lost_and_nothing_half(originals: Originals, source: Path, destination: Path) -> None:
    """Every file is whole on one of the disks at least, and whatever has its name at the destination is whole."""
    hidden = b"/" + HIDDEN.encode()
    here = {path.replace(hidden, b""): entry for path, entry in lab.snapshot(source).items()}
    there = {path: entry for path, entry in lab.snapshot(destination).items() if b"/.rebalancer-" not in path}
    for path, original in originals.items():
        if original.kind == "folder":
            continue
        found = [replace(tree[path], links=b"", link_count=1) for tree in (here, there) if path in tree]
        wanted = replace(original, links=b"", link_count=1)
        assert found, f"{path!r} is lost"
        for entry in found:
            assert replace(entry, allocated=0, data_size=0) == replace(wanted, allocated=0, data_size=0), path
    assert there.keys() <= originals.keys()


def test_a_worker_killed_at_thirty_random_moments_loses_nothing_and_doubles_nothing(
    bench: Bench, make_disk: MakeDisk
) -> None:
    source, destination = make_disk("ext4", 500, "disk1"), make_disk("xfs", 500, "disk2")
    lab.write_tree(source, files=2_000, seed=SEED, total=40 * MIB)
    for number in range(3):
        (source / f"media/film {number}").mkdir()
        (source / f"media/film {number}/film").write_bytes(os.urandom(20 * MIB))
    originals = lab.snapshot(source)
    operation = bench.operation(units(source), source, destination)
    chance = random.Random(SEED)  # noqa: S311 - moments of kills, no secret

    kills = 0
    for _ in range(3 * KILLS):
        for flags, longest in (((), 0.25), (("--only-begun",), 0.08)):
            kills += kill_at_random(bench, operation, flags, chance.uniform(0, longest))
            assert_nothing_lost_and_nothing_half(originals, source, destination)
        if kills >= KILLS:
            break
        bench.work(operation, "--only-begun")

    assert kills >= KILLS
    bench.work(operation, "--only-begun")
    once = lab.snapshot(source), lab.snapshot(destination)
    bench.work(operation, "--only-begun")
    assert (lab.snapshot(source), lab.snapshot(destination)) == once
    last = bench.work(operation)
    assert (last.left, last.finished.unfinished) == ({}, ())
    # a kill between a change in a folder and the return of its times leaves the folder's own time changed
    together = lab.snapshot_array([source, destination])
    assert lab.difference(originals, together, ignore_folder_times=True) == []
    assert {entry.kind for entry in lab.snapshot(source).values()} == {"folder"}
    assert own_names(source, destination) == []


def kill_at_random(bench: Bench, operation: Path, flags: tuple[str, ...], seconds: float) -> bool:
    """Kill a worker some time after it began; return whether it still worked."""
    with bench.start(operation, *flags) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        process.communicate()
    return process.returncode == -9


# -- states that a crash leaves, made by hand ---------------------------------------------------------------------


@pytest.fixture
def disks(make_disk: MakeDisk) -> tuple[Path, Path]:
    source, destination = make_disk("ext4", 32, "disk1"), make_disk("xfs", 300, "disk2")
    for root in (source, destination):
        (root / "s/u").mkdir(parents=True)
    return source, destination


def put(path: Path, content: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(10**18 + 1, 10**18 + 1))
    return path


def recover_twice(bench: Bench, disks: tuple[Path, Path]) -> dict[bytes, str]:
    """Recover, and see that doing it again changes nothing; return what was reported."""
    outcome = bench.recover("s/u", *disks)
    once = lab.snapshot(disks[0]), lab.snapshot(disks[1])
    bench.recover("s/u", *disks)
    assert (lab.snapshot(disks[0]), lab.snapshot(disks[1])) == once
    return outcome.left


def test_a_hidden_file_gets_its_name_back_and_its_copy_is_adopted(bench: Bench, disks: tuple[Path, Path]) -> None:
    source, destination = disks
    put(source / "s/u" / HIDDEN / "it")
    put(source / "s/u/deep/er" / HIDDEN / "other")
    put(destination / "s/u/it")

    assert recover_twice(bench, disks) == {}

    assert sorted(path.name for path in source.rglob("*") if path.is_file()) == ["it", "other"]
    assert own_names(*disks) == []
    assert bench.is_begun("s/u", *disks)
    assert bench.move("s/u", *disks).left == {}
    assert os.listdir(source / "s") == []
    assert (destination / "s/u/it").read_bytes() == b"content"
    assert (destination / "s/u/deep/er/other").read_bytes() == b"content"


def test_a_hidden_file_of_which_the_name_was_taken_again_is_kept_and_reported(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    hidden = put(disks[0] / "s/u" / HIDDEN / "it", b"former")
    put(disks[0] / "s/u/it", b"new")

    left = recover_twice(bench, disks)

    assert list(left) == [f"s/u/{HIDDEN}/it".encode()]
    assert (hidden.read_bytes(), (disks[0] / "s/u/it").read_bytes()) == (b"former", b"new")


def test_parts_of_this_operation_go_and_those_of_another_one_stay(bench: Bench, disks: tuple[Path, Path]) -> None:
    source, destination = disks
    put(source / "s/u/it")
    for name in ("s/.rebalancer-op-1.part", "s/u/.rebalancer-op-27.part", "s/u/deep/.rebalancer-op-3.part"):
        put(destination / name)
    (destination / "s/u/.rebalancer-op-4.part").symlink_to("/etc/passwd")
    (destination / "s/u/.rebalancer-op-5.part").mkdir()
    kept = {
        put(destination / "s/u/.rebalancer-other-1.part"),
        put(destination / "s/u/.rebalancer-op-x.part"),
        put(destination / "s/else/.rebalancer-op-9.part"),
    }

    assert recover_twice(bench, disks) == {}

    assert {path for path in destination.rglob("*") if not path.is_dir()} == kept
    assert set(own_names(destination)) == {str(path) for path in kept}
    assert (source / "s/u/it").read_bytes() == b"content"


@pytest.mark.parametrize("has_part", [True, False])
def test_a_half_linked_group_is_completed(bench: Bench, disks: tuple[Path, Path], has_part: bool) -> None:
    source, destination = disks
    first = put(source / "s/u/first")
    for name in ("second", "third"):
        (source / "s/u" / name).hardlink_to(first)
    before = lab.snapshot(source)
    twin = put(destination / "s/u/first")
    if has_part:
        (destination / "s/u/.rebalancer-op-1.part").hardlink_to(twin)
    else:
        (destination / "s/u/second").hardlink_to(twin)

    assert recover_twice(bench, disks) == {}
    outcome = bench.move("s/u", *disks)

    assert (outcome.left, outcome.files_moved) == ({}, 3)
    assert lab.difference(before, lab.snapshot(destination), ignore_folder_times=True) == []
    assert own_names(*disks) == []


@pytest.mark.parametrize("hidden", [("first",), ("first", "second"), ("first", "second", "third")])
def test_a_half_hidden_group_is_put_together_again_and_adopted(
    bench: Bench, disks: tuple[Path, Path], hidden: tuple[str, ...]
) -> None:
    trees = []
    for root in disks:
        first = put(root / "s/u/first")
        for name in ("second", "third"):
            (root / "s/u" / name).hardlink_to(first)
        trees.append(lab.snapshot(root))
    (disks[0] / "s/u" / HIDDEN).mkdir()
    for name in hidden:
        (disks[0] / "s/u" / name).rename(disks[0] / "s/u" / HIDDEN / name)

    assert recover_twice(bench, disks) == {}

    assert lab.difference(trees[0], lab.snapshot(disks[0]), ignore_folder_times=True) == []
    assert bench.move("s/u", *disks).left == {}
    assert lab.difference(trees[1], lab.snapshot(disks[1]), ignore_folder_times=True) == []
    assert os.listdir(disks[0] / "s") == []


@pytest.mark.parametrize("unlinked", [("first",), ("first", "second")])
def test_a_group_of_which_some_names_were_unlinked_already_is_finished(
    bench: Bench, disks: tuple[Path, Path], unlinked: tuple[str, ...]
) -> None:
    for root in disks:
        first = put(root / "s/u/first")
        for name in ("second", "third"):
            (root / "s/u" / name).hardlink_to(first)
    (disks[0] / "s/u" / HIDDEN).mkdir()
    for name in ("first", "second", "third"):
        (disks[0] / "s/u" / name).rename(disks[0] / "s/u" / HIDDEN / name)
    for name in unlinked:
        (disks[0] / "s/u" / HIDDEN / name).unlink()
    before = lab.snapshot(disks[1])

    assert recover_twice(bench, disks) == {}
    outcome = bench.move("s/u", *disks)

    assert outcome.left == {}
    assert lab.difference(before, lab.snapshot(disks[1]), ignore_folder_times=True) == []
    assert os.listdir(disks[0] / "s") == []


def test_recovery_does_not_follow_symlinks_out_of_the_disk(
    bench: Bench, disks: tuple[Path, Path], tmp_path: Path
) -> None:
    outside = put(tmp_path / "outside/.rebalancer-op-1.part")
    put(tmp_path / "outside" / HIDDEN / "it")
    untouched = lab.snapshot(outside.parent)
    for root in disks:
        (root / "s/u/link").symlink_to(outside.parent)

    assert recover_twice(bench, disks) == {}

    assert lab.snapshot(outside.parent) == untouched


def test_only_begun_units_are_finished_by_a_recovery_and_the_others_wait(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    put(disks[0] / "s/u/it")
    put(disks[0] / "s/waits/file")
    operation = bench.operation(["s/u", "s/waits"], *disks)

    worked = bench.work(operation, "--only-begun")

    assert (worked.exit_code, worked.finished.files_moved, worked.finished.unfinished) == (0, 1, ())
    assert os.listdir(disks[0] / "s") == ["waits"]
    assert (disks[1] / "s/u/it").read_bytes() == b"content"
