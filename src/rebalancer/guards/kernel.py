"""What the kernel tells of the machine in /proc, read by the guards; below another root, what is listed there."""

from collections.abc import Iterable
from pathlib import Path

from rebalancer import proc


def text(root: Path, name: str) -> str | None:
    """Return a file of /proc; that of this machine when none is listed below the root, None when it cannot be read."""
    listed = root / "proc" / name
    try:
        return (listed if listed.exists() else Path("/proc", name)).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None


def ticks_of(processes: Iterable[int]) -> dict[int, int]:
    """Return the processor time of processes in clock ticks (proc_pid_stat(5), utime and stime); of those that live."""
    return {pid: ticks for pid in processes if (ticks := _ticks(pid)) is not None}


def bytes_of(processes: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Return the bytes that processes had read from and written to block devices (proc_pid_io(5)).

    Written bytes count when they are handed to the page cache. A process that may not be looked into is left out.
    """
    return {pid: counts for pid in processes if (counts := _bytes(pid)) is not None}


def _ticks(process: int) -> int | None:
    try:
        fields = proc.stat_of(process)
        return int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return None


def _bytes(process: int) -> tuple[int, int] | None:
    try:
        lines = Path(f"/proc/{process}/io").read_text(encoding="ascii").splitlines()
        counts = {name: int(count) for name, _, count in (line.partition(": ") for line in lines)}
        return counts["read_bytes"], counts["write_bytes"] - counts["cancelled_write_bytes"]
    except (OSError, ValueError, KeyError):
        return None
