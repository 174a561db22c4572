"""Which files somebody has open for writing, so that a unit in use is planned only when it must be.

The lease at copying is what protects such a file; this is the early answer. It does not see a file that is written
through a mapping whose descriptor was closed, nor processes that we may not look into.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress

from rebalancer import names

Writers = dict[tuple[int, int], str]  # (st_dev, st_ino) -> a sentence naming the process

_NOT_ON_DISK = ("socket:", "pipe:", "anon_inode:")


def writers(roots: Iterable[int]) -> Writers:
    """Return the regular files on these disks, given by their root folders, that a process can write to now.

    Only files on these very disks are ever looked at, so a share of a dead server cannot hold the scan up;
    processes that end meanwhile, or that belong to others, are passed over.
    """
    if not os.path.isdir("/proc/self/fd"):
        return {}
    mounts = _Mounts()
    devices = {device for root in roots for device in mounts.devices_of(root)} - {""}
    found: Writers = {}
    for process in sorted((int(name) for name in os.listdir("/proc") if name.isdecimal()), reverse=True):
        for status in _written_by(process, devices, mounts):
            found[status.st_dev, status.st_ino] = f"open for writing by {_command(process)}, pid {process}"
    return found


class _Mounts:
    """Which device each mount is of, per mount namespace: mount(2) ids in /proc/PID/fdinfo mean nothing else."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str], dict[int, str]] = {}

    def devices_of(self, root: int) -> Iterator[str]:
        """Yield the names of a disk's device; on btrfs the mount and stat(2) disagree, so both count."""
        device = os.fstat(root).st_dev
        yield f"{os.major(device)}:{os.minor(device)}"
        with suppress(OSError):  # a program with capabilities may not look into /proc/PID of its own
            yield self.device(os.getpid(), str(root))

    def device(self, process: int, fd: str) -> str:
        """Return major:minor of the mount that an open file lies on; empty for what is not on a mount."""
        view = (os.readlink(f"/proc/{process}/ns/mnt"), os.readlink(f"/proc/{process}/root"))
        if view not in self._tables:
            self._tables[view] = _mount_table(process)
        return self._tables[view].get(_mount_id(process, fd), "")


def _written_by(process: int, devices: set[str], mounts: _Mounts) -> Iterator[os.stat_result]:
    try:
        descriptors = os.listdir(f"/proc/{process}/fd")
    except OSError:
        return
    for fd in descriptors:
        try:
            if not _is_writable(f"/proc/{process}/fd/{fd}") or mounts.device(process, fd) not in devices:
                continue
            status = os.stat(f"/proc/{process}/fd/{fd}")
        except OSError:  # closed meanwhile
            continue
        if stat.S_ISREG(status.st_mode):
            yield status


def _is_writable(link: str) -> bool:
    """Return whether a descriptor is open for writing, as the mode of its link says (proc_pid_fd(5))."""
    return bool(os.lstat(link).st_mode & stat.S_IWUSR) and not os.readlink(link).startswith(_NOT_ON_DISK)


def _mount_id(process: int, fd: str) -> int:
    with open(f"/proc/{process}/fdinfo/{fd}", "rb") as file:
        for line in file:
            if line.startswith(b"mnt_id:"):
                return int(line.split()[1])
    return -1


def _mount_table(process: int) -> dict[int, str]:
    with open(f"/proc/{process}/mountinfo", "rb") as file:
        rows = (line.split(b" ", 3) for line in file)
        return {int(row[0]): row[2].decode("ascii") for row in rows}


def _command(process: int) -> str:
    try:
        with open(f"/proc/{process}/comm", "rb") as file:
            return names.display(file.read().rstrip(b"\n"))
    except OSError:
        return "a process that has ended"
