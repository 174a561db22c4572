"""Taking turns at a folder or a file: a kernel lock that ends with its holder, and a limit to the patience."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL = 0.005  # seconds


@contextmanager
def turn_at(folder: Path, *, patience: float) -> Iterator[bool]:
    """Hold the lock of a folder, also one on a read-only file system; writes nothing (flock(2)).

    Yields False when somebody else kept it for ``patience`` seconds: a stopped process (SIGSTOP) keeps its locks.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield is_taken(fd, patience=patience)
    finally:
        os.close(fd)


def is_taken(fd: int, *, patience: float) -> bool:
    """Take the lock of an open file within ``patience`` seconds; it is given back when the file is closed."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
        else:
            return True
