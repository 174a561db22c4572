"""How much memory a command and all its processes have at once, looked at twenty times a second."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from moving import media
from process_tree import tree

_PROC = Path("/proc")
_EVERY = 0.05  # seconds
_WORKER = b"rebalancer.transfer.worker"


@dataclass(slots=True)
class Peaks:
    """In bytes. Shares of pages are counted once (Pss of proc_pid_smaps(5)); the page cache is none of it."""

    all: int = 0  # everything at once
    workers: int = 0  # our worker and what it started
    rest: int = 0  # what is left of it: for us the supervisor
    page_cache: int = 0  # of the whole machine
    _ours: set[int] = field(default_factory=set, repr=False)

    def look(self, root: int) -> None:
        sizes = {process: _share_of(process) for process in tree(root)}
        self._ours |= {process for process in sizes if _is_worker(process)}
        workers = sum(size for process, size in sizes.items() if process in self._ours)
        everything = sum(sizes.values())
        self.all = max(self.all, everything)
        self.workers = max(self.workers, workers)
        self.rest = max(self.rest, everything - workers)
        self.page_cache = max(self.page_cache, media.cached())


@contextmanager
def watched(root: int) -> Iterator[Peaks]:
    """Look at a process and its descendants for as long as this lasts."""
    peaks, ended = Peaks(), threading.Event()

    def watch() -> None:
        while not ended.is_set():
            peaks.look(root)
            ended.wait(_EVERY)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def _share_of(process: int) -> int:
    with suppress(OSError):
        for line in (_PROC / str(process) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _is_worker(process: int) -> bool:
    """Say whether a process is our worker or was forked from it: they share the command line."""
    with suppress(OSError):
        return _WORKER in (_PROC / str(process) / "cmdline").read_bytes()
    return False
