"""The server of the laboratory is what it says: read through the program's own eyes, before others rely on it."""

from pathlib import Path

import lab
from lab import RunProgram
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


def test_disks_and_plan_show_what_stays_and_why(tmp_path: Path, run_program: RunProgram) -> None:
    root = lab.unraid_server(tmp_path / "tower")
    for path in (
        "disk1/appdata/plex/db",
        "disk1/Downloads/a/f",
        "disk6/Backups/host/f",
        "disk1/Media/Series/Old Show/1",
    ):
        (root / "mnt" / path).parent.mkdir(parents=True)
        (root / "mnt" / path).write_bytes(b"x")

    disks = run_program("disks", "--root", root, exit_code=0)
    plan = run_program("plan", "--root", root, "--explain", "-v", exit_code=0)

    for words in (
        "disk7: Unraid emulates disk7",
        "disk8: Unraid has not mounted disk8",
        "disk10: Unraid's settings exclude",
    ):
        assert words in disks.stdout
    for words in (
        "nothing of the share appdata moves: it belongs on the pool cache",
        "nothing of the share Downloads moves: Downloads.cfg is incomplete: splitLevel, floor cannot be read",
        "nothing of the share Backups moves: its split level is 0",
        "Media/Series/Old Show stays: mapped into the container plex (/mnt/disk1/Media/Series/Old Show).",
        "disk11 takes no part: Unraid's mover is emptying disk11",
    ):
        assert words in plan.stdout
    assert "0123456789ABCDEF" not in disks.stdout + disks.stderr + plan.stdout + plan.stderr  # the csrf_token
