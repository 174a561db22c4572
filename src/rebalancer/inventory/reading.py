"""One disk read from its root to the last file, each name looked at once, and told apart into units."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rebalancer import names
from rebalancer.cancel import Cancel
from rebalancer.inventory.descent import Descent
from rebalancer.inventory.links import Links
from rebalancer.inventory.open_files import Writers
from rebalancer.inventory.status import IMMUTABLE, MOUNT_ROOT, UNCHANGEABLE, Status, StatusReader
from rebalancer.inventory.tally import Tally
from rebalancer.inventory.unit import LeftAlone, Unit, UnitKind

LEFTOVER = b".rebalancer-"  # begins the names that a move gives to what is not finished
_OTHER_MOUNT = "another mount or volume"
_FORM = 0o170000  # the bits of a mode that tell a file from a folder; stat.S_IFMT as a number
_NOTABLE = UNCHANGEABLE | MOUNT_ROOT
_LOOK_EVERY = 1024  # names, between two looks at the request to stop
_SPECIAL = {
    stat.S_IFIFO: "special file (fifo)",
    stat.S_IFSOCK: "special file (socket)",
    stat.S_IFBLK: "special file (block device)",
    stat.S_IFCHR: "special file (character device)",
}


@dataclass(frozen=True, slots=True)
class Depths:
    """How many folders below its share a unit is: for the shares that have a depth of their own, and for all others."""

    usual: int
    of_shares: Mapping[bytes, int] = field(default_factory=dict)

    def of(self, path: bytes) -> int:
        """Return the depth for a path below a disk's root, its share first."""
        return self.of_shares.get(path.split(b"/", 1)[0], self.usual) if self.of_shares else self.usual


@dataclass(slots=True)
class Counts:
    """How far the reading of one disk is; written by its thread, looked at by another."""

    files: int = 0
    size: int = 0


@dataclass(slots=True)
class DiskContent:
    units: list[Unit]
    left_alone: list[LeftAlone]


@dataclass(slots=True)
class _Findings:
    tallies: list[Tally] = field(default_factory=list)
    left_alone: list[tuple[bytes, str]] = field(default_factory=list)
    unchangeable: list[tuple[bytes, str]] = field(default_factory=list)  # folders above units, their flag


class DiskReading:
    """Reads one disk. Units are the folders a depth below the shares, and the loose files above them."""

    def __init__(self, disk: str, root: int, *, depths: Depths, writers: Writers) -> None:
        device = os.fstat(root).st_dev
        self.counts = Counts()
        self._disk = disk
        self._depths = depths
        self._writers = {inode: reason for (of, inode), reason in writers.items() if of == device}
        self._status = StatusReader()
        self._device = self._status.read(root, b"").device
        self._descent: Descent[Tally | None] = Descent(root, None)
        self._links = Links()
        self._found = _Findings()

    def read(self, cancel: Cancel) -> DiskContent:
        """Read everything below the root. Raises CancelledError, and OSError when the root cannot be read."""
        descent = self._descent
        try:
            self._read_folder(cancel)
            while descent.here.pending or descent.depth:
                cancel.check()
                if descent.here.pending:
                    self._go_down(*descent.here.pending.pop(), cancel)
                else:
                    descent.leave()
        finally:
            descent.close()
        return self._content()

    def _go_down(self, name: bytes, tally: Tally | None, cancel: Cancel) -> None:
        try:
            self._descent.enter(name, tally)
        except OSError as error:
            self._leave_alone(self._descent.path(name), tally, _sentence(error))
            return
        try:
            self._read_folder(cancel)
        except OSError as error:
            self._leave_alone(self._descent.path(), tally, _sentence(error))

    def _read_folder(self, cancel: Cancel) -> None:
        path = self._descent.path()
        prefix = path + b"/" if path else path
        tally = self._descent.here.scope
        if tally is not None:
            self._read_unit_folder(prefix, tally, cancel)
            return
        look = self._look_above_units if path else self._look_at_root
        for name, status in self._entries(cancel):
            look(prefix, name, status)

    def _read_unit_folder(self, prefix: bytes, tally: Tally, cancel: Cancel) -> None:
        """Sum up the plain files, nearly all there are, right here; a call for each would double the time."""
        writers = self._writers
        files = blocks = length = newest = 0
        for name, status in self._entries(cancel):
            if (
                status.mode & _FORM == stat.S_IFREG
                and status.links == 1
                and not status.attributes & _NOTABLE
                and status.inode not in writers
                and not name.startswith(LEFTOVER)
            ):
                files += 1
                blocks += status.blocks
                length += status.length
                newest = max(newest, status.mtime)
            else:
                self._look_inside(tally, prefix, name, status)
        tally.add(files, blocks, length=length, newest=newest)
        self.counts.files += files
        self.counts.size += blocks * 512

    def _entries(self, cancel: Cancel) -> Iterator[tuple[bytes, Status]]:
        fd = self._descent.here.fd
        read, encode = self._status.read, os.fsencode
        with os.scandir(fd) as entries:
            for number, entry in enumerate(entries, start=1):
                name = encode(entry.name)
                try:
                    yield name, read(fd, name)
                except OSError as error:  # one bad name costs its unit, not the folder
                    self._leave_alone(self._descent.path(name), self._descent.here.scope, _sentence(error))
                if number % _LOOK_EVERY == 0:
                    cancel.check()

    def _look_at_root(self, prefix: bytes, name: bytes, status: Status) -> None:
        if name == b"lost+found":  # the file system's own; every ext4 disk has one, so nobody needs to be told
            return
        if self._is_elsewhere(status):
            reason = _OTHER_MOUNT
        elif not stat.S_ISDIR(status.mode):
            reason = "not inside a share"
        elif name.startswith(b"."):
            reason = "hidden top-level folder, not a share"
        else:
            self._look_above_units(prefix, name, status)
            return
        self._found.left_alone.append((name, reason))

    def _look_above_units(self, prefix: bytes, name: bytes, status: Status) -> None:
        path = prefix + name
        if self._is_elsewhere(status):
            self._found.left_alone.append((path, _OTHER_MOUNT))
        elif name.startswith(LEFTOVER):
            self._found.left_alone.append((path, "unfinished move of this program"))
        elif not stat.S_ISDIR(status.mode):
            self._count(self._begin(path, UnitKind.FILE), path, status)
        elif self._descent.depth < self._depths.of(path):
            self._descent.here.pending.append((name, None))
            if status.attributes & UNCHANGEABLE:
                self._found.unchangeable.append((path, _flag(status)))
        else:
            tally = self._begin(path, UnitKind.FOLDER)
            self._descent.here.pending.append((name, tally))
            self._count(tally, path, status)

    def _look_inside(self, tally: Tally, prefix: bytes, name: bytes, status: Status) -> None:
        if self._is_elsewhere(status):
            self._leave_alone(prefix + name, tally, _OTHER_MOUNT)
            self._found.left_alone.append((prefix + name, _OTHER_MOUNT))
        elif name.startswith(LEFTOVER):
            tally.leave_alone(prefix + name, "unfinished move of this program")
        else:
            if stat.S_ISDIR(status.mode):
                self._descent.here.pending.append((name, tally))
            self._count(tally, prefix + name, status)

    def _begin(self, path: bytes, kind: UnitKind) -> Tally:
        tally = Tally(path, kind)
        self._found.tallies.append(tally)
        return tally

    def _count(self, tally: Tally, path: bytes, status: Status) -> None:
        form = stat.S_IFMT(status.mode)
        has_others = status.links > 1 and form != stat.S_IFDIR
        is_first_name = self._links.add(tally, status, path) if has_others else True
        before = tally.size_bytes
        tally.count(status, is_first_name=is_first_name)
        self.counts.size += tally.size_bytes - before
        self.counts.files += form != stat.S_IFDIR
        if status.attributes & UNCHANGEABLE:
            tally.leave_alone(path, _flag(status))
        if form in _SPECIAL:
            tally.leave_alone(path, _SPECIAL[form])
        elif status.inode in self._writers and form == stat.S_IFREG:
            tally.note_use(path, self._writers[status.inode])

    def _is_elsewhere(self, status: Status) -> bool:
        """Tell mounts and subvolumes; only folders are asked for their device, overlayfs gives files another one."""
        if status.attributes & MOUNT_ROOT:
            return True
        return stat.S_ISDIR(status.mode) and status.device != self._device

    def _leave_alone(self, path: bytes, tally: Tally | None, reason: str) -> None:
        if not reason:
            return
        if tally is None:
            self._found.left_alone.append((path, reason))
        else:
            tally.leave_alone(path, reason)

    def _content(self) -> DiskContent:
        self._links.leave_incomplete_alone()
        for folder, reason in self._found.unchangeable:
            for tally in self._found.tallies:
                if tally.path.startswith(folder + b"/"):
                    tally.leave_alone(folder, reason)
        return DiskContent(units=self._units(), left_alone=self._reported())

    def _units(self) -> list[Unit]:
        units = []
        for first, *others in self._links.tied(self._found.tallies):
            if others:
                first.absorb(others)
            units.append(first.unit(self._disk, others))
        return units

    def _reported(self) -> list[LeftAlone]:
        reported = []
        for path, reason in sorted(self._found.left_alone):
            text, exact = names.encode(path)
            reported.append(LeftAlone(disk=self._disk, path=text, path_base64=exact, reason=reason))
        return reported


def _flag(status: Status) -> str:
    return "immutable" if status.attributes & IMMUTABLE else "append-only"


def _sentence(error: OSError) -> str:
    """Return why a folder could not be read; nothing when it is simply gone."""
    if error.errno == errno.ENOENT:
        return ""
    if error.errno == errno.EXDEV:
        return _OTHER_MOUNT
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ESTALE}:
        return "changed while it was read"
    return f"cannot be read, {(error.strerror or str(error)).lower()}"
