"""The status of names in a folder, with what stat(2) does not tell: immutable, append-only, the root of a mount."""

import ctypes
import os
import stat
import struct
from collections.abc import Sequence
from itertools import repeat
from typing import Final, NamedTuple

_statx = ctypes.CDLL(None, use_errno=True).statx
_statx.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]

_FLAGS = 0x0100 | 0x0800 | 0x1000  # AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH
_BASIC_STATS = 0x07FF
_SIZE = 256  # of struct statx, as statx(2) lays it out
# attributes, nlink, mode, inode, size, blocks, seconds and nanoseconds of mtime, device
_unpack = struct.Struct("=8xQI8xH2xQQQ56xqI12xQ").unpack_from

IMMUTABLE: Final = 0x10
APPEND_ONLY: Final = 0x20
MOUNT_ROOT: Final = 0x2000  # Linux 5.8; before, a mount of the same file system is noticed when it is opened
UNCHANGEABLE: Final = IMMUTABLE | APPEND_ONLY
_NOTABLE = UNCHANGEABLE | MOUNT_ROOT

AT_ONCE: Final = 64  # names whose status is taken together; a cold disk takes a tenth of a second for so many


class Status(NamedTuple):
    attributes: int
    links: int
    mode: int
    inode: int
    length: int
    blocks: int  # of 512 bytes
    mtime_seconds: int
    mtime_nanoseconds: int  # of that second
    device: int  # comparable with another `Status` only; not an st_dev

    @property
    def mtime(self) -> int:
        """The time of the last change of content, in nanoseconds since 1970."""
        return self.mtime_seconds * 10**9 + self.mtime_nanoseconds


class StatusReader:
    """One per thread: the kernel's answer lands in a buffer that is used again."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(_SIZE)
        self._address = ctypes.addressof(self._buffer)

    def read(self, folder: int, name: bytes) -> Status:
        """Return the status of a name, of a symlink itself, of the folder itself for an empty name (statx(2))."""
        if _statx(folder, name, _FLAGS, _BASIC_STATS, self._address) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return Status._make(_unpack(self._buffer))


class StatusTable:
    """The status of up to 64 names, a row each, looked at by columns: no object is made for a plain file."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(AT_ONCE * _SIZE)
        rows = memoryview(self._buffer).cast("B")
        self._halves, self._words = rows.cast("H"), rows.cast("I")
        self._longs, self._signed = rows.cast("Q"), rows.cast("q")
        start = ctypes.addressof(self._buffer)
        self._rows = range(start, start + AT_ONCE * _SIZE, _SIZE)
        self.count = 0

    def read(self, folder: int, names: Sequence[int]) -> bool:
        """Take the status of the names at these addresses; return whether that worked for all of them."""
        self.count = len(names)
        return not any(map(_statx, repeat(folder), names, repeat(_FLAGS), repeat(_BASIC_STATS), self._rows))

    def are_plain(self) -> bool:
        """Whether all are regular files with one name, and nothing about them is worth a second look."""
        end = self.count * 32
        return (
            all(map(stat.S_ISREG, set(self._halves[14 : end * 4 : 128])))
            and max(self._words[4 : end * 2 : 64]) == 1
            and not any(attributes & _NOTABLE for attributes in set(self._longs[1:end:32]))
        )

    def are_folders(self, device: int) -> bool:
        """Whether all of them are folders on this device, with nothing that is worth a second look."""
        end = self.count * 32
        return (
            all(map(stat.S_ISDIR, set(self._halves[14 : end * 4 : 128])))
            and not any(attributes & _NOTABLE for attributes in set(self._longs[1:end:32]))
            and set(self._longs[17:end:32]) == {device}
        )

    @property
    def inodes(self) -> list[int]:
        return list(self._longs[4 : self.count * 32 : 32])

    @property
    def length(self) -> int:
        """The sum of their lengths, in bytes."""
        return sum(self._longs[5 : self.count * 32 : 32])

    @property
    def blocks(self) -> int:
        """The sum of their blocks, of 512 bytes."""
        return sum(self._longs[6 : self.count * 32 : 32])

    def newest(self, known: int) -> int:
        """Return the newest mtime of them and of one that is known, in nanoseconds since 1970."""
        return newest_of(self._signed[14 : self.count * 32 : 32], self._words[30 : self.count * 64 : 64], known)


def newest_of(seconds: memoryview, parts: memoryview, known: int) -> int:
    """Return the newest of these times and of one that is known, in nanoseconds; ``parts`` are those of each second."""
    last = max(seconds)
    if (last + 1) * 10**9 <= known:
        return known
    return max(known, last * 10**9 + max(part for second, part in zip(seconds, parts, strict=True) if second == last))
