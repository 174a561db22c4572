"""Several disks read at a time, each exactly once, into one inventory."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from msgspec.structs import replace

from rebalancer import linux
from rebalancer.array.disk import Disk, DiskStatus
from rebalancer.array.medium import medium_of
from rebalancer.cancel import Cancel
from rebalancer.errors import CancelledError, RebalancerError, UsageError
from rebalancer.inventory import open_files, team
from rebalancer.inventory.channel import Begin
from rebalancer.inventory.findings import DiskContent
from rebalancer.inventory.reading import WHOLE, Depths, DiskReading
from rebalancer.inventory.team import Team
from rebalancer.inventory.unit import Inventory

OnProgress = Callable[[str, int, int], None]

_MOST = 4  # readers of one disk; one for each core: on two cores a third and a fourth only cost (docs/benchmarks.md)
_PATIENCE = 0.1  # seconds before processes are started: what costs them as long to begin is read by then
_BEAT = 0.1  # seconds between two reports, and between two looks at the request to stop
_GRACE = 1.0  # seconds threads and processes get to notice that they should stop; one that waits for its disk cannot
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def scan(
    disks: Sequence[Disk],
    *,
    depth: int,
    share_depths: Mapping[str, int] = MappingProxyType({}),
    now: float,
    cancel: Cancel,
    on_progress: OnProgress,
) -> Inventory:
    """Read every usable disk once, all at the same time, and return what is on them.

    A thread begins with each disk. What takes longer than a moment goes on in processes: one for a disk that spins,
    several for one that does not.

    Units are the folders ``depth`` levels below their share, or as many as ``share_depths`` says of that share.
    ``on_progress(disk name, files so far, bytes so far)`` is called in the caller's thread, at most ten times a
    second and disk. A disk that cannot be read comes back as not usable, with the reason. Raises CancelledError.
    """
    if depth < 0:
        raise UsageError("unit depth: it is counted from the share, so it is 0 or more")
    cancel.check()
    lanes = [_Lane(disk) for disk in disks]
    readers = _Readers()
    try:
        writers = open_files.writers(lane.root for lane in lanes if lane.root >= 0)
        depths = Depths(depth, {os.fsencode(share): own for share, own in share_depths.items()})
        for lane in lanes:
            lane.start(depths, writers)
        _wait(lanes, _PATIENCE)
        readers.join(lanes)
        _watch(lanes, cancel, on_progress)
    finally:
        _finish(lanes, readers)
    contents = [lane.content() for lane in lanes]
    return Inventory(
        disks=tuple(lane.judged_disk() for lane in lanes),
        units=tuple(unit for content in contents for unit in content.units),
        left_alone=tuple(left for content in contents for left in content.left_alone),
        scanned_at=now,
    )


class _Lane:
    """One disk, the thread that reads it, the processes that take over from it, and what came of it."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.root = -1
        self.stop = Cancel()
        self._content: DiskContent | None = None  # None: not read to the end
        self._failure: OSError | None = None
        self._fault: RebalancerError | None = None
        self._reading: DiskReading | None = None
        self._begin: Begin | None = None
        self._team: Team | None = None
        self._thread: threading.Thread | None = None
        self._shown = (0, 0)
        if disk.is_usable:
            self._open()

    @property
    def is_busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, depths: Depths, writers: open_files.Writers) -> None:
        """Begin to read, unless the disk is of no use."""
        if self.root < 0:
            return
        try:
            device = os.fstat(self.root).st_dev
            ours = {inode: reason for (of, inode), reason in writers.items() if of == device}
            self._begin = Begin(depths, ours, os.fsencode(self.disk.path))
            self._reading = DiskReading(self.root, depths=depths, writers=ours, path=os.fsencode(self.disk.path))
        except OSError as error:
            self._failure = error
            return
        self._thread = threading.Thread(target=self._read, name=f"scan {self.disk.name}", daemon=True)
        self._thread.start()

    def readers(self, *, disks: int, cores: int) -> int:
        """Return how many processes may read the disk while so many disks are read: one where a head has to travel."""
        if medium_of(self.disk).is_rotational:
            return 1
        return max(1, min(_MOST, max(2, cores) // max(1, disks)))

    def hand_over(self, lines: Sequence[socket.socket]) -> None:
        """Let the readers at these lines go on, once they are ready."""
        assert self._begin is not None  # noqa: S101 - `start` made it
        self._team = Team(self.disk.name, lines, self._begin)

    def join(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def show(self, on_progress: OnProgress) -> None:
        """Report how far the disk is, when that has changed."""
        if self._reading is not None:
            counts = [self._reading.counts, *([self._team.counts] if self._team else [])]
            shown = (sum(one.files for one in counts), sum(one.size for one in counts))
            if shown != self._shown:
                self._shown = shown
                on_progress(self.disk.name, *shown)

    def close(self) -> None:
        """Let the processes end, and give the root back, unless a thread is stuck in a call on that disk."""
        if self._team is not None:
            self._team.close()
        if self.root >= 0 and not self.is_busy:
            os.close(self.root)
            self.root = -1

    def content(self) -> DiskContent:
        """Return what is on the disk; nothing when it is of no use. A part of it is never passed off as all of it."""
        if self._content is not None:
            return self._content
        if self._fault is not None:
            raise self._fault
        if self._thread is not None and self._failure is None:
            raise RebalancerError(f"the scan of disk {self.disk.name} broke off; this is a fault of the program")
        return DiskContent([], [])

    def judged_disk(self) -> Disk:
        """Return the disk, not usable when it could not be read."""
        if self._failure is None:
            return self.disk
        reason = f"cannot be read: {(self._failure.strerror or str(self._failure)).lower()}"
        return replace(self.disk, status=DiskStatus.UNSUITABLE, reason=reason)

    def _open(self) -> None:
        try:
            self.root = os.open(self.disk.path, _ROOT)
            status = os.fstat(self.root)
        except OSError as error:
            self._failure = error
            return
        expected = (self.disk.device, self.disk.inode)
        if expected not in {(0, 0), (status.st_dev, status.st_ino)}:
            self._failure = OSError("another file system is mounted there than a moment ago")
            self.close()

    def _read(self) -> None:
        assert self._reading is not None  # noqa: S101 - `start` made it before this thread
        try:
            self._content = self._read_all(self._reading)
        except OSError as error:
            self._failure = error
        except CancelledError:  # `scan` itself raises it
            return
        except RebalancerError as error:
            self._fault = error

    def _read_all(self, reading: DiskReading) -> DiskContent:
        if reading.is_flush_needed:
            with suppress(OSError):  # a disk that cannot be written to can still be read
                linux.sync_file_system(self.root)
        reading.read([WHOLE], check=self.stop.check, yields=self._is_helped)
        parts = reading.give(all_of_it=True)
        if parts and self._team is not None:
            for findings in self._team.read(parts, check=self.stop.check):
                reading.findings.absorb(findings)
        return reading.findings.content(self.disk.name)

    def _is_helped(self) -> bool:
        return self._team is not None and self._team.is_ready()


class _Readers:
    """The processes that read for the lanes; none for a scan that is over in a moment."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def join(self, lanes: Sequence[_Lane]) -> None:
        """Start readers for the lanes that are still busy, where they are faster than the threads."""
        busy = [lane for lane in lanes if lane.is_busy]
        cores = len(os.sched_getaffinity(0))
        wanted = [(lane, lane.readers(disks=len(busy), cores=cores)) for lane in busy]
        if sum(count for _, count in wanted) < 2:  # one process is no faster than one thread
            return
        try:
            self._process, lines = team.start([lane.root for lane, count in wanted for _ in range(count)])
        except OSError:  # no more processes are allowed: the threads go on
            return
        for lane, count in wanted:
            lane.hand_over([lines.pop(0) for _ in range(count)])

    def finish(self, deadline: float) -> None:
        """Wait until all of them have let go of their disks, but not for one whose disk does not answer."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, deadline - time.monotonic()))


def _watch(lanes: Sequence[_Lane], cancel: Cancel, on_progress: OnProgress) -> None:
    while any(lane.is_busy for lane in lanes):
        cancel.check()
        _wait(lanes, _BEAT)
        for lane in lanes:
            lane.show(on_progress)
    cancel.check()
    for lane in lanes:
        lane.show(on_progress)


def _wait(lanes: Sequence[_Lane], seconds: float) -> None:
    """Wait until all threads are done, at most that long."""
    deadline = time.monotonic() + seconds
    for lane in lanes:
        lane.join(max(0.0, deadline - time.monotonic()))


def _finish(lanes: Sequence[_Lane], readers: _Readers) -> None:
    deadline = time.monotonic() + _GRACE
    for lane in lanes:
        lane.stop.request("stopped")
    _wait(lanes, _GRACE)
    for lane in lanes:
        lane.close()
    readers.finish(deadline)
