"""What removed executions leave in the runtime folder: logs, live progress, requests to stop."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from rebalancer.executions import checking
from rebalancer.state import StateFolders

_YOUNG = 86400  # seconds; an execution's log is older than its record


def leftovers(folders: StateFolders, *, is_known: Callable[[str], bool], now: float) -> Iterator[tuple[Path, int]]:
    """Yield path and size of every file of an execution that has no record any more and has not just begun."""
    for folder, suffix in ((folders.logs, ".log"), (folders.progress, ".json"), (folders.requests, ".json")):
        for path, execution_id in _named(folder, suffix):
            if (size := size_when_old(path, now=now)) is not None and not is_known(execution_id):
                yield path, size


def _named(folder: Path, suffix: str) -> Iterator[tuple[Path, str]]:
    try:
        names = os.listdir(folder)
    except OSError:  # missing after a reboot
        return
    for name in names:
        execution_id = name.removesuffix(suffix)
        if execution_id != name and checking.is_id(execution_id):
            yield folder / name, execution_id


def size_when_old(path: Path, *, now: float) -> int | None:
    """Return the size of a regular file that nobody has written to for a day; None for anything else."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) and now - status.st_mtime > _YOUNG else None
