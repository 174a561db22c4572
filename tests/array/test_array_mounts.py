"""The kernel's list of mounts, read with its escapes, its optional fields and its odd lines."""

import os
from pathlib import Path

from rebalancer.array import mounts

LIST = (
    b"22 1 0:21 / /proc rw,relatime - proc proc rw\n"
    b"30 1 9:1 / /mnt/disk1 rw,noatime shared:5 master:2 - xfs /dev/md1p1 rw,attr2\n"
    b"31 1 9:2 / /mnt/a\\040b\\134c\\011 rw - ext4 /dev/sd\\040x rw\n"
    b"32 1 0:40 / /mnt/\xff\xfe ro,nosuid - tmpfs none rw\n"
    b"torn li\n"
    b"33 1 9:x / /bad rw - ext4 /dev/q rw\n"
    b"34 1 9:3 / /mnt/disk1 rw - btrfs /dev/md3p1 ro\n"
    b"35 1 9:3 / /cut rw shared:1"
)


def test_escapes_and_optional_fields_are_read_and_torn_lines_skipped() -> None:
    found = mounts.parse(LIST)

    assert [mount.mount_id for mount in found] == [22, 30, 31, 32, 34]
    assert found[1].device == os.makedev(9, 1)
    assert (found[1].filesystem, found[1].source) == ("xfs", "/dev/md1p1")
    assert found[2].point == Path("/mnt/a b\\c\t")
    assert found[2].source == "/dev/sd x"
    assert os.fsencode(found[3].point) == b"/mnt/\xff\xfe"


def test_read_only_is_seen_on_the_mount_and_on_the_file_system() -> None:
    assert [mount.is_read_only for mount in mounts.parse(LIST)] == [False, False, False, True, True]


def test_the_last_mount_at_a_place_counts() -> None:
    table = mounts.MountTable(mounts.parse(LIST))

    found = table.at(Path("/mnt/disk1"))

    assert found is not None
    assert found.mount_id == 34


def test_a_path_lies_on_the_nearest_mount_above_it() -> None:
    table = mounts.MountTable(mounts.parse(LIST))

    found = table.over(Path("/mnt/disk1/Media/x"))

    assert found is not None
    assert found.mount_id == 34
    assert table.over(Path("/mnt/disk10")) is None


def test_a_list_below_another_root_puts_its_mounts_there(tmp_path: Path) -> None:
    listed = tmp_path / mounts.MOUNTINFO
    listed.parent.mkdir(parents=True)
    listed.write_bytes(LIST)

    table = mounts.read(tmp_path)

    assert not table.is_this_machine
    assert table.at(tmp_path / "mnt/disk1") is not None
    assert table.at(Path("/mnt/disk1")) is None


def test_this_machines_own_list_is_read_where_the_root_has_none(tmp_path: Path) -> None:
    table = mounts.read(tmp_path)

    assert table.is_this_machine
    assert table.at(Path("/proc")) is not None
