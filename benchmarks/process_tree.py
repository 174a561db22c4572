"""A process and all that it started, as /proc has them."""

from contextlib import suppress
from pathlib import Path


def tree(root: int) -> list[int]:
    """Return a process and its descendants: those of all its threads (proc_pid_task(5), children)."""
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        found.append(process)
        with suppress(OSError):
            for children in Path(f"/proc/{process}/task").glob("*/children"):
                waiting += map(int, children.read_text().split())
    return found
