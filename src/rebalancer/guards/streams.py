"""Holds work while others have many files of the disks open."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from rebalancer.array.disk import Disk
from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold
from rebalancer.inventory import mount_views, open_files
from rebalancer.inventory.mount_views import Rows
from rebalancer.inventory.open_files import User

_EVERY = 10.0  # seconds between two looks at all processes; in between the last answer stands
_NAMED = 3  # files named in the reason
_FIRST_KERNEL_THREAD = "/proc/2/comm"  # kthreadd, which only the machine's own view of its processes shows


@dataclass(frozen=True, slots=True)
class _Ground:
    """Where a disk lies: the device names of its file system, and the folder of that which is the disk."""

    devices: frozenset[str]
    folder: str  # below the root of the file system; empty when the disk is all of it

    def path_of(self, user: User) -> str | None:
        """Return the path of a file below the disk; None when it is on no part of it."""
        if mount_views.device_name(user.identity[0]) not in self.devices:
            return None
        if not self.folder:
            return user.path
        return user.path.removeprefix(f"{self.folder}/") if user.path.startswith(f"{self.folder}/") else None


@dataclass(slots=True)
class StreamsGuard:
    """Holds while others have more than ``max_streams`` files of the disks at work open, for reading or writing.

    A file that is open through a pool is open on its disk as well, by the pool's process; who uses the pool is named
    instead when that can be told. Nothing is opened or looked up on any disk. What the kernel serves to NFS clients, and
    processes of other PID namespaces, are not seen.
    """

    max_streams: int | None  # None: not looked at
    name: str = "streams"
    _looked: float | None = None
    _open: dict[str, User] = field(default_factory=dict)  # by what is said of it; the longest open first
    _named: tuple[str, ...] = ()
    _hold: Hold | None = None  # told in the same words for as long as those named are there

    def look(self, moment: Moment) -> Hold | None:
        if self.max_streams is None:
            return None
        if blind := _why_blind():
            return Hold(guard=self.name, reason=f"which files others have open cannot be told: {blind}")
        if self._looked is None or moment.at - self._looked >= _EVERY:
            self._looked = moment.at
            found = _streams(moment)
            self._open = {words: found[words] for words in [*self._open, *sorted(found)] if words in found}
        files = {user.identity for user in self._open.values()}
        named = tuple(self._open)[:_NAMED]
        if len(files) <= self.max_streams:
            self._hold = None
        elif self._hold is None or named != self._named:
            more = f" and {len(self._open) - _NAMED} more" if len(self._open) > _NAMED else ""
            what = "1 file of the disks is" if len(files) == 1 else f"{len(files)} files of the disks are"
            count = f"{what} open (at most {self.max_streams}): "
            self._hold, self._named = Hold(guard=self.name, reason=count + "; ".join(named) + more), named
        return self._hold


def _why_blind() -> str:
    """Return why the open files of other processes cannot be seen; nothing when they can."""
    try:
        with open(_FIRST_KERNEL_THREAD, "rb") as file:
            is_machine = file.read() == b"kthreadd\n"
        os.listdir("/proc/1/fd")
    except PermissionError:
        return "this needs root"
    except OSError:
        is_machine = False
    return "" if is_machine else "this container sees only its own processes; start it with --pid=host"


def _streams(moment: Moment) -> dict[str, User]:
    """Return what others have open on the disks, by what is said of it: ``open by smbd, pid 4711: movies/x.mkv``."""
    grounds = _grounds([disk for disk in moment.disks if disk.is_usable])
    devices = frozenset[str]().union(*(ground.devices for ground in grounds))
    found = {}
    for user in open_files.users(devices, spared=moment.own):
        path = next((path for ground in grounds if (path := ground.path_of(user)) is not None), None)
        if path is not None:
            found[f"{user.words}: {path}"] = user
    return found


def _grounds(disks: Sequence[Disk]) -> list[_Ground]:
    rows = mount_views.read("self")
    return [_ground(disk, rows) for disk in disks]


def _ground(disk: Disk, rows: Rows) -> _Ground:
    row = mount_views.over(rows, os.path.normpath(disk.path))
    if row is None:
        return _Ground(frozenset({mount_views.device_name(disk.device)}), "")
    return _Ground(frozenset({mount_views.device_name(disk.device), row.device}), row.path_of(disk.path))
