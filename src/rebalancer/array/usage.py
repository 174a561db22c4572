"""How much a folder with a size limit holds; the only place of discovery that reads a tree."""

import errno
import os
import stat
from dataclasses import dataclass, field

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})  # removed or replaced while we look


@dataclass(slots=True)
class _Level:
    """A folder on the way down: who it is, so that climbing back is proved, and its folders still to be read."""

    identity: tuple[int, int]
    waiting: list[bytes] = field(default_factory=list)


def allocated_bytes(folder: int) -> int:
    """Return the bytes allocated below an open folder, hard links once, on its own file system only.

    Any depth with one folder open at a time, no symlink followed. Raises OSError when a folder cannot be read
    or was moved away meanwhile (ESTALE): a number that is too small would let the limit be passed.
    """
    linked: set[int] = set()
    current = os.open(b".", _FOLDER, dir_fd=folder)
    try:
        status = os.fstat(current)
        total = status.st_blocks * 512
        device = status.st_dev
        here, size = _read(current, device, linked)
        levels, total = [here], total + size
        while levels:
            if levels[-1].waiting:
                deeper = _open(levels[-1].waiting.pop(), current)
                if deeper is None:
                    continue
                os.close(current)
                current = deeper
                here, size = _read(current, device, linked)
                levels.append(here)
                total += size
            else:
                levels.pop()
                if levels:
                    current = _climb(current, levels[-1].identity)
        return total
    finally:
        os.close(current)


def _read(folder: int, device: int, linked: set[int]) -> tuple[_Level, int]:
    """Return one folder's level and the bytes of what lies directly in it."""
    status = os.fstat(folder)
    level, total = _Level((status.st_dev, status.st_ino)), 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if found.st_dev != device or found.st_ino in linked:
                continue
            total += found.st_blocks * 512
            if stat.S_ISDIR(found.st_mode):
                level.waiting.append(os.fsencode(entry.name))
            elif found.st_nlink > 1:
                linked.add(found.st_ino)
    return level, total


def _open(name: bytes, folder: int) -> int | None:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


def _climb(folder: int, expected: tuple[int, int]) -> int:
    """Go one folder up, and prove that it is the one we came from; closes the folder below."""
    above = os.open(b"..", _FOLDER, dir_fd=folder)
    status = os.fstat(above)
    if (status.st_dev, status.st_ino) != expected:
        os.close(above)
        raise OSError(errno.ESTALE, "a folder was moved while it was measured")
    os.close(folder)
    return above
