"""The log of one execution, in the runtime folder: read from its end, whatever its size."""

import os
from pathlib import Path

from rebalancer import names
from rebalancer.errors import NotFoundError
from rebalancer.executions import checking
from rebalancer.state import StateFolders


def last_of(folders: StateFolders, execution_id: str, *, size: int) -> str:
    """Return the whole lines of the last ``size`` bytes, or a part of one that is longer.

    Raises NotFoundError when there is no log, or no longer.
    """
    path = folders.logs / f"{execution_id}.log"
    if not checking.is_id(execution_id) or path.is_symlink() or not path.is_file():
        raise NotFoundError(f"there is no log of {names.display(execution_id)}; logs end with a reboot")
    end = end_of(path, size=size + 1)
    if len(end) > size:
        end = end.partition(b"\n")[2] or end[1:]
    return end.decode(errors="backslashreplace")


def end_of(path: Path, *, size: int) -> bytes:
    """Return the last bytes of a regular file; none when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, size, max(0, os.fstat(fd).st_size - size))
    except OSError:
        return b""
    finally:
        os.close(fd)
