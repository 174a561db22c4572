"""The way down from a disk's root: symlinks are never followed, mounts never crossed, few folders are open at once."""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from rebalancer import linux

T = TypeVar("T")

_OPEN_AT_MOST = 16  # per disk, so that sixty disks stay below the usual limit of 1,024 descriptors
_GIVEN_DEPTH = 16  # folders below the root
_CHUNK = 2048  # bytes of a path opened at once; the kernel takes 4,095
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Level(Generic[T]):
    """One folder on the way. ``pending`` are the folders below it still to be entered, with what they belong to."""

    name: bytes
    scope: T
    fd: int
    inode: int = 0  # noted when it is closed, to know it again
    pending: list[tuple[bytes, T]] = field(default_factory=list)


class Descent(Generic[T]):
    """A stack of folders from the root to the one being read; any depth, any length of path."""

    def __init__(self, root: int, scope: T) -> None:
        self._levels = [Level(b"", scope, root)]
        self._first_open = 1  # levels from here on are open, and so is the root; those between are opened again

    @property
    def here(self) -> Level[T]:
        return self._levels[-1]

    @property
    def depth(self) -> int:
        """How many folders below the root we are."""
        return len(self._levels) - 1

    def path(self, name: bytes = b"") -> bytes:
        """Return the path of a name in this folder, or of the folder, relative to the root."""
        parts = [level.name for level in self._levels[1:]]
        return b"/".join([*parts, name] if name else parts)

    def enter(self, name: bytes, scope: T) -> None:
        """Go one folder down. Raises OSError, EXDEV for another mount; then nothing has changed."""
        fd = open_folder(self._reopened(), name)
        self._levels.append(Level(name, scope, fd))
        while len(self._levels) - self._first_open > _OPEN_AT_MOST:
            level = self._levels[self._first_open]
            level.inode = os.fstat(level.fd).st_ino
            self._close(self._first_open)
            self._first_open += 1

    def leave(self) -> None:
        """Go one folder up; the root is never left."""
        self._close(self.depth)
        self._levels.pop()
        self._first_open = min(self._first_open, len(self._levels))

    def give(self, *, all_of_it: bool) -> list[tuple[bytes, T]]:
        """Hand over folders still to be entered, by their paths, with what they belong to; they are forgotten here.

        Half of those nearest to the root, or all. Nothing far below the root: the way there is opened step by step.
        """
        given: list[tuple[bytes, T]] = []
        for number, level in enumerate(self._levels):
            if level.pending and (all_of_it or number < _GIVEN_DEPTH):
                count = len(level.pending) if all_of_it else (len(level.pending) + 1) // 2
                above = b"".join(level.name + b"/" for level in self._levels[1 : number + 1])
                given += [(above + name, scope) for name, scope in level.pending[:count]]
                del level.pending[:count]
                if not all_of_it:
                    break
        return given

    def close(self) -> None:
        """Close every folder but the root, which is the caller's."""
        while self.depth:
            self.leave()

    def _close(self, index: int) -> None:
        level = self._levels[index]
        if level.fd >= 0:
            os.close(level.fd)
        level.fd = -1

    def _reopened(self) -> int:
        """Return the descriptor of this folder; when it was closed, open it again and those above, needed next."""
        if self.here.fd < 0:
            first = max(1, len(self._levels) - _OPEN_AT_MOST + 1)
            above = open_chain(self._levels[0].fd, (level.name for level in self._levels[1:first]))
            try:
                self._open_from(first, above)
            finally:
                os.close(above)
        return self.here.fd

    def _open_from(self, first: int, above: int) -> None:
        self._first_open = first
        for index in range(first, len(self._levels)):
            level = self._levels[index]
            if level.fd >= 0:
                level.inode = os.fstat(level.fd).st_ino
            self._close(index)
            level.fd = above = open_folder(above, level.name)
            if os.fstat(above).st_ino != level.inode:
                raise OSError(errno.ESTALE, "changed while it was read")


def open_folder(above: int, path: bytes) -> int:
    """Open a folder below another for reading, leaving its access time alone where we may."""
    try:
        return linux.open_beneath(above, path, _FOLDER | os.O_NOATIME)
    except PermissionError:  # O_NOATIME is for the owner (open(2)); a folder closed to us fails once more
        return linux.open_beneath(above, path, _FOLDER)


def open_chain(root: int, names: Iterable[bytes]) -> int:
    """Open the folder at the end of a path of any length, piece by piece; returns a descriptor of its own."""
    fd = os.dup(root)
    try:
        for piece in _pieces(names):
            above, fd = fd, open_folder(fd, piece)
            os.close(above)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _pieces(names: Iterable[bytes]) -> Iterable[bytes]:
    piece: list[bytes] = []
    length = 0
    for name in names:
        piece.append(name)
        length += len(name) + 1
        if length > _CHUNK:
            yield b"/".join(piece)
            piece, length = [], 0
    if piece:
        yield b"/".join(piece)
