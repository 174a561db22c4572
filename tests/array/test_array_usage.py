"""How much a folder holds: allocated bytes, hard links once, any depth, no way out."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import MakeDisk
from lab.processes import descriptors
from rebalancer.array.usage import allocated_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "disk").mkdir()
    fd = os.open(tmp_path / "disk", os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_hard_links_count_once_and_holes_not_at_all(tmp_path: Path, folder: int) -> None:
    empty = allocated_bytes(folder)
    first = tmp_path / "disk/first"
    first.write_bytes(os.urandom(2**20))
    os.link(first, tmp_path / "disk/second")
    with (tmp_path / "disk/sparse").open("wb") as file:
        file.truncate(2**30)
    os.sync()

    used = allocated_bytes(folder) - empty

    assert 2**20 <= used < 2**20 + 2**16


def test_symlinks_are_not_followed(tmp_path: Path, folder: int) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/big").write_bytes(os.urandom(2**20))
    (tmp_path / "disk/out").symlink_to(tmp_path / "elsewhere")

    assert allocated_bytes(folder) < 2**20


def test_siblings_at_every_level_are_counted(tmp_path: Path, folder: int) -> None:
    for place in ("a/b/c", "a/d", "e/f/g/h"):
        (tmp_path / "disk" / place).mkdir(parents=True)
        (tmp_path / "disk" / place / "file").write_bytes(os.urandom(2**20))
    os.sync()

    assert allocated_bytes(folder) >= 3 * 2**20


def test_a_tree_of_three_thousand_levels_is_measured(make_disk: MakeDisk) -> None:
    root = make_disk("tmpfs", 64, "deep")  # gone with its mount: nothing that walks trees could remove it
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY)
    current = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=current)
        deeper = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = deeper
    os.close(os.open("bottom", os.O_WRONLY | os.O_CREAT, dir_fd=current))
    handle = os.open("bottom", os.O_WRONLY, dir_fd=current)
    os.write(handle, os.urandom(2**20))
    os.fsync(handle)
    os.close(handle)
    os.close(current)
    open_before = descriptors()

    assert allocated_bytes(folder) >= 2**20
    assert descriptors() == open_before
    os.close(folder)


def test_another_file_system_below_is_not_counted(tmp_path: Path, folder: int, make_disk: MakeDisk) -> None:
    inner = make_disk("tmpfs", 8, "inner")
    (inner / "file").write_bytes(b"x" * 2**20)
    fd = os.open(tmp_path / "mnt", os.O_PATH | os.O_DIRECTORY)

    used = allocated_bytes(fd)

    os.close(fd)
    assert used < 2**20
