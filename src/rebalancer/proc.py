"""Processes as /proc lists them (proc(5)); any of them may end while it is looked at."""

import os
from collections.abc import Iterator
from pathlib import Path

_PARENT = 1


def numbers() -> Iterator[int]:
    """Yield the number of every process."""
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def stat_of(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the state on, which is field 3 there (proc_pid_stat(5)).

    The command's name before them may hold ``)`` and blanks. Raises FileNotFoundError or ProcessLookupError when the
    process has ended.
    """
    text = Path(f"/proc/{pid}/stat").read_bytes()
    return text[text.rindex(b")") + 2 :].split()


def parent_of(pid: int) -> int:
    """Return the number of the process that started it; 0 when it has ended."""
    try:
        return int(stat_of(pid)[_PARENT])
    except OSError:
        return 0
