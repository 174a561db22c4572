"""What a scan makes of real file systems: nested mounts, subvolumes, flags, folders that cannot be read."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lab import MakeDisk
from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.inventory.scan import scan
from rebalancer.inventory.unit import Inventory


def call(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


def scan_disk(path: Path, *, depth: int = 1) -> Inventory:
    status = path.stat()
    disk = Disk(name="disk1", path=str(path), size_bytes=10**9, used_bytes=0, device=status.st_dev, inode=status.st_ino)
    return scan([disk], depth=depth, now=0, cancel=Cancel(), on_progress=lambda *_: None)


def left(inventory: Inventory) -> dict[str, str]:
    return {unit.path: unit.left_alone for unit in inventory.units}


def reported(inventory: Inventory) -> dict[str, str]:
    return {entry.path: entry.reason for entry in inventory.left_alone}


@pytest.fixture
def flagged() -> Iterator[ExitStack]:
    """Takes flags off again, so that the files can be removed."""
    with ExitStack() as stack:
        yield stack


def flag(path: Path, letter: str, flagged: ExitStack) -> None:
    call("chattr", f"+{letter}", path)
    flagged.callback(call, "chattr", f"-{letter}", path)


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs"])
def test_immutable_and_append_only_keep_their_units_where_they_are(
    make_disk: MakeDisk, flagged: ExitStack, file_system: str
) -> None:
    root = make_disk(file_system, 300, "disk1")
    for unit in ("file", "folder", "log", "plain"):
        (root / "s" / unit / "sub").mkdir(parents=True)
        (root / "s" / unit / "sub/a").write_bytes(b"x")
    flag(root / "s/file/sub/a", "i", flagged)
    flag(root / "s/folder/sub", "i", flagged)
    flag(root / "s/log/sub/a", "a", flagged)

    found = scan_disk(root)

    assert left(found) == {
        "s/file": "immutable: s/file/sub/a",
        "s/folder": "immutable: s/folder/sub",
        "s/log": "append-only: s/log/sub/a",
        "s/plain": "",
    }


def test_nothing_leaves_an_immutable_share(make_disk: MakeDisk, flagged: ExitStack) -> None:
    root = make_disk("ext4", 16, "disk1")
    (root / "fixed/u").mkdir(parents=True)
    (root / "fixed/loose").write_bytes(b"x")
    (root / "fixed and more/u").mkdir(parents=True)
    flag(root / "fixed", "i", flagged)

    found = scan_disk(root)

    assert left(found) == {"fixed/loose": "immutable: fixed", "fixed/u": "immutable: fixed", "fixed and more/u": ""}


@pytest.mark.parametrize("is_same_file_system", [True, False])
def test_a_unit_with_a_mount_in_it_is_left_alone_and_the_mount_is_not_entered(
    make_disk: MakeDisk, mounts: ExitStack, is_same_file_system: bool
) -> None:
    root = make_disk("ext4", 16, "disk1")
    (root / "s/u/inner").mkdir(parents=True)
    (root / "s/u/a").write_bytes(b"x")
    (root / "other/v").mkdir(parents=True)
    (root / "other/v/b").write_bytes(b"y")
    if is_same_file_system:
        call("mount", "--bind", root / "other/v", root / "s/u/inner")
    else:
        call("mount", "-t", "tmpfs", "none", root / "s/u/inner")
        (root / "s/u/inner/c").write_bytes(b"z")
    mounts.callback(call, "umount", root / "s/u/inner")

    found = scan_disk(root)

    assert left(found) == {"other/v": "", "s/u": "another mount or volume: s/u/inner"}
    assert [unit.files for unit in found.units] == [1, 1]
    assert reported(found) == {"s/u/inner": "another mount or volume"}


def test_a_file_that_something_is_mounted_on_is_left_alone(make_disk: MakeDisk, mounts: ExitStack) -> None:
    root = make_disk("ext4", 16, "disk1")
    (root / "s/u").mkdir(parents=True)
    (root / "s/u/a").write_bytes(b"x")
    (root / "s/u/b").write_bytes(b"y")
    call("mount", "--bind", root / "s/u/a", root / "s/u/b")
    mounts.callback(call, "umount", root / "s/u/b")

    assert left(scan_disk(root)) == {"s/u": "another mount or volume: s/u/b"}


def test_a_mount_in_place_of_a_share_or_a_unit_is_reported(make_disk: MakeDisk, mounts: ExitStack) -> None:
    root = make_disk("ext4", 16, "disk1")
    for path in (root / "share", root / "s/unit"):
        path.mkdir(parents=True)
        call("mount", "-t", "tmpfs", "none", path)
        mounts.callback(call, "umount", path)

    found = scan_disk(root)

    assert found.units == ()
    assert reported(found) == {"s/unit": "another mount or volume", "share": "another mount or volume"}


def test_a_btrfs_subvolume_is_another_volume(make_disk: MakeDisk) -> None:
    root = make_disk("btrfs", 128, "disk1")
    (root / "s/u").mkdir(parents=True)
    call("btrfs", "subvolume", "create", root / "s/u/inner")
    call("btrfs", "subvolume", "create", root / "s/unit")
    (root / "s/u/inner/a").write_bytes(b"x")

    found = scan_disk(root)

    assert left(found) == {"s/u": "another mount or volume: s/u/inner"}
    assert reported(found) == {"s/u/inner": "another mount or volume", "s/unit": "another mount or volume"}


def test_a_writer_on_btrfs_is_found_although_its_mount_has_another_device(make_disk: MakeDisk) -> None:
    root = make_disk("btrfs", 128, "disk1")
    (root / "s/u").mkdir(parents=True)
    with (root / "s/u/log").open("wb"):
        found = scan_disk(root)

    assert {unit.path: unit.in_use for unit in found.units}["s/u"].startswith("open for writing by ")


def test_a_writer_with_mounts_of_its_own_is_found(make_disk: MakeDisk) -> None:
    root = make_disk("ext4", 16, "disk1")
    (root / "s/u").mkdir(parents=True)
    program = f"exec 3>>{root}/s/u/log; echo ready; read -r _"
    command = ["unshare", "--mount", "sh", "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"

        found = scan_disk(root)

        writer.communicate(b"\n")
    assert [unit.in_use for unit in found.units] == [f"open for writing by sh, pid {writer.pid}: s/u/log"]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root for a while, in all threads."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_cannot_be_read_keeps_its_unit_where_it_is(
    make_disk: MakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_disk("ext4", 16, "disk1")
    (root / "s/u/closed").mkdir(parents=True)
    (root / "s/u/a").write_bytes(b"x")
    (root / "s/closed unit").mkdir(mode=0o700)
    (root / "closed share").mkdir(mode=0o700)
    (root / "s/u/closed").chmod(0)
    monkeypatch.chdir(root)  # the folders above it are root's alone

    with as_nobody():
        found = scan_disk(Path())

    assert left(found) == {
        "s/closed unit": "cannot be read, permission denied: s/closed unit",
        "s/u": "cannot be read, permission denied: s/u/closed",
    }
    assert reported(found) == {"closed share": "cannot be read, permission denied"}


def test_reading_leaves_the_access_times_of_folders_alone(make_disk: MakeDisk) -> None:
    root = make_disk("ext4", 16, "disk1", options="strictatime")
    (root / "s/u").mkdir(parents=True)
    (root / "s/u/a").write_bytes(b"x")
    for folder in (root / "s", root / "s/u"):
        os.utime(folder, (1, 1))

    scan_disk(root)

    assert [folder.stat().st_atime for folder in (root / "s", root / "s/u")] == [1, 1]
