"""The names in a folder as the kernel lists them, with what it says of them at no cost: the inode, a regular file or not."""

import ctypes
import os
import struct
from collections.abc import Iterator
from typing import Final

_getdents64 = ctypes.CDLL(None, use_errno=True).getdents64
_getdents64.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
_getdents64.restype = ctypes.c_ssize_t

_SIZE = 2**15  # bytes of names at once
_NAME = 19  # where the name begins in struct linux_dirent64, after inode, offset, length and type (getdents(2))
_head = struct.Struct("=Q8xHB").unpack_from
_REGULAR: Final = 8  # DT_REG
_FOLDER: Final = 4  # DT_DIR
_DOT = ord(".")
_DOTS = (b".", b"..")

Entry = tuple[int, int]  # the inode of a name, and the address where the name lies until more names are listed


class Listing:
    """One per thread: the kernel's answer lands in a buffer that is used again."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(_SIZE)
        self._address = ctypes.addressof(self._buffer)
        self.raw = b""  # what the kernel said last, all names in it

    def fill(self, folder: int) -> bool:
        """List the next names of an open folder (getdents64(2)); return False when there are no more. Raises OSError."""
        filled: int = _getdents64(folder, self._address, _SIZE)
        if filled < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self.raw = ctypes.string_at(self._address, filled)
        return filled > 0

    def names(self) -> Iterator[bytes]:
        """Yield all names listed last, by inode: in that order a cold disk gives them up soonest."""
        return (self.name(entry) for entry in sorted(entry for kind in self.kinds() for entry in kind))

    def name(self, entry: Entry) -> bytes:
        return ctypes.string_at(entry[1])

    def kinds(self) -> tuple[list[Entry], list[Entry], list[Entry]]:
        """Return what is said to be a regular file, to be a folder, and all else, each by inode."""
        raw, start = self.raw, self._address + _NAME
        regular: list[Entry] = []
        folders: list[Entry] = []
        others: list[Entry] = []
        at, end = 0, len(raw)
        while at < end:
            inode, length, kind = _head(raw, at)
            if kind == _REGULAR:
                regular.append((inode, start + at))
            elif kind != _FOLDER:
                others.append((inode, start + at))
            elif raw[at + _NAME] != _DOT or self.name((inode, start + at)) not in _DOTS:
                folders.append((inode, start + at))
            at += length
        regular.sort()
        folders.sort()
        return regular, folders, others
