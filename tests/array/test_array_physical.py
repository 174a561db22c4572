"""Which physical disks a disk lies on: asked of the real kernel where that can be, else of a drawing of its sysfs."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

import lab
from lab import MakeDisk
from rebalancer.array.discovery import find_disks
from rebalancer.array.disk import Disk
from rebalancer.array.physical import are_apart, physical_disks
from rebalancer.settings import Settings

NUMBERS = {"sda": (8, 0), "sda1": (8, 1), "sda2": (8, 2), "sdb": (8, 16), "sdb1": (8, 17), "nbd0": (43, 0)} | {
    name: (9, number) for number, name in enumerate(["md1", "md1p1", "md2", "md2p1", "md127"], start=1)
}
MAPPED = {"dm-0": ["sda2"], "dm-1": ["md1p1"], "dm-2": ["sda1", "sdb1"], "dm-3": ["nbd0", "sda1"]}


def found(*roots: Path) -> tuple[Disk, ...]:
    return find_disks(root=Path("/"), settings=Settings(), named=[str(root) for root in roots])


def test_disks_in_memory_and_images_on_them_lie_on_no_physical_disk(make_disk: MakeDisk) -> None:
    with ExitStack() as stack:
        roots = [
            stack.enter_context(lab.disk(make_disk("tmpfs", 40, f"memory{n}") / f"disk{n}", "ext4", 16)) for n in (1, 2)
        ]

        assert [physical_disks(disk) for disk in found(*roots)] == [frozenset(), frozenset()]
        assert are_apart(*found(*roots))


def test_two_images_on_one_disk_are_not_apart(make_disk: MakeDisk) -> None:
    roots = make_disk("ext4", 16, "disk1"), make_disk("xfs", 300, "disk2")

    assert not are_apart(*found(*roots))


def test_a_btrfs_is_asked_by_what_is_mounted(make_disk: MakeDisk) -> None:
    with lab.disk(make_disk("tmpfs", 150, "memory") / "disk1", "btrfs", 128) as root:
        assert physical_disks(found(root)[0]) in (frozenset(), None)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """Draw the folders of sysfs: two disks with partitions, Unraid's md devices, mapped devices, a network device."""
    devices, numbers = tmp_path / "devices", tmp_path / "dev/block"
    numbers.mkdir(parents=True)
    folders = {
        name: devices / (name.rstrip("12") + "/" + name if name[:2] == "sd" and name[-1] in "12" else name)
        for name in (*NUMBERS, *MAPPED)
    }
    folders["md1p1"], folders["md2p1"] = devices / "md1/md1p1", devices / "md2/md2p1"
    for name, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        major, minor = NUMBERS.get(name) or (254, int(name[-1]))
        (numbers / f"{major}:{minor}").symlink_to(folder)
        if folder.parent == devices:
            (folder / "slaves").mkdir()
        else:
            (folder / "partition").write_text("1\n")
    for name in ("sda", "sdb"):
        (folders[name] / "device").mkdir()
    for name, slaves in {**MAPPED, "md127": ["sda1", "sdb1"]}.items():
        for slave in slaves:
            (folders[name] / "slaves" / slave).symlink_to(folders[slave])
    return tmp_path


def drawn(name: str) -> Disk:
    major, minor = NUMBERS.get(name) or (254, int(name[-1]))
    return Disk(name=name, path="/", size_bytes=1, used_bytes=0, filesystem="xfs", device=os.makedev(major, minor))


@pytest.mark.parametrize(
    ("name", "physical"),
    [
        ("sda1", {"sda"}),
        ("sdb", {"sdb"}),
        ("md1p1", {"md1"}),  # Unraid: each is a disk of its own
        ("dm-0", {"sda"}),  # encrypted
        ("dm-1", {"md1"}),  # Unraid, encrypted
        ("dm-2", {"sda", "sdb"}),  # one volume over two disks
        ("md127", {"sda", "sdb"}),  # RAID of the kernel
        ("nbd0", None),
        ("dm-3", None),
    ],
)
def test_what_lies_below_a_block_device_is_found(system: Path, name: str, physical: set[str] | None) -> None:
    expected = None if physical is None else frozenset(physical)

    assert physical_disks(drawn(name), system=system) == expected


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("sda1", "sdb1", True),
        ("sda1", "sda2", False),
        ("sda1", "dm-0", False),
        ("md1p1", "md2p1", True),
        ("md2p1", "dm-1", True),
        ("dm-2", "sdb1", False),
        ("nbd0", "sda1", False),  # nobody knows
    ],
)
def test_disks_are_apart_when_nothing_lies_below_both(system: Path, one: str, other: str, apart: bool) -> None:
    assert are_apart(drawn(one), drawn(other), system=system) is apart


def test_all_devices_of_a_btrfs_count(system: Path) -> None:
    members = system / "fs/btrfs/some-uuid/devices"
    members.mkdir(parents=True)
    for name in ("sda", "sdb"):
        (members / name).symlink_to(system / "devices" / name)
    disk = Disk(
        name="pool", path="/", size_bytes=1, used_bytes=0, filesystem="btrfs", device=os.makedev(*NUMBERS["sda"])
    )

    assert physical_disks(disk, system=system) == frozenset({"sda", "sdb"})
