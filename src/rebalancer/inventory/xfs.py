"""Many files of an XFS disk at a stroke: XFS tells the status of inodes that follow each other in one call.

The files of a folder usually do, as they were made one after another. One call for ten files costs a quarter of ten
calls, and a cold disk is read in larger pieces. Only root may ask, and it is asked only where no name is covered by a
mount, which an inode could not tell.
"""

import ctypes
import os
import stat
import struct
from pathlib import Path
from typing import Final

from rebalancer.array import mounts
from rebalancer.inventory.status import AT_ONCE, newest_of

_ioctl = ctypes.CDLL(None, use_errno=True).ioctl
_ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]

_BULKSTAT = 0x8040587F  # XFS_IOC_BULKSTAT (ioctl_xfs_bulkstat(2)), Linux 5.3
_HEADER, _ROW = 64, 192  # bytes of struct xfs_bulk_ireq and of struct xfs_bulkstat
_STEP = _ROW // 8
_begin = struct.Struct("=QIIII").pack_into  # first inode, flags, room, filled, allocation group
_IMMUTABLE_OR_APPEND = 0x08 | 0x10  # FS_XFLAG_IMMUTABLE, FS_XFLAG_APPEND

FEWEST: Final = 4  # files that are worth a call of this kind


class Bulk:
    """The status of up to 64 inodes in a row, looked at by columns."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._buffer = ctypes.create_string_buffer(_HEADER + AT_ONCE * _ROW)
        self._address = ctypes.addressof(self._buffer)
        rows = memoryview(self._buffer).cast("B")
        self._halves, self._words = rows.cast("H"), rows.cast("I")
        self._longs, self._signed = rows.cast("Q"), rows.cast("q")
        self.count = 0
        self.has_answered = False  # the last time

    def read(self, first: int, count: int) -> bool:
        """Take the status of inodes that follow each other; return whether just these are in use, and plain."""
        self.count = count
        _begin(self._buffer, 0, first, 0, count, 0, 0)
        self.has_answered = _ioctl(self._root, _BULKSTAT, self._address) == 0
        return self.has_answered and self._are_these(first) and self._are_plain()

    def _are_these(self, first: int) -> bool:
        last = self.count - 1
        return (
            self._words[4] == self.count and self._longs[8] == first and self._longs[8 + last * _STEP] == first + last
        )

    def _are_plain(self) -> bool:
        end = 8 + self.count * _STEP
        return (
            all(map(stat.S_ISREG, set(self._halves[98 : end * 4 : _STEP * 4])))
            and max(self._words[44 : end * 2 : _STEP * 2]) == 1
            and not any(flags & _IMMUTABLE_OR_APPEND for flags in set(self._longs[11:end:_STEP]))
        )

    @property
    def length(self) -> int:
        """The sum of their lengths, in bytes."""
        return sum(self._longs[9 : 8 + self.count * _STEP : _STEP])

    @property
    def blocks(self) -> int:
        """The sum of their blocks, of 512 bytes."""
        return sum(self._longs[10 : 8 + self.count * _STEP : _STEP]) * (self._words[40] // 512)

    def newest(self, known: int) -> int:
        """Return the newest mtime of them and of one that is known, in nanoseconds since 1970."""
        end = 8 + self.count * _STEP
        return newest_of(self._signed[13:end:_STEP], self._words[37 : end * 2 : _STEP * 2], known)


def bulk(root: int, path: bytes) -> Bulk | None:
    """Return how to ask the disk with this open root, mounted at this path; None where it cannot be asked, or not safely.

    XFS tells the length that a file has on the disk: flush what was written before.
    """
    reader = Bulk(root)
    reader.read(os.fstat(root).st_ino, 1)
    return reader if reader.has_answered and not _has_mounts(path) else None


def _has_mounts(path: bytes) -> bool:
    """Whether something is mounted below the path, so that a name there may not be the inode that its folder lists."""
    beneath = os.path.realpath(os.fsdecode(path)).rstrip("/") + "/"
    return any(str(mount.point).startswith(beneath) for mount in mounts.read(Path("/")).mounts)
