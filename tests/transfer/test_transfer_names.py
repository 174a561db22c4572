"""Names and links of every kind are moved as they are; no link is followed and no mount crossed."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import lab
from lab import MakeDisk
from transfer.bench import Bench, own_names

NAMES = (
    b"two\nlines",
    b"not utf-8 \xff\xfe",
    b"n" * 255,
    b"-rf",
    b"escape \x1b[31mred",
    b"spaces at the end   ",
    b"a dot at the end.",
    "caf\u00e9".encode(),
    "cafe\u0301".encode(),
)


@pytest.fixture
def disks(make_disk: MakeDisk) -> tuple[Path, Path]:
    return make_disk("ext4", 32, "disk1"), make_disk("xfs", 300, "disk2")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with a file, on neither disk, where nothing may ever happen."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_bytes(b"not ours")
    return folder


def test_any_name_of_a_file_or_a_folder_is_moved_byte_by_byte(bench: Bench, disks: tuple[Path, Path]) -> None:
    source, destination = disks
    for name in NAMES:
        folder = os.path.join(os.fsencode(source), b"s", name)
        os.makedirs(folder)
        for inner in NAMES:
            with open(os.path.join(folder, inner), "wb") as file:
                file.write(inner)
    before = lab.snapshot(source)

    outcomes = [bench.move(b"s/" + name, source, destination) for name in NAMES]

    assert [outcome.left for outcome in outcomes if outcome.left] == []
    assert lab.difference(before, lab.snapshot(destination)) == []
    assert os.listdir(source / "s") == []


def test_a_name_that_is_not_text_is_reported_with_its_exact_bytes(bench: Bench, disks: tuple[Path, Path]) -> None:
    path = os.path.join(os.fsencode(disks[0]), b"s/u\xff", b"it\n\xfe")
    os.makedirs(os.path.dirname(path))
    os.mkfifo(path)

    outcome = bench.move(b"s/u\xff", *disks)

    assert outcome.left.keys() == {b"s/u\xff/it\n\xfe"}


def test_a_tree_three_thousand_folders_deep_is_moved(bench: Bench, disks: tuple[Path, Path]) -> None:
    (disks[0] / "s").mkdir()
    lab.write_deep_folders(disks[0] / "s/u", 3_000)
    before = lab.snapshot(disks[0])

    outcome = bench.move("s/u", *disks)

    assert (outcome.left, outcome.files_moved) == ({}, 1)
    assert lab.difference(before, lab.snapshot(disks[1])) == []
    assert os.listdir(disks[0] / "s") == []


def test_symlinks_are_moved_as_links_and_never_followed(bench: Bench, disks: tuple[Path, Path], outside: Path) -> None:
    source, destination = disks
    (source / "s/u/folder").mkdir(parents=True)
    links: dict[str, str | Path] = {
        "absolute": outside / "file",
        "dangling": "nowhere",
        "to a folder": outside,
        "inside": "folder",
        "self": "self",
    }
    for name, target in links.items():
        (source / "s/u" / name).symlink_to(target)
    before, untouched = lab.snapshot(source), lab.snapshot(outside)

    outcome = bench.move("s/u", source, destination)

    assert (outcome.left, outcome.files_moved) == ({}, len(links))
    assert lab.difference(before, lab.snapshot(destination)) == []
    assert lab.snapshot(outside) == untouched
    assert os.listdir(source / "s") == []


def test_a_unit_that_is_a_symlink_to_a_folder_is_moved_as_that_link(
    bench: Bench, disks: tuple[Path, Path], outside: Path
) -> None:
    (disks[0] / "s").mkdir()
    (disks[0] / "s/u").symlink_to(outside)

    bench.move("s/u", *disks)

    assert os.readlink(disks[1] / "s/u") == str(outside)
    assert (outside / "file").read_bytes() == b"not ours"


def test_a_symlink_planted_as_a_parent_folder_at_the_source_is_refused(
    bench: Bench, disks: tuple[Path, Path], outside: Path
) -> None:
    (disks[0] / "s").mkdir()
    (disks[0] / "s/parent").symlink_to(outside)
    untouched = lab.snapshot(outside)

    outcome = bench.move("s/parent/file", *disks)

    assert "symbolic link" in str(outcome.left.values())
    assert lab.snapshot(outside) == untouched
    assert list(disks[1].rglob("file")) == []


@pytest.mark.parametrize("planted", ["s", "s/u", "s/u/sub"])
def test_a_symlink_planted_as_a_folder_at_the_destination_is_refused(
    bench: Bench, disks: tuple[Path, Path], outside: Path, planted: str
) -> None:
    source, destination = disks
    (source / "s/u/sub").mkdir(parents=True)
    (source / "s/u/sub/file").write_bytes(b"ours")
    (destination / planted).parent.mkdir(parents=True, exist_ok=True)
    (destination / planted).symlink_to(outside)
    before, untouched = lab.snapshot(source), lab.snapshot(outside)

    outcome = bench.move("s/u", source, destination)

    assert len(outcome.conflicts) == 1
    assert lab.snapshot(outside) == untouched
    assert lab.difference(before, lab.snapshot(source)) == []
    assert own_names(*disks) == []


def test_a_symlink_planted_at_the_name_of_a_temporary_file_is_not_written_through(
    bench: Bench, disks: tuple[Path, Path], outside: Path
) -> None:
    source, destination = disks
    (source / "s").mkdir()
    (source / "s/it").write_bytes(b"ours")
    (destination / "s").mkdir()
    for number in range(5):
        (destination / f"s/.rebalancer-op-{number}.part").symlink_to(outside / "file")
    untouched = lab.snapshot(outside)

    bench.move("s/it", source, destination)

    assert lab.snapshot(outside) == untouched
    assert sum(root.joinpath("s/it").is_file() for root in disks) == 1


@pytest.fixture
def bound(disks: tuple[Path, Path], outside: Path) -> Iterator[Path]:
    """A folder inside the unit where another folder is mounted."""
    with ExitStack() as stack:
        at = disks[0] / "s/u/bound"
        at.mkdir(parents=True)
        subprocess.run(["mount", "--bind", outside, at], check=True)
        stack.callback(lambda: subprocess.run(["umount", at], check=True))
        yield at


def test_a_bind_mount_inside_a_unit_is_reported_and_everything_else_moves(
    bench: Bench, disks: tuple[Path, Path], outside: Path, bound: Path
) -> None:
    (disks[0] / "s/u/file").write_bytes(b"ours")
    untouched = lab.snapshot(outside)

    outcome = bench.move("s/u", *disks)

    assert outcome.left.keys() == {b"s/u/bound"}
    assert "another mount" in outcome.left[b"s/u/bound"]
    assert (disks[1] / "s/u/file").read_bytes() == b"ours"
    assert lab.snapshot(outside) == untouched
    assert os.path.ismount(bound)
