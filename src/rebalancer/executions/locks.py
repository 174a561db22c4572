"""One mover per disk: kernel locks that end with their holder, however it ends."""

import fcntl
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rebalancer.array.disk import Disk
from rebalancer.errors import NotNowError, RefusedError
from rebalancer.state import ensure


def lock_disks(disks: Sequence[Disk], folder: Path, *, holder: str, stack: ExitStack) -> tuple[int, ...]:
    """Take the lock of every usable disk, or none; they are given back when the stack is left.

    Returns their descriptors: a process that inherits them keeps the disks locked for as long as it lives (flock(2)).

    Raises NotNowError naming the disk and who works on it, RefusedError when the folder cannot hold a lock. Arrays that share no disk do not wait for each other.
    """
    ensure(folder)
    held = []
    with ExitStack() as taken:
        # what cannot be used is not worked on; and without a mount there is nothing to tell one disk from another by
        for disk in sorted(filter(_is_usable, disks), key=lambda disk: (disk.device, disk.inode)):
            try:
                held.append(_take(_path(folder, disk), disk, holder=holder, stack=taken))
            except OSError as error:
                reason = (error.strerror or "").lower()
                raise RefusedError(f"the lock of {disk.name} cannot be kept in {folder}: {reason}") from error
        stack.push(taken.pop_all())
    return tuple(held)


def _take(path: Path, disk: Disk, *, holder: str, stack: ExitStack) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, fd)
    _lock(fd, disk)
    os.ftruncate(fd, 0)
    os.pwrite(fd, holder.encode(), 0)
    return fd


def _is_usable(disk: Disk) -> bool:
    return disk.is_usable


def _lock(fd: int, disk: Disk) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(fd, 200, 0).decode("ascii", "replace") or "another run"
        raise NotNowError(f"{holder} is working on {disk.name}; try again when it has ended") from error


def _path(folder: Path, disk: Disk) -> Path:
    return folder / f"disk-{disk.device:x}-{disk.inode:x}.lock"
