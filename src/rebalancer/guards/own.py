"""Which processes are ours, so that no guard takes our own work for that of others."""

import os
from collections.abc import Iterable
from pathlib import Path

from rebalancer import proc


def own_processes() -> frozenset[int]:
    """Return this process and everything that descends from it; a worker counts though its session is its own."""
    return family_of(os.getpid())


def family_of(head: int) -> frozenset[int]:
    """Return a process and everything that descends from it."""
    found, waiting = set[int](), [head]
    while waiting:
        process = waiting.pop()
        if process not in found:
            found.add(process)
            waiting += _children(process)
    return frozenset(found)


def _children(process: int) -> Iterable[int]:
    """Return the living children of all threads of a process; none when it has ended (proc_tid_children(5))."""
    try:
        threads = os.listdir(f"/proc/{process}/task")
        lists = [Path(f"/proc/{process}/task/{thread}/children").read_bytes() for thread in threads]
    except FileNotFoundError:
        return _children_by_parent(process)
    except (ProcessLookupError, PermissionError):
        return []
    return [int(number) for listed in lists for number in listed.split()]


def _children_by_parent(process: int) -> Iterable[int]:
    """Return the same by asking every process for its parent, for a kernel without CONFIG_PROC_CHILDREN."""
    return [number for number in proc.numbers() if proc.parent_of(number) == process]
