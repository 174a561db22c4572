"""Where files go from and to, and everything that a move needs to know on its way."""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rebalancer import names
from rebalancer.array.disk import Disk
from rebalancer.array.medium import medium_of
from rebalancer.errors import RefusedError
from rebalancer.planning.selection import Verification
from rebalancer.quantities import format_size
from rebalancer.transfer.control import Control
from rebalancer.transfer.failure import (
    ConflictError,
    DiskFailedError,
    InUseError,
    UnitLeftError,
    UnreadableError,
    VanishedError,
    explain,
)
from rebalancer.transfer.marks import Marks
from rebalancer.transfer.messages import Left, Message, Progress
from rebalancer.transfer.witness import Witness

READ_ERRORS = 3  # of the medium in one run: a single bad spot costs its file, a dying disk is not read to death
_REPORT_EVERY = 0.2  # seconds


class OpenDisk:
    """A disk of which the root folder is held open, so that it cannot be unmounted or swapped under a move."""

    def __init__(self, disk: Disk, *, reserve: int, ledger: dict[str, int]) -> None:
        self.disk = disk
        self.reserve = reserve
        self._ledger = ledger  # bytes put on each folder disk so far, whose limit the kernel does not know
        self.fd = os.open(disk.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        status = os.fstat(self.fd)
        if (status.st_dev, status.st_ino) != (disk.device, disk.inode):
            self.close()
            raise RefusedError(f"{disk.name}: {disk.path} is not the disk that the plan was made for")

    @property
    def name(self) -> str:
        return self.disk.name

    def demand_room(self, size: int) -> None:
        """Raise UnitLeftError unless that many bytes fit and the reserve stays free."""
        room = self._free() - self.reserve
        if size > room:
            needed, free = format_size(size), format_size(max(0, room))
            raise UnitLeftError(f"{self.name} has no room: {needed} needed, {free} free above the reserve")

    def account(self, size: int) -> None:
        """Remember that bytes were put on this disk (negative: taken from it)."""
        self._ledger[self.name] = self._ledger.get(self.name, 0) + size

    def close(self) -> None:
        os.close(self.fd)

    def _free(self) -> int:
        figures = os.fstatvfs(self.fd)
        blocks = figures.f_bfree if os.geteuid() == 0 else figures.f_bavail  # root may use reserved blocks
        free = blocks * figures.f_frsize
        if not self.disk.is_folder:
            return free
        return min(free, self.disk.free_bytes - self._ledger.get(self.name, 0))


@dataclass(eq=False)
class Report:
    """What really happened so far, told to the supervisor as it happens."""

    send: Callable[[Message], None]
    moves_total: int = 0
    files_total: int = 0
    bytes_total: int = 0
    moves_done: int = 0
    files_moved: int = 0
    bytes_moved: int = 0
    files_left: int = 0
    read_errors: dict[str, int] = field(default_factory=dict)  # by disk, in all units
    left_paths: set[bytes] = field(default_factory=set)  # of the unit being moved, relative to the source
    is_untidy: bool = False  # not all went well with the unit, so a name of ours may be left
    _in_flight: int = 0
    _last: float = 0.0
    _where: tuple[str, str, bytes, str] = ("", "", b"", "")

    @property
    def files_left_of_unit(self) -> int:
        return len(self.left_paths)

    def begin_unit(self) -> None:
        self.left_paths.clear()
        self._in_flight = 0

    def left(self, disk: str, path: bytes, reason: str, *, is_conflict: bool = False) -> None:
        """Say that something stays, and why; each path once."""
        if path in self.left_paths:
            return
        self.left_paths.add(path)
        self.is_untidy = True
        self.files_left += 1
        text, exact = names.encode(path)
        self.send(Left(disk=disk, path=text, path_base64=exact, reason=reason, is_conflict=is_conflict))

    def copied(self, size: int) -> None:
        self._in_flight += size
        if time.monotonic() - self._last >= _REPORT_EVERY:
            self.progress()

    def moved(self, *, files: int, size: int) -> None:
        self.files_moved += files
        self.bytes_moved += size
        self._in_flight = max(0, self._in_flight - size)

    def dropped(self, size: int) -> None:
        self._in_flight = max(0, self._in_flight - size)

    def at(self, source: str, destination: str, path: bytes, phase: str) -> None:
        """Say what is being worked on; sent at most a few times a second."""
        self._where = (source, destination, path, phase)
        if time.monotonic() - self._last >= _REPORT_EVERY:
            self.progress()

    def paused(self) -> None:
        """Say that the work stands still; what comes next is told in the phase that it is in."""
        where = self._where
        self._where = (*where[:3], "paused")
        self.progress()
        self._where = where

    def progress(self) -> None:
        self._last = time.monotonic()
        self.send(self.now())

    def now(self) -> Progress:
        """Return where the work stands."""
        source, destination, path, phase = self._where
        return Progress(
            moves_done=self.moves_done,
            moves_total=self.moves_total,
            files_moved=self.files_moved,
            files_total=self.files_total,
            bytes_moved=self.bytes_moved,
            bytes_copied=self.bytes_moved + self._in_flight,
            bytes_total=self.bytes_total,
            source=source,
            destination=destination,
            path=names.encode(path)[0],
            phase=phase,
        )


@dataclass(slots=True, eq=False)  # entered many times per file: a generator would cost three times as much
class _Reading:
    disk: OpenDisk

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, UnreadableError):
            error.disk = self.disk.name


@dataclass(slots=True, eq=False)
class _Blaming:
    disk: OpenDisk
    doing: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise explain(error, disk=self.disk.name, doing=self.doing) from error


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One move's way: the two disks, the other disks of the array, and the rules for every file on it."""

    source: OpenDisk
    destination: OpenDisk
    others: tuple[OpenDisk, ...]
    marks: Marks
    control: Control
    report: Report
    verify: Verification = Verification.FULL
    min_age: int = 0
    witness: Witness = field(default_factory=Witness)

    def are_apart(self) -> bool:
        """Return whether it is known that a stream from each disk at once sends no heads to two places."""
        one, other = medium_of(self.source.disk), medium_of(self.destination.disk)
        return bool(one.devices and other.devices) and not one.spindles & other.spindles

    def left(self, path: bytes, error: Exception) -> None:
        """Say that something stays, and why; what vanished does not stay."""
        self.left_all((path,), error)

    def left_all(self, paths: Iterable[bytes], error: Exception) -> None:
        """Say of every name of a file that it stays, and why; who has it open is looked for now."""
        if isinstance(error, VanishedError):
            return
        reason = str(error)
        if isinstance(error, InUseError):
            reason = self.witness.explain(error, roots=(self.source.fd, self.destination.fd))
        for path in paths:
            self.report.left(self.source.name, path, reason, is_conflict=isinstance(error, ConflictError))

    def reading(self, disk: OpenDisk) -> "_Reading":
        """Say of what cannot be read meanwhile that it is on that disk."""
        return _Reading(disk)

    def blaming(self, disk: OpenDisk, doing: str) -> "_Blaming":
        """Explain every error of the kernel meanwhile as one of that disk."""
        return _Blaming(disk, doing)

    def count(self, error: UnreadableError) -> None:
        """Count a read error against its disk; raises DiskFailedError once the disk had enough of them."""
        errors = self.report.read_errors
        errors[error.disk] = errors.get(error.disk, 0) + 1
        if error.is_final:
            raise DiskFailedError(error.disk, error.reason) from error
        if errors[error.disk] >= READ_ERRORS:
            reason = f"{errors[error.disk]} files could not be read, so nothing more is done on it"
            raise DiskFailedError(error.disk, reason) from error

    def remove_hidden_folder(self, parent: int) -> None:
        """Remove the folder for hidden names when it is empty; whatever keeps it there, the next run looks again."""
        try:
            os.rmdir(self.marks.hidden, dir_fd=parent)
        except OSError:  # mostly not empty: what is in it was reported
            self.report.is_untidy = True

    def at(self, path: bytes, phase: str) -> None:
        self.report.at(self.source.name, self.destination.name, path, phase)
