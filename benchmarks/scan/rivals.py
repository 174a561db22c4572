"""One run of each program over the same disks, and the memory of a whole process tree."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from process_tree import tree

ROOT = Path(__file__).resolve().parents[2]

_OURS = """
import os, sys, time
from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.inventory.scan import scan
disks = [Disk(name=path, path=path, size_bytes=1, used_bytes=0, device=os.stat(path).st_dev, inode=os.stat(path).st_ino)
    for path in sys.argv[1:]]
start = time.perf_counter()
found = scan(disks, depth=1, now=0, cancel=Cancel(), on_progress=lambda *_: None)
print(time.perf_counter() - start, sum(unit.files for unit in found.units))
"""


def ours(places: Sequence[Path]) -> float:
    """Return the seconds of a scan in a Python that has started, with the processes that the scan starts."""
    command = [sys.executable, "-c", _OURS, *map(str, places)]
    done = subprocess.run(command, env=_environment(), check=True, capture_output=True, text=True)
    return float(done.stdout.split()[0])


def du(places: Sequence[Path]) -> float:
    return _seconds(["du", "-s", *map(str, places)])


def find(places: Sequence[Path]) -> float:
    return _seconds(["find", *map(str, places), "-printf", "%s %b %T@ %y %n %i\n"])


RIVALS: dict[str, Callable[[Sequence[Path]], float]] = {"ours": ours, "du -s": du, "find -printf": find}


def memory(places: Sequence[Path]) -> tuple[int, int, int]:
    """Scan once; return the files, the highest sum of PSS of all its processes, and the sum of their peaks of RSS.

    Bytes; looked at 50 times a second. The first figure counts shared pages once, the second is an upper bound.
    """
    command = [sys.executable, "-c", _OURS, *map(str, places)]
    with subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, text=True) as process:
        highest, peaks = 0, {}
        while process.poll() is None:
            members = tree(process.pid)
            highest = max(highest, sum(_kibibytes(pid, "smaps_rollup", "Pss:") for pid in members))
            peaks.update({pid: peak for pid in members if (peak := _kibibytes(pid, "status", "VmHWM:"))})
            time.sleep(0.02)
        assert process.stdout is not None
        files = int(process.stdout.read().split()[1])
    return files, highest * 1024, sum(peaks.values()) * 1024


def _kibibytes(pid: int, file: str, key: str) -> int:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(key)).split()[1])
    return 0


def _seconds(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}
