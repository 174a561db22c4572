"""The guards of the array on a realistic server: its own files, with all that is odd in them."""

import time
from pathlib import Path

import pytest

from lab.unraid import STATE, mend, set_values, unraid_server
from rebalancer.array.discovery import find_disks
from rebalancer.guards.kinds import guards_for
from rebalancer.guards.options import NAMES, GuardOptions
from rebalancer.guards.watch import Watch
from rebalancer.settings import Settings

OF_THE_ARRAY = ("array-state", "disk-errors", "parity", "temperature")


@pytest.fixture
def server(tmp_path: Path) -> Path:
    return unraid_server(tmp_path / "tower")


def watch_on(server: Path) -> Watch:
    others = GuardOptions(ignored=tuple(name for name in NAMES if name not in OF_THE_ARRAY))
    return Watch(root=server, guards=guards_for(others), clock=time.monotonic)


def reasons(watch: Watch) -> list[str]:
    disks = find_disks(root=watch.root, settings=Settings(), named=())
    return [hold.reason for hold in watch.holds([disk for disk in disks if disk.is_usable])]


def test_only_its_emulated_disk_holds_until_it_is_mended(server: Path) -> None:
    watch = watch_on(server)

    assert reasons(watch) == ["disk7 is not well: Unraid says DISK_DSBL and shows red-on"]
    mend(server)
    assert reasons(watch) == []


def test_a_rebuild_and_a_hot_disk_are_told_together(server: Path) -> None:
    mend(server)
    watch = watch_on(server)
    running = {"mdResyncAction": "recon D7", "mdResyncSize": "1000", "mdResync": "1000", "mdResyncPos": "500"}
    set_values(server / "proc/mdstat", "", **running, mdResyncDt="2", mdResyncDb="400000")
    set_values(server / STATE / "disks.ini", "disk1", temp="63")

    found = reasons(watch)

    assert found[0] == "the rebuild of disk7 runs, 50.0 % done at 205 MB/s"
    assert found[1].startswith("disk1 is at 63 °C, its limit is ")
    assert len(found) == 2
