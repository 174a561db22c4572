"""Where mounts are as each process sees them: a mount id, and a path, mean something in one mount namespace only."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rebalancer.array import mounts
from rebalancer.array.mounts import Mount

_POOLS = frozenset({"fuse.mergerfs", "fuse.shfs"})  # unions of disks; shfs is Unraid's /mnt/user


@dataclass(frozen=True, slots=True)
class Row:
    """One mount in one view. ``device`` is ``major:minor`` of the whole file system."""

    device: str
    root: str  # which folder of the file system is shown; surrogate-escaped, as `point` is
    point: str
    is_pool: bool

    def path_of(self, path: str) -> str:
        """Return a path of the view as one below the root of the file system: ``movies/x.mkv``."""
        if path != self.point and not path.startswith(self.point.rstrip("/") + "/"):
            return path.strip("/")  # of a view whose root is not ours: its words are all there is
        inside = path.removeprefix(self.point).strip("/")
        return f"{self.root.strip('/')}/{inside}".strip("/")


Rows = dict[int, Row]  # by mount id


@dataclass(frozen=True, slots=True)
class View:
    """The mounts of interest that a process sees, and how the paths of its files begin that may lie on them."""

    rows: Rows
    beginnings: tuple[str, ...]


def device_name(device: int) -> str:
    """Return a device as /proc writes it: ``major:minor``."""
    return f"{os.major(device)}:{os.minor(device)}"


def read(process: int | str) -> Rows:
    """Return all mounts that a process sees. Raises OSError when it is gone or not ours to look at."""
    found = mounts.parse(Path(f"/proc/{process}/mountinfo").read_bytes())
    return {mount.mount_id: _row(mount) for mount in found}


def over(rows: Rows, path: str) -> Row | None:
    """Return the mount that a path lies on, judged by its words alone: nothing is touched."""
    found = [row for row in rows.values() if path == row.point or path.startswith(row.point.rstrip("/") + "/")]
    return max(reversed(found), key=lambda row: len(row.point), default=None)  # the last of equals covers the others


class Views:
    """The views met so far, with the mounts of some devices and all pools in them, each read once."""

    def __init__(self, devices: Iterable[str]) -> None:
        self._devices = frozenset(devices)
        self._views: dict[tuple[str, str], View] = {}

    def of(self, process: int) -> View:
        """Return what a process sees. Raises OSError when it is gone or not ours to look at."""
        key = (os.readlink(f"/proc/{process}/ns/mnt"), os.readlink(f"/proc/{process}/root"))
        if key not in self._views:
            every = read(process)
            rows = {number: row for number, row in every.items() if row.is_pool or row.device in self._devices}
            # below a root of its own a process is told other paths by mountinfo than its links in /proc show
            beginnings = tuple({row.point for row in rows.values()}) if key[1] == "/" else ("/",)
            self._views[key] = View(rows, beginnings)
        return self._views[key]


def _row(mount: Mount) -> Row:
    return Row(device_name(mount.device), mount.root, str(mount.point), mount.filesystem in _POOLS)
