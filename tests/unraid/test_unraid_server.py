"""The server of the laboratory is what it says: read through the program's own eyes, before others rely on it."""

from pathlib import Path

import lab
from rebalancer.array.discovery import find_disks
from rebalancer.array.disk import DiskStatus
from rebalancer.settings import Settings

_GOOD = ["disk1", "disk2", "disk3", "disk4", "disk5", "disk6", "disk12", "disk13"]


def test_the_server_has_twelve_data_disks_in_their_states(tmp_path: Path) -> None:
    root = lab.unraid_server(tmp_path / "tower")

    found = {disk.name: disk for disk in find_disks(root=root, settings=Settings(), named=())}

    assert len(found) == 12
    assert set(_GOOD) <= {name for name, disk in found.items() if disk.is_usable}
    assert found["disk7"].status is DiskStatus.DISABLED
    assert found["disk8"].status is DiskStatus.NOT_MOUNTED
    assert {disk.filesystem for disk in found.values()} == {"xfs", "btrfs", "zfs", "reiserfs", "ext4", ""}


def test_a_mended_server_has_no_disk_that_is_not_well(tmp_path: Path) -> None:
    root = lab.unraid_server(tmp_path / "tower")

    lab.mend(root)

    found = {disk.name: disk for disk in find_disks(root=root, settings=Settings(), named=())}
    assert found["disk7"].is_usable
    assert found["disk8"].is_usable
