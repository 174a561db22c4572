"""What a disk rests on, asked of the kernel about real disks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import structs

from lab import MakeDisk
from lab import disks as lab_disks
from rebalancer.array.discovery import find_disks
from rebalancer.array.disk import Disk
from rebalancer.array.medium import Medium, medium_of
from rebalancer.settings import Settings


def found(path: Path) -> Disk:
    return find_disks(root=Path("/"), settings=Settings(), named=[str(path)])[0]


@contextmanager
def loop(image: Path) -> Iterator[str]:
    device = lab_disks.call("losetup", "--find", "--show", str(image)).strip()
    try:
        yield device
    finally:
        lab_disks.call("losetup", "--detach", device)


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs"])
def test_two_loop_disks_rest_on_the_device_that_holds_their_images(make_disk: MakeDisk, file_system: str) -> None:
    one, other = (medium_of(found(make_disk(file_system, 300, name))) for name in ("disk1", "disk2"))

    assert one.devices
    assert not any(name.startswith("loop") for name in one.devices)
    assert one == other


def test_a_disk_in_memory_is_its_own_medium_without_heads(make_disk: MakeDisk) -> None:
    one, other = (medium_of(found(make_disk("tmpfs", 8, name))) for name in ("disk1", "disk2"))

    assert one.devices != other.devices
    assert (one.spindles, other.spindles) == (frozenset(), frozenset())


def test_what_the_kernel_says_of_the_uppermost_device_tells_whether_it_rotates(make_disk: MakeDisk) -> None:
    path = make_disk("ext4", 16, "disk1")

    for answer in (False, True):
        lab_disks.set_rotational(path, rotational=answer)
        assert medium_of(found(path)).is_rotational is answer


@pytest.mark.needs_loop_disks("btrfs")
def test_all_devices_of_a_btrfs_count(tmp_path: Path) -> None:
    images = [tmp_path / "one.img", tmp_path / "two.img"]
    for image in images:
        image.touch()
        os.truncate(image, 200 * 2**20)
    with loop(images[0]) as first, loop(images[1]) as second:
        lab_disks.call("mkfs.btrfs", "-q", "-f", "-d", "single", "-m", "single", first, second)
        at = tmp_path / "disk"
        at.mkdir()
        lab_disks.call("mount", first, str(at))
        try:
            system = _system_without_images(tmp_path)
            assert set(medium_of(found(at), system=system).devices) == {Path(first).name, Path(second).name}
        finally:
            lab_disks.unmount(at)


def test_a_partition_is_its_disk_and_a_stack_is_what_it_is_made_of(tmp_path: Path) -> None:
    for device in ("sda/sda1", "sdb/sdb2", "dm-0/slaves", "sda/queue", "dm-0/queue"):
        (tmp_path / "block" / device).mkdir(parents=True)
    for name, number in (("sda/sda1", "8:1"), ("dm-0", "253:0")):
        (tmp_path / "dev/block").mkdir(parents=True, exist_ok=True)
        (tmp_path / "dev/block" / number).symlink_to(tmp_path / "block" / name)
    for partition in ("sda/sda1", "sdb/sdb2"):
        (tmp_path / "block" / partition / "partition").write_text("1\n")
        (tmp_path / "block/dm-0/slaves" / Path(partition).name).symlink_to(tmp_path / "block" / partition)
    for device, text in (("sda", "0"), ("dm-0", "1")):
        (tmp_path / "block" / device / "queue/rotational").write_text(f"{text}\n")
    disk = Disk(name="d", path="/d", size_bytes=0, used_bytes=0)

    alone = medium_of(structs.replace(disk, device=os.makedev(8, 1)), system=tmp_path)
    stack = medium_of(structs.replace(disk, device=os.makedev(253, 0)), system=tmp_path)

    assert alone == Medium(("sda",), is_rotational=False)
    assert stack == Medium(("sda", "sdb"), is_rotational=True)


def test_what_cannot_be_told_counts_as_one_spinning_device(tmp_path: Path) -> None:
    unknown = medium_of(Disk(name="d", path="/d", size_bytes=0, used_bytes=0, device=42, mount_source="pool/data"))

    assert unknown == Medium()
    assert unknown.spindles == {""}


def _system_without_images(tmp_path: Path) -> Path:
    """Return a sysfs that says nothing of what is behind loop devices, so that they can be told apart."""
    system = tmp_path / "sys"
    (system / "fs").mkdir(parents=True)
    (system / "dev/block").mkdir(parents=True)
    (system / "fs/btrfs").symlink_to("/sys/fs/btrfs")
    for link in Path("/sys/dev/block").iterdir():
        name = link.resolve().name
        folder = system / "block" / name
        (folder / "queue").mkdir(parents=True, exist_ok=True)
        (system / "dev/block" / link.name).symlink_to(folder)
    return system
