"""Files behind loop devices, such as docker.img and libvirt.img: the kernel holds them, no process has them open."""

import os
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass

from rebalancer import linux
from rebalancer.inventory import mount_views
from rebalancer.inventory.mount_views import Rows

_BLOCK = "/sys/block"


@dataclass(frozen=True, slots=True)
class Image:
    """A file behind a loop device."""

    device: int  # st_dev of the file
    inode: int
    loop: str  # "loop2"
    path: str  # as the kernel names the file; surrogate-escaped
    point: str  # where the loop device is mounted; empty when it is not
    is_written: bool


def images(devices: Container[str]) -> Iterator[Image]:
    """Yield every file of these devices (``major:minor``) that is behind a loop device (losetup(8)).

    Where a file lies is judged by its path, so that an image on the share of a dead server holds nothing up.
    """
    with suppress(OSError):
        rows = mount_views.read("self")
        for loop in sorted(name for name in os.listdir(_BLOCK) if name.startswith("loop")):
            with suppress(OSError):  # none is behind it
                path = _line(f"{_BLOCK}/{loop}/loop/backing_file")
                mount = mount_views.over(rows, path)
                if mount is not None and mount.device in devices:
                    device, inode, is_written = _file_of(loop, path)
                    yield Image(device, inode, loop, path, _point_of(loop, rows), is_written)


def _file_of(loop: str, path: str) -> tuple[int, int, bool]:
    """Return st_dev, st_ino and whether it is written to; without the right to ask the device, its path must do."""
    try:
        fd = os.open(f"/dev/{loop}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        status = os.stat(path)
        return status.st_dev, status.st_ino, _line(f"{_BLOCK}/{loop}/ro") == "0"
    try:
        return linux.loop_backing(fd)
    finally:
        os.close(fd)


def _point_of(loop: str, rows: Rows) -> str:
    device = _line(f"{_BLOCK}/{loop}/dev")
    return next((row.point for row in rows.values() if row.device == device), "")


def _line(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return file.read().removesuffix("\n")
