"""One file on its way: all its names, what it was like when we took it, and how far it has come."""

import errno
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter

from rebalancer import linux
from rebalancer.transfer import metadata
from rebalancer.transfer.failure import ChangedError, FileLeftError, InUseError, VanishedError
from rebalancer.transfer.folder import Pair
from rebalancer.transfer.metadata import Metadata
from rebalancer.transfer.route import Route

IN_USE = "in use: somebody has it open"
IN_USE_FOR_WRITING = "in use: somebody has it open for writing"
LONE_BYTES = 64 * 2**20  # a larger file goes alone, and only when nobody reads it from the start
_PATIENCE = 2.0  # seconds that readers of such a file get to close it

_SPECIAL = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_identity = attrgetter("st_dev", "st_ino", "st_size", "st_nlink", "st_mtime_ns", "st_ctime_ns")
_NO_LEASES = {errno.EINVAL, errno.EACCES, errno.EPERM, errno.EOPNOTSUPP}


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One name of a file, in the folder that holds it on both disks."""

    pair: Pair
    name: bytes

    @property
    def path(self) -> bytes:
        return self.pair.join(self.name)


@dataclass(eq=False, slots=True)
class Item:
    """A regular file or a symbolic link that is being moved, with all its names."""

    places: tuple[Place, ...]
    status: os.stat_result
    metadata: Metadata
    source_fd: int = -1  # open unless it is a symbolic link, which cannot be opened for reading
    copy_fd: int = -1
    copy_inode: int = 0  # of the copy that we made or adopted
    part: bytes = b""  # temporary name in the first place's destination folder; empty when there is none
    digest: bytes = b""
    copied: int = 0  # bytes of content written
    is_adopted: bool = False  # an equal file stood at the destination already
    is_leased: bool = False  # we hold a lease on the source and are told of others
    is_given_up: bool = False  # somebody wants it; it stays
    is_moved: bool = False  # its last name at the source is gone
    allocated: int = 0  # bytes that the copy occupies
    evicted: set[int] = field(default_factory=set)  # descriptors of which no page was left in the cache
    path: bytes = field(init=False)  # its first, relative to the disk's root
    is_link: bool = field(init=False)
    hidden_at: float = 0.0  # by the monotonic clock
    appeared: list[Place] = field(default_factory=list)  # names that we made at the destination
    hidden: list[Place] = field(default_factory=list)  # names now in the hidden folder of the source
    copy_status: os.stat_result | None = None  # once it appeared
    hidden_status: os.stat_result | None = None  # once it was hidden

    def __post_init__(self) -> None:
        self.path = self.places[0].path
        self.is_link = self.source_fd < 0

    @property
    def paths(self) -> tuple[bytes, ...]:
        return tuple(place.path for place in self.places)

    def source_status(self) -> os.stat_result:
        """Return what the source is like now, wherever its name went."""
        if not self.is_link:
            return os.fstat(self.source_fd)
        place = self.places[0]
        return os.stat(place.name, dir_fd=place.pair.source.fd, follow_symlinks=False)

    def is_wanted(self) -> bool:
        """Return whether somebody waits for a file that we hold a lease on."""
        return self.is_leased and not linux.holds_read_lease(self.source_fd)

    def demand_unchanged(self) -> None:
        """Raise ChangedError unless the source is as it was when we took it and nobody waits for it.

        Raises VanishedError when somebody removed it.
        """
        if self.is_given_up or self.is_wanted():
            raise self.in_use()
        try:
            status = self.source_status()
        except FileNotFoundError as error:
            raise VanishedError("it was removed while it was moved") from error
        if not status.st_nlink:
            raise VanishedError("it was removed while it was moved")
        if not is_same(status, self.status):
            raise ChangedError("it changed while it was moved")

    def in_use(self) -> InUseError:
        """Return the error that says that somebody has this file, or its copy, open."""
        seen = [self.status] if self.copy_fd < 0 else [self.status, os.fstat(self.copy_fd)]
        return InUseError(IN_USE, tuple((status.st_dev, status.st_ino) for status in seen))

    def is_copy(self, place: Place, name: bytes) -> bool:
        """Return whether a name in a place's destination folder stands for our copy."""
        status = place.pair.destination.status(name)
        return status is not None and status.st_ino == self.copy_inode

    def close(self) -> None:
        """Let go of the file: leases end with their descriptors."""
        for fd in (self.source_fd, self.copy_fd):
            if fd >= 0:
                with suppress(OSError):  # it is closed even then (close(2)), and the copy's error was asked for before
                    os.close(fd)
        self.source_fd = self.copy_fd = -1
        self.is_leased = False
        for place in self.places:
            place.pair.release()
        self.places = ()


def admit(places: tuple[Place, ...], route: Route, seen: os.stat_result | None = None) -> Item:
    """Take a file for moving: nobody writes to it, nothing forbids it, and we are told if that changes.

    ``seen`` is what its first name stood for a moment ago. Raises FileLeftError with the reason when it must stay,
    OSError as the kernel says.
    """
    place = places[0]
    for each in places:
        if disk := each.pair.disk_that_has(each.name):
            raise FileLeftError(f"the same path is also on {disk}")
    status = seen or place.pair.source.status(place.name)
    if status is None:
        raise VanishedError("it was removed before its turn")
    if stat.S_ISLNK(status.st_mode):
        wanted = metadata.of_link(place.pair.source.fd, place.name)
        return Item(places=_held(places), status=status, metadata=wanted)
    if not stat.S_ISREG(status.st_mode):
        raise FileLeftError(f"{_SPECIAL.get(stat.S_IFMT(status.st_mode), 'no regular file')} is never moved")
    _demand_old(status, route)
    fd = _open(place, status)
    try:
        return _take(fd, places, status, route)
    except BaseException:
        os.close(fd)
        raise


def is_same(one: os.stat_result, other: os.stat_result) -> bool:
    """Return whether nothing happened to a file between two looks; any write or change of names moves ctime."""
    return bool(_identity(one) == _identity(other))


def _take(fd: int, places: tuple[Place, ...], seen: os.stat_result, route: Route) -> Item:
    """Lease an open file, then look at it once: whatever is found before that look, no later change escapes its ctime."""
    _lease(fd, seen)
    status = os.fstat(fd)
    if (status.st_dev, status.st_ino) != (seen.st_dev, seen.st_ino):
        raise ChangedError("another file took its name meanwhile")
    if reason := linux.is_unchangeable(fd):
        raise FileLeftError(f"it is {reason}")
    _demand_old(status, route)
    if status.st_size > LONE_BYTES:
        _demand_unread(fd, status, route)
    wanted = metadata.of_open_file(fd, status)
    return Item(places=_held(places), status=status, metadata=wanted, source_fd=fd, is_leased=True)


def _demand_old(status: os.stat_result, route: Route) -> None:
    if route.min_age and time.time() - status.st_mtime < route.min_age:
        raise FileLeftError("it was changed too recently")


def _open(place: Place, seen: os.stat_result) -> int:
    """Open for reading without changing the access time, which only the owner may ask for (open(2), O_NOATIME)."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        try:
            return linux.open_beneath(place.pair.source.fd, place.name, flags | os.O_NOATIME)
        except PermissionError:
            return linux.open_beneath(place.pair.source.fd, place.name, flags)
    except BlockingIOError as error:
        raise InUseError(IN_USE, ((seen.st_dev, seen.st_ino),)) from error
    except FileNotFoundError as error:
        raise VanishedError("it was removed before its turn") from error


def _lease(fd: int, status: os.stat_result) -> None:
    try:
        linux.take_read_lease(fd)
    except BlockingIOError as error:
        raise InUseError(IN_USE_FOR_WRITING, ((status.st_dev, status.st_ino),)) from error
    except OSError as error:
        if error.errno in _NO_LEASES:
            raise FileLeftError("no lease can be had on it, so its use by others cannot be ruled out") from error
        raise


def _demand_unread(fd: int, status: os.stat_result, route: Route) -> None:
    """Raise InUseError when somebody keeps a large file open: its copy would be in vain, and disturb who reads it.

    A write lease that can be had says that nobody does; it is turned into the read lease again at once.
    """
    deadline = time.monotonic() + _PATIENCE
    while linux.holds_read_lease(fd):
        try:
            linux.take_write_lease(fd)
        except BlockingIOError:
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
            route.control.check()
            continue
        try:
            linux.take_read_lease(fd)
        except BlockingIOError:  # somebody opens it for writing at this moment
            break
        return
    raise InUseError(IN_USE, ((status.st_dev, status.st_ino),))


def _held(places: tuple[Place, ...]) -> tuple[Place, ...]:
    for place in places:
        place.pair.hold()
    return places
