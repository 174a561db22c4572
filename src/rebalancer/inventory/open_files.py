"""Who has files of the disks open, by device and inode, with the evidence in words: ``open by smbd, pid 4711``.

The lease at copying is what protects such a file. This is the early answer, so that a unit in use is planned only when
it must be, and the reason shown. It does not see processes that we may not look into, nor what the kernel itself has
open for NFS clients.
"""

import os
import stat
from collections.abc import Collection, Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum

from rebalancer import names, proc
from rebalancer.inventory import loop_devices, mount_views
from rebalancer.inventory.mount_views import View, Views, device_name

Identity = tuple[int, int]  # st_dev, st_ino
Writers = dict[Identity, str]  # a sentence naming the process

_FUSE = "/dev/fuse"  # who has this open serves a file system: through a pool others use what it has open
_NOT_ON_DISK = ("/dev/", "/proc/", "/sys/")
_DELETED = " (deleted)"


class Use(Enum):
    """What somebody does with a file, as the words before the name."""

    READING = "open by"
    WRITING = "open for writing by"
    MAPPED = "mapped into memory by"
    IMAGE = "the image behind"


@dataclass(frozen=True, slots=True)
class User:
    """One process, or a loop device, that has a file of a disk open."""

    identity: Identity
    use: Use
    is_writing: bool
    command: str
    process: int = 0  # 0: the kernel itself
    path: str = ""  # below the root of the file system; safe to show
    is_through_pool: bool = False
    point: str = ""  # where an image is mounted; empty when it is not

    @property
    def words(self) -> str:
        """The evidence: ``open by smbd, pid 4711, through the pool``."""
        if self.use is Use.IMAGE:
            return f"{self.use.value} {self.command}" + (f", mounted at {self.point}" if self.point else "")
        return f"{self.use.value} {self.command}, pid {self.process}" + (
            ", through the pool" if self.is_through_pool else ""
        )


def writers(roots: Iterable[int]) -> Writers:
    """Return the regular files on these disks, given by their root folders, that are written to or can be now."""
    if not os.path.isdir("/proc/self/fd"):
        return {}
    devices = {device for root in roots for device in devices_of(root)}
    found = [*images(devices), *users(devices)]
    return {user.identity: user.words for user in found if user.is_writing}


def devices_of(root: int) -> set[str]:
    """Return the names of an open folder's device; on btrfs the mount and stat(2) disagree, so both count."""
    found = {device_name(os.fstat(root).st_dev)}
    with suppress(OSError):  # a program with capabilities may not look into /proc/PID of its own
        _, mount_id = _flags_and_mount(f"/proc/self/fdinfo/{root}")
        if (row := mount_views.read("self").get(mount_id)) is not None:
            found.add(row.device)
    return found


def users(devices: Collection[str], *, spared: Container[int] = ()) -> list[User]:
    """Return who has regular files on these devices open, each process and file once, the oldest process last.

    Only files on these very devices are ever looked at, and those are in memory: no disk wakes up, and a share of a
    dead server cannot hold anything up. Processes that end meanwhile, or that belong to others, are passed over.
    """
    sweep = _Sweep(devices)
    for process in sorted(proc.numbers(), reverse=True):
        if process not in spared:
            sweep.look_into(process)
    return list(dict.fromkeys(sweep.found()))


def images(devices: Collection[str]) -> list[User]:
    """Return the files of these devices behind loop devices. Such a file must not move, and no process has it open."""
    return [
        User(
            identity=(image.device, image.inode),
            use=Use.IMAGE,
            is_writing=image.is_written,
            command=image.loop,
            path=names.display(image.path),
            point=names.display(image.point),
        )
        for image in loop_devices.images(devices)
    ]


def mapping(identity: Identity, *, spared: Container[int] = ()) -> Iterator[User]:
    """Yield who runs a file or has it mapped into memory, also after it was closed (proc_pid_maps(5))."""
    for process in sorted(proc.numbers()):
        with suppress(OSError):
            if process not in spared and _maps(process, identity):
                yield User(identity, Use.MAPPED, is_writing=False, command=_command(process), process=process)


@dataclass(frozen=True, slots=True)
class _Client:
    """A file that a process has open on a pool; ``path`` is below the pool's root."""

    process: int
    path: str


class _Sweep:
    """One look at the open files of many processes."""

    def __init__(self, devices: Collection[str]) -> None:
        self._devices = devices
        self._views = Views(devices)
        self._users: list[User] = []
        self._clients: list[_Client] = []
        self._servers: set[int] = set()  # processes that serve a file system

    def look_into(self, process: int) -> None:
        """Note what one process has open."""
        with suppress(OSError):  # it has ended, or may not be looked into
            view = self._views.of(process)
            if not view.rows:
                return
            folder = os.open(f"/proc/{process}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                for fd in os.listdir(folder):
                    with suppress(OSError):  # closed meanwhile
                        self._look_at(process, fd, folder=folder, view=view)
            finally:
                os.close(folder)

    def found(self) -> Iterator[User]:
        """Yield the users; in place of a pool's process, those who have its files open through the pool."""
        for user in self._users:
            if user.process not in self._servers:
                yield replace(user, command=_command(user.process))
                continue
            clients = [client.process for client in self._clients if _is_below_pool(user.path, client.path)]
            for process in clients or [user.process]:
                yield replace(user, command=_command(process), process=process, is_through_pool=True)

    def _look_at(self, process: int, fd: str, *, folder: int, view: View) -> None:
        path = os.readlink(fd, dir_fd=folder)
        if path == _FUSE:
            self._servers.add(process)
        if not path.startswith(view.beginnings) or path.startswith(_NOT_ON_DISK):
            return
        flags, mount_id = _flags_and_mount(f"/proc/{process}/fdinfo/{fd}")
        row = view.rows.get(mount_id)
        if row is None or flags & os.O_PATH:
            return
        inside = row.path_of(path.removesuffix(_DELETED))
        if row.is_pool:
            self._clients.append(_Client(process, inside))
        elif row.device in self._devices:
            self._add(process, fd, inside, is_writing=bool(flags & (os.O_WRONLY | os.O_RDWR)))

    def _add(self, process: int, fd: str, path: str, *, is_writing: bool) -> None:
        status = os.stat(f"/proc/{process}/fd/{fd}")
        if stat.S_ISREG(status.st_mode):
            user = User(
                identity=(status.st_dev, status.st_ino),
                use=Use.WRITING if is_writing else Use.READING,
                is_writing=is_writing,
                command="",
                process=process,
                path=names.display(path),
            )
            self._users.append(user)


def _is_below_pool(path: str, pool_path: str) -> bool:
    """Return whether a file of a disk is shown by the pool under that path; a branch may be a folder of a disk."""
    shown = names.display(pool_path)
    return path == shown or path.endswith(f"/{shown}")


def _maps(process: int, identity: Identity) -> bool:
    """Return whether a process has the file mapped; the device in its maps is that of stat(2) except on btrfs."""
    inode = f" {identity[1]} ".encode()
    with open(f"/proc/{process}/maps", "rb") as file:
        lines = [line for line in file if inode in line]
    for line in lines:
        addresses, _, _, device, number, *_ = line.split()
        try:
            status = os.stat(f"/proc/{process}/map_files/{addresses.decode('ascii')}")
        except OSError:  # only root may ask
            major, minor = device.split(b":")
            if (os.makedev(int(major, 16), int(minor, 16)), int(number)) == identity:
                return True
        else:
            if (status.st_dev, status.st_ino) == identity:
                return True
    return False


def _flags_and_mount(information: str) -> tuple[int, int]:
    """Return how a file was opened (open(2)) and the id of its mount (proc_pid_fdinfo(5); since Linux 3.15)."""
    flags, mount_id = 0, -1
    with open(information, "rb") as file:
        for line in file:
            if line.startswith(b"flags:"):
                flags = int(line.split()[1], 8)
            elif line.startswith(b"mnt_id:"):
                mount_id = int(line.split()[1])
                break
    return flags, mount_id


def _command(process: int) -> str:
    try:
        with open(f"/proc/{process}/comm", "rb") as file:
            return names.display(file.read().rstrip(b"\n"))
    except OSError:
        return "a process that has ended"
