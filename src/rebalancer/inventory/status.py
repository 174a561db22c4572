"""The status of a name in a folder, with what stat(2) does not tell: immutable, append-only, the root of a mount."""

import ctypes
import os
import struct
from typing import Final, NamedTuple

_statx = ctypes.CDLL(None, use_errno=True).statx
_statx.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]

_FLAGS = 0x0100 | 0x0800 | 0x1000  # AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH
_BASIC_STATS = 0x07FF
_SIZE = 256  # of struct statx, as statx(2) lays it out
# attributes, nlink, mode, inode, size, blocks, seconds and nanoseconds of mtime, device
_unpack = struct.Struct("=8xQI8xH2xQQQ56xqI12xQ").unpack_from

IMMUTABLE: Final = 0x10
APPEND_ONLY: Final = 0x20
MOUNT_ROOT: Final = 0x2000  # Linux 5.8; before, a mount of the same file system is noticed when it is opened
UNCHANGEABLE: Final = IMMUTABLE | APPEND_ONLY


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
