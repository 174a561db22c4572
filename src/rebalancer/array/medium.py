"""What a disk rests on: which devices, and whether their heads must not be sent to two places at once."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from rebalancer import linux
from rebalancer.array import mounts
from rebalancer.array.disk import IN_MEMORY, Disk

_DEEP = 8  # devices upon devices, at most; sysfs has no circles, a broken one must not be followed for ever


class Medium(Struct, frozen=True, omit_defaults=True):
    """``devices`` are whole ones by kernel name (a partition's is its disk), or the file system itself in memory."""

    devices: tuple[str, ...] = ()  # empty: it cannot be told
    is_rotational: bool = True  # so is what cannot be told

    @property
    def spindles(self) -> frozenset[str]:
        """The devices on which two streams would hinder each other; those that cannot be told may be the same."""
        return frozenset(self.devices or ("",)) if self.is_rotational else frozenset()


def medium_of(disk: Disk, *, system: Path = Path("/sys")) -> Medium:
    """Return what a disk's file system is on, by what the kernel says in memory: no disk is woken.

    A device is followed down to what it is made of (sysfs: ``slaves``, a loop device's file). Of a btrfs with several
    devices all count (``/sys/fs/btrfs``). Whether it rotates is what the kernel says of the uppermost device, which
    takes it over from those below (``queue/rotational``); virtual disks say that they do.
    """
    if disk.is_in_memory:
        return Medium((_memory(disk.device),), is_rotational=False)
    tops = [_whole(top) for number in _numbers_of(disk, system) if (top := system / "dev/block" / number).exists()]
    devices = {name for top in tops for name in _made_of(top, system, depth=0)}
    if not devices or "" in devices:
        return Medium()
    return Medium(tuple(sorted(devices)), is_rotational=any(_line(top / "queue/rotational") != "0" for top in tops))


def _numbers_of(disk: Disk, system: Path) -> Iterator[str]:
    """Yield ``major:minor`` of the devices that the file system names; those of btrfs have numbers of their own."""
    if os.major(disk.device):
        yield _number(disk.device)
        return
    with suppress(OSError):
        source = os.stat(disk.mount_source).st_rdev
        yield _number(source)
        yield from _mates(_number(source), system)


def _mates(number: str, system: Path) -> Iterator[str]:
    """Yield all devices of the btrfs that has this one."""
    for devices in system.glob("fs/btrfs/*/devices"):
        found = [_line(device / "dev") for device in devices.iterdir()]
        if number in found:
            yield from found


def _made_of(top: Path, system: Path, *, depth: int) -> Iterator[str]:
    """Yield the names of what a device rests on; an empty one for what cannot be told."""
    if depth == _DEEP:
        yield ""
    elif (top / "loop/backing_file").exists():
        yield from _behind_loop(top.name, system, depth=depth)
    elif below := list(top.glob("slaves/*")):
        for device in below:
            yield from _made_of(_whole(device), system, depth=depth + 1)
    else:
        yield top.name


def _behind_loop(name: str, system: Path, *, depth: int) -> Iterator[str]:
    """Yield what the file behind a loop device rests on, as that device knows it (loop(4)); no path is asked.

    It cannot be told where the file's file system names no device, as that of btrfs, and is not in memory.
    """
    device = _file_device(name)
    below = system / "dev/block" / _number(device)
    if device and below.exists():
        yield from _made_of(_whole(below), system, depth=depth + 1)
    else:
        kinds = {mount.filesystem for mount in mounts.read(Path("/")).mounts if mount.device == device}
        yield _memory(device) if kinds and kinds <= IN_MEMORY else ""


def _file_device(loop: str) -> int:
    """Return st_dev of the file behind a loop device; 0 when that may not be asked."""
    try:
        fd = os.open(f"/dev/{loop}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return linux.loop_backing(fd)[0]
    except OSError:
        return 0
    finally:
        os.close(fd)


def _memory(device: int) -> str:
    return f"memory {device}"


def _whole(device: Path) -> Path:
    """Return the device itself, of a partition the disk that it is a part of."""
    place = device.resolve()
    return place.parent if (place / "partition").exists() else place


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").removesuffix("\n")
    except OSError:
        return ""
