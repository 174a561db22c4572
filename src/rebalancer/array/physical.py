"""Which physical disks a disk of the array lies on, so that two streams never meet on one spindle by mistake.

Two partitions, two volumes or two images differ in st_dev and still share a disk. The kernel shows in sysfs what
lies below a block device: partitions in the folder of their disk, ``slaves`` of mapped, encrypted and RAID devices,
the file behind a loop device.
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rebalancer import linux
from rebalancer.array import mounts
from rebalancer.array.disk import Disk

_SYSTEM = Path("/sys")
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_UNRAID = re.compile(r"md\d+")  # without slaves: Unraid's driver, whose mdN stands for one disk of its own


def are_apart(one: Disk, other: Disk, *, system: Path = _SYSTEM) -> bool:
    """Return whether two disks are known to have no physical disk in common."""
    first, second = physical_disks(one, system=system), physical_disks(other, system=system)
    return first is not None and second is not None and not first & second


def physical_disks(disk: Disk, *, system: Path = _SYSTEM) -> frozenset[str] | None:
    """Return the kernel's names of the physical disks, none for what lies in memory, None when it cannot be told.

    Nothing of the disk is read. ZFS, network and FUSE file systems, and devices that a network or another
    program answers for, cannot be told.
    """
    if disk.filesystem in _IN_MEMORY:
        return frozenset()
    device = _block_device(disk)
    if device is None:
        return None
    with suppress(OSError):
        members = _btrfs_members(device, system) if disk.filesystem == "btrfs" else [_folder(device, system)]
        return _union(_below(member, system) for member in members)
    return None


def _block_device(disk: Disk) -> int | None:
    """Return the device number that sysfs knows; st_dev of btrfs names no device, what is mounted does."""
    if os.major(disk.device):
        return disk.device
    if not disk.mount_source.startswith("/dev/"):
        return None
    with suppress(OSError):
        return os.stat(disk.mount_source).st_rdev or None
    return None


def _folder(device: int, system: Path) -> Path:
    return (system / f"dev/block/{os.major(device)}:{os.minor(device)}").resolve(strict=True)


def _btrfs_members(device: int, system: Path) -> list[Path]:
    """Return the folders of all devices of the btrfs that one of its devices belongs to; none when none lists it."""
    folder = _folder(device, system)
    for devices in (system / "fs/btrfs").glob("*/devices"):
        members = [member.resolve() for member in devices.iterdir()]
        if folder in members:
            return members
    return []


def _below(folder: Path, system: Path) -> frozenset[str] | None:
    """Return the physical disks below a block device, given by its folder in sysfs."""
    if (folder / "partition").exists():
        folder = folder.parent
    if (folder / "loop/backing_file").exists():
        return _behind_loop(folder.name, system)
    if slaves := list((folder / "slaves").glob("*")):
        return _union(_below(slave.resolve(), system) for slave in slaves)
    if (folder / "device").exists() or _UNRAID.fullmatch(folder.name):
        return frozenset({folder.name})
    return None


def _behind_loop(name: str, system: Path) -> frozenset[str] | None:
    fd = os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        device, _, _ = linux.loop_backing(fd)
    finally:
        os.close(fd)
    if os.major(device):
        return _below(_folder(device, system), system)
    kinds = {mount.filesystem for mount in mounts.read(Path("/")).mounts if mount.device == device}
    return frozenset() if kinds and kinds <= _IN_MEMORY else None


def _union(parts: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """Return all of them together; None when one of them, or everything, is unknown."""
    found = list(parts)
    known = [part for part in found if part is not None]
    return frozenset().union(*known) if found and len(known) == len(found) else None
