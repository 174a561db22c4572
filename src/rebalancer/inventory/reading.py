"""One disk, or a part of it, read to the last file: each name looked at once, and told apart into units."""

import ctypes
import errno
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field

from rebalancer.inventory import xfs
from rebalancer.inventory.descent import Descent
from rebalancer.inventory.findings import Findings
from rebalancer.inventory.listing import Entry, Listing
from rebalancer.inventory.status import AT_ONCE, IMMUTABLE, MOUNT_ROOT, UNCHANGEABLE, Status, StatusReader, StatusTable
from rebalancer.inventory.tally import Tally
from rebalancer.inventory.unit import UnitKind

LEFTOVER = b".rebalancer-"  # begins the names that a move gives to what is not finished
_OTHER_MOUNT = "another mount or volume"
_SPECIAL = {
    stat.S_IFIFO: "special file (fifo)",
    stat.S_IFSOCK: "special file (socket)",
    stat.S_IFBLK: "special file (block device)",
    stat.S_IFCHR: "special file (character device)",
}

Part = tuple[bytes, bytes]  # a folder with all below it; its unit, or nothing for a folder above units
WHOLE: Part = (b"", b"")


class Depths(Struct, frozen=True, array_like=True):
    """How many folders below its share a unit is: for the shares that have a depth of their own, and for all others."""

    usual: int
    of_shares: Mapping[bytes, int] = field(default_factory=dict)

    def of(self, path: bytes) -> int:
        """Return the depth for a path below a disk's root, its share first."""
        return self.of_shares.get(path.split(b"/", 1)[0], self.usual) if self.of_shares else self.usual


class Counts(Struct, array_like=True):
    """How far the reading is; written by its thread, looked at by another."""

    files: int = 0
    size: int = 0


class DiskReading:
    """Reads a disk, or the parts of it that it is given. One may stop between two folders, and another go on there.

    Units are the folders a depth below the shares, and the loose files above them.
    """

    def __init__(self, root: int, *, depths: Depths, writers: Mapping[int, str], path: bytes) -> None:
        self.counts = Counts()
        self.findings = Findings()
        self._depths = depths
        self._writers = writers  # by inode
        self._listing = Listing()
        self._table = StatusTable()
        self._status = StatusReader()
        self._device = self._status.read(root, b"").device
        self._bulk = xfs.bulk(root, path)
        self._descent: Descent[Tally | None] = Descent(root, None)
        self._parts: list[Part] = []

    @property
    def is_flush_needed(self) -> bool:
        """Whether lengths are told as they are on the disk, so that what was written must be there."""
        return self._bulk is not None

    def read(
        self, parts: Iterable[Part], *, check: Callable[[], None], yields: Callable[[], bool] | None = None
    ) -> None:
        """Read all of these parts, or until ``yields()`` is true; `give` tells what is left then.

        ``check`` is called for each folder, and for each 64 names in a large one. Raises what it raises, and OSError
        when the root cannot be read.
        """
        self._parts += parts
        descent = self._descent
        try:
            while (pending := descent.here.pending) or descent.depth or self._parts:
                check()  # it may `give` some of this away
                if yields is not None and yields():
                    return
                if pending:
                    self._go_down(*pending.pop(), check)
                elif descent.depth:
                    descent.leave()
                elif self._parts:
                    self._go_to(*self._parts.pop(), check)
        except BaseException:
            descent.close()
            raise

    def give(self, *, all_of_it: bool = False) -> list[Part]:
        """Hand over about half of what is still to be read, if there is so much, or all; it is forgotten here."""
        count = len(self._parts) if all_of_it else (len(self._parts) + 1) // 2
        given, self._parts = self._parts[:count], self._parts[count:]
        if all_of_it or not given:
            given += [(path, tally.path if tally else b"") for path, tally in self._descent.give(all_of_it=all_of_it)]
        if all_of_it:
            self._descent.close()
        return given

    def _go_to(self, path: bytes, unit: bytes, check: Callable[[], None]) -> None:
        tally = self.findings.tally(unit, UnitKind.FOLDER) if unit else None
        if not path:
            self._read_folder(check)
            return
        *above, name = path.split(b"/")
        try:
            for folder in above:
                self._descent.enter(folder, tally)
        except OSError as error:
            self._leave_alone(path, tally, _sentence(error))
        else:
            self._go_down(name, tally, check)

    def _go_down(self, name: bytes, tally: Tally | None, check: Callable[[], None]) -> None:
        try:
            self._descent.enter(name, tally)
        except OSError as error:
            self._leave_alone(self._descent.path(name), tally, _sentence(error))
            return
        try:
            self._read_folder(check)
        except OSError as error:
            self._leave_alone(self._descent.path(), tally, _sentence(error))

    def _read_folder(self, check: Callable[[], None]) -> None:
        descent = self._descent
        here = descent.here
        if here.scope is not None:
            while self._listing.fill(here.fd):
                self._read_names_of_unit(here.fd, here.scope, check)
        else:
            look = self._look_above_units if descent.depth else self._look_at_root
            while self._listing.fill(here.fd):
                for name, status in self._statuses(self._listing.names(), check):
                    look(name, status)
        here.pending.reverse()  # the last is entered first: by inode again

    def _read_names_of_unit(self, fd: int, tally: Tally, check: Callable[[], None]) -> None:
        """Sum up the plain files and folders, nearly all there are, right here; a call for each would double the time."""
        listed = self._listing
        if LEFTOVER in listed.raw:
            for name, status in self._statuses(listed.names(), check):
                self._look_inside(tally, name, status)
            return
        regular, folders, others = listed.kinds()
        if self._bulk is not None and len(regular) >= xfs.FEWEST and not self._writers:
            regular = self._add_runs(self._bulk, tally, regular)
        for some in _batches(regular):
            self._add_files(fd, tally, [address for _, address in some], check)
        for some in _batches(folders):
            self._add_folders(fd, tally, [address for _, address in some], check)
        if others:
            for name, status in self._statuses(map(listed.name, others), check):
                self._look_inside(tally, name, status)

    def _add_runs(self, bulk: xfs.Bulk, tally: Tally, regular: list[Entry]) -> list[Entry]:
        """Add the files that the file system tells of in runs of inodes; return those that are still to be looked at."""
        rest: list[Entry] = []
        for run in _runs(regular):
            if len(run) >= xfs.FEWEST and bulk.read(run[0][0], len(run)):
                self._add_all(tally, bulk)
            else:
                rest += run
        return rest

    def _add_files(self, fd: int, tally: Tally, addresses: list[int], check: Callable[[], None]) -> None:
        table = self._table
        if table.read(fd, addresses) and table.are_plain() and not self._is_written_to():
            self._add_all(tally, table)
        else:
            self._look_at_each(tally, addresses, check)

    def _add_folders(self, fd: int, tally: Tally, addresses: list[int], check: Callable[[], None]) -> None:
        table = self._table
        if table.read(fd, addresses) and table.are_folders(self._device):
            tally.size_bytes += (size := table.blocks * 512)
            self.counts.size += size
            self._descent.here.pending += [(ctypes.string_at(address), tally) for address in addresses]
        else:
            self._look_at_each(tally, addresses, check)

    def _is_written_to(self) -> bool:
        return bool(self._writers) and any(inode in self._writers for inode in self._table.inodes)

    def _add_all(self, tally: Tally, table: StatusTable | xfs.Bulk) -> None:
        count, size = table.count, table.blocks * 512
        tally.files += count
        tally.size_bytes += size
        tally.apparent_bytes += table.length
        tally.newest_mtime = table.newest(tally.newest_mtime)
        self.counts.files += count
        self.counts.size += size

    def _look_at_each(self, tally: Tally, addresses: list[int], check: Callable[[], None]) -> None:
        for name, status in self._statuses(map(ctypes.string_at, addresses), check):
            self._look_inside(tally, name, status)

    def _statuses(self, names: Iterable[bytes], check: Callable[[], None]) -> Iterator[tuple[bytes, Status]]:
        fd = self._descent.here.fd
        for number, name in enumerate(names):
            if number % AT_ONCE == 0:
                check()
            try:
                yield name, self._status.read(fd, name)
            except OSError as error:  # one bad name costs its unit, not the folder
                self._leave_alone(self._descent.path(name), self._descent.here.scope, _sentence(error))

    def _look_at_root(self, name: bytes, status: Status) -> None:
        if name == b"lost+found":  # the file system's own; every ext4 disk has one, so nobody needs to be told
            return
        if self._is_elsewhere(status):
            reason = _OTHER_MOUNT
        elif not stat.S_ISDIR(status.mode):
            reason = "not inside a share"
        elif name.startswith(b"."):
            reason = "hidden top-level folder, not a share"
        else:
            self._look_above_units(name, status)
            return
        self.findings.left_alone.append((name, reason))

    def _look_above_units(self, name: bytes, status: Status) -> None:
        path = self._descent.path(name)
        if self._is_elsewhere(status):
            self.findings.left_alone.append((path, _OTHER_MOUNT))
        elif name.startswith(LEFTOVER):
            self.findings.left_alone.append((path, "unfinished move of this program"))
        elif not stat.S_ISDIR(status.mode):
            self._count(self.findings.tally(path, UnitKind.FILE), path, status)
        elif self._descent.depth < self._depths.of(path):
            self._descent.here.pending.append((name, None))
            if status.attributes & UNCHANGEABLE:
                self.findings.unchangeable.append((path, _flag(status)))
        else:
            tally = self.findings.tally(path, UnitKind.FOLDER)
            self._descent.here.pending.append((name, tally))
            self._count(tally, path, status)

    def _look_inside(self, tally: Tally, name: bytes, status: Status) -> None:
        path = self._descent.path(name)
        if self._is_elsewhere(status):
            self._leave_alone(path, tally, _OTHER_MOUNT)
            self.findings.left_alone.append((path, _OTHER_MOUNT))
        elif name.startswith(LEFTOVER):
            tally.leave_alone(path, "unfinished move of this program")
        else:
            if stat.S_ISDIR(status.mode):
                self._descent.here.pending.append((name, tally))
            self._count(tally, path, status)

    def _count(self, tally: Tally, path: bytes, status: Status) -> None:
        form = stat.S_IFMT(status.mode)
        has_others = status.links > 1 and form != stat.S_IFDIR
        is_first_name = self.findings.links.add(tally.path, status, path) if has_others else True
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
            self.findings.left_alone.append((path, reason))
        else:
            tally.leave_alone(path, reason)


def _batches(entries: list[Entry]) -> Sequence[list[Entry]]:
    if len(entries) <= AT_ONCE:
        return (entries,) if entries else ()
    return [entries[start : start + AT_ONCE] for start in range(0, len(entries), AT_ONCE)]


def _runs(regular: list[Entry]) -> Iterator[list[Entry]]:
    """Split files, by inode, where an inode is left out, and where so many were taken as can be told of at once."""
    start = 0
    while start < len(regular):
        end = min(start + AT_ONCE, len(regular))
        first = regular[start][0] - start
        if regular[end - 1][0] - first != end - 1:
            end = next(number for number in range(start + 1, end) if regular[number][0] - first != number)
        yield regular[start:end]
        start = end


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
