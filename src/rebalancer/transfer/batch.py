"""A batch of files on its way together, so that many small files share one flush."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from rebalancer import linux
from rebalancer.errors import RebalancerError
from rebalancer.planning.selection import Verification
from rebalancer.transfer import content, metadata, sides, small
from rebalancer.transfer.adopt import adopt
from rebalancer.transfer.commit import commit
from rebalancer.transfer.failure import (
    ChangedError,
    FileLeftError,
    UnitLeftError,
    UnreadableError,
    explain,
    explain_flush,
)
from rebalancer.transfer.item import LONE_BYTES, Item, Place, admit
from rebalancer.transfer.route import OpenDisk, Route
from rebalancer.transfer.sides import Side
from rebalancer.transfer.undo import drop_part

_AHEAD = 32  # files that are read ahead of the one being copied
_SYNC_EACH = 4  # up to so many files are flushed one by one, more by flushing the file system


@dataclass(eq=False)
class Batch:
    """Files that are copied, flushed, verified and committed phase by phase. One bad file costs that file only."""

    route: Route
    limit: int  # files at a time; each needs two descriptors, and its folders need four
    items: list[Item] = field(default_factory=list)
    size: int = 0
    failure: UnitLeftError | None = None  # why no further file of the unit is copied

    def add(self, places: Sequence[Place], seen: os.stat_result | None = None) -> None:
        """Take a file along, if nothing forbids it; carries the batch out when it is full.

        ``seen`` is what its first name stood for a moment ago.
        """
        self.route.control.on_lease_wanted = self.give_up_wanted
        self.route.control.check()
        taken: list[Item] = []
        opened = self._attempt(
            places,
            "opening",
            self.route.source,
            lambda: taken.append(admit(tuple(places), self.route, seen)),
        )
        if not opened:
            return
        if self.size + taken[0].status.st_size > LONE_BYTES:
            self._carry_out_before(taken[0])
        self.items += taken
        self.size += taken[0].status.st_size
        if self.size >= LONE_BYTES or len(self.items) >= self.limit:
            self.carry_out()

    def carry_out(self) -> None:
        """Bring every file taken so far to its end: moved, or left with its reason.

        Raises DiskFailedError, UnitLeftError or CancelledError when the rest of the unit must wait; then
        nothing of this batch is half done.
        """
        try:
            self._for_each("copying", self._copy)
            if self.items:
                self._flush()
                self._for_each("verifying", self._verify_any)
                commit(self.items, self.route)
        finally:
            self.let_go()
        if self.failure is not None:
            raise self.failure

    def let_go(self) -> None:
        """Close everything; the copies that did not become official are removed."""
        items, self.items, self.size = self.items, [], 0
        failures = [error for item in items if (error := self._failure_to_drop(item))]
        if failures:  # a copy that cannot be removed does not keep the other files from being closed
            raise failures[0]

    def give_up_wanted(self) -> None:
        """Let everybody who waits for a file have it at once."""
        for item in self.items:  # among them some that were dropped in this phase
            if item.is_wanted():
                item.is_given_up, item.is_leased = True, False
                linux.release_lease(item.source_fd)

    def _carry_out_before(self, item: Item) -> None:
        try:
            self.carry_out()
        except BaseException:
            item.close()
            raise

    # -- phases -------------------------------------------------------------------------------------------------

    def _for_each(self, doing: str, step: Callable[[Item], None]) -> None:
        """Do one step for every file; those that fail are dropped from the batch."""
        items, done = self.items, []
        self._read_ahead(items[:_AHEAD], doing)
        for start in range(0, len(items), _AHEAD):
            self._read_ahead(items[start + _AHEAD : start + 2 * _AHEAD], doing)
            done += [item for item in items[start : start + _AHEAD] if self._is_done(item, doing, step)]
        self.items = done

    def _is_done(self, item: Item, doing: str, step: Callable[[Item], None]) -> bool:
        self.route.control.check()
        self.route.at(item.path, doing)
        if self._attempt(item.places, doing, self.route.destination, partial(step, item)):
            return True
        self._drop(item)
        return False

    def _read_ahead(self, items: Sequence[Item], doing: str) -> None:
        """Ask for the files that come next; when verifying, only after their old pages were forgotten."""
        for item in items:
            if doing == "verifying":
                item.evicted = {fd for fd in self._to_read(item) if self._on_disk(item, fd) and content.evict(fd)}
            fds = [item.source_fd] if doing == "copying" and not item.is_link else self._to_read(item)
            for fd in fds:
                if self._on_disk(item, fd):
                    content.will_need(fd)

    def _on_disk(self, item: Item, fd: int) -> bool:
        return not self._disk(item, fd).disk.is_in_memory

    def _disk(self, item: Item, fd: int) -> OpenDisk:
        return self.route.source if fd == item.source_fd else self.route.destination

    def _copy(self, item: Item) -> None:
        if self.failure is not None:
            raise ChangedError("the rest of its folder waits")
        present = [place for place in item.places if _is_present(place)]
        if present:
            adopt(item, present, self.route)
        elif item.is_link:
            self._copy_link(item)
        else:
            self._copy_file(item)

    def _copy_link(self, item: Item) -> None:
        with self.route.blaming(self.route.source, "copying"):
            item.demand_unchanged()
        place, part = item.places[0], self.route.marks.new_part()
        folder = place.pair.destination
        with self.route.blaming(self.route.source, "reading a link"):
            target = os.readlink(place.name, dir_fd=place.pair.source.fd)
        with folder.changing():
            os.symlink(target, part, dir_fd=folder.fd)
            item.part = part
        item.copy_inode = metadata.apply_to_link(folder.fd, part, item.metadata, target=os.fsencode(target))

    def _copy_file(self, item: Item) -> None:
        folder, size = item.places[0].pair.destination, item.status.st_size
        self.route.destination.demand_room(min(size, item.status.st_blocks * 512))
        part = self.route.marks.new_part()
        with folder.changing():
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_NOATIME
            item.copy_fd = linux.open_beneath(folder.fd, part, flags, 0o600)
            item.part, made = part, os.fstat(item.copy_fd)
            item.copy_inode = made.st_ino
        if not (small.is_small(item.status) and self._copy_small(item)):
            self._copy_content(item)
        item.allocated = metadata.apply(item.copy_fd, item.metadata, made).st_blocks * 512
        self.route.destination.account(item.allocated)

    def _copy_small(self, item: Item) -> bool:
        """Copy a small file; False when it must go the long way.

        Whether it changed meanwhile is not asked here: the commit asks, and nothing was spent on it that a look would save.
        """
        with self.route.reading(self.route.source):
            item.digest = small.copy(item.source_fd, item.copy_fd, item.status.st_size)
        if not item.digest:
            return False
        item.copied = item.status.st_size
        self._on_copied(item, item.copied)
        return True

    def _copy_content(self, item: Item) -> None:
        with self.route.reading(self.route.source):
            item.digest, item.copied = content.copy(
                item.source_fd, item.copy_fd, item.status.st_size, on_chunk=lambda count: self._on_copied(item, count)
            )
        with self.route.blaming(self.route.source, "copying"):
            item.demand_unchanged()

    def _flush(self) -> None:
        """Make the copies durable; an error here is final for all of them, nothing is flushed twice."""
        self.route.at(self.items[0].path, "flushing")
        try:
            if len(self.items) > _SYNC_EACH or any(item.is_link for item in self.items):
                linux.sync_file_system(self.route.destination.fd)
            else:
                for item in self.items:
                    os.fsync(item.copy_fd)
            for item in self.items:
                _demand_closable(item)
        except OSError as error:
            raise explain_flush(error, disk=self.route.destination.name) from error

    def _verify_any(self, item: Item) -> None:
        if not (small.is_small(item.status) and self._verify_small(item)):
            self._verify(item)

    def _verify_small(self, item: Item) -> bool:
        """Verify a small file; False when it must go the long way, as one whose old pages stay in the cache."""
        for fd in self._to_read(item):
            disk = self._disk(item, fd)
            if fd not in item.evicted and not disk.disk.is_in_memory:
                return False
            with self.route.reading(disk):
                found = small.read_again(fd, item.status.st_size)
            if not found:
                return False
            if found != item.digest:
                raise _differs(disk.name)
        return True

    def _verify(self, item: Item) -> None:
        parts = [Side(fd, self._disk(item, fd).name, fd in item.evicted) for fd in self._to_read(item)]
        found = sides.read_again(
            parts,
            item.status.st_size,
            are_apart=self.route.are_apart,
            on_chunk=lambda _: self._on_chunk(item),
        )
        for part, digest in zip(parts, found, strict=True):
            if digest != item.digest:
                raise _differs(part.disk)

    def _to_read(self, item: Item) -> list[int]:
        """Return what must be read again; an adopted file was compared with its source already."""
        if item.is_link or item.is_adopted or not item.status.st_size:
            return []
        return [item.copy_fd] if self.route.verify is Verification.FAST else [item.source_fd, item.copy_fd]

    def _on_copied(self, item: Item, count: int) -> None:
        """As for every chunk, and keep to the limit, which is one of what is copied."""
        self._on_chunk(item, copied=count)
        self.route.control.spend(count)

    def _on_chunk(self, item: Item, *, copied: int = 0) -> None:
        """Answer whoever wants something of us, and say how far we are."""
        self.route.control.check()
        if item.is_given_up:
            raise item.in_use()
        self.route.report.copied(copied)

    # -- failures -----------------------------------------------------------------------------------------------

    def _attempt(self, places: Sequence[Place], doing: str, disk: OpenDisk, step: Callable[[], None]) -> bool:
        """Do one step for one file. A failure of that file is reported; one of the unit is kept for the end."""
        try:
            step()
        except FileLeftError as error:
            self.route.left_all(_paths(places), error)
            if isinstance(error, UnreadableError):
                self.route.count(error)
            return False
        except UnitLeftError as error:
            self._stop_copying(_paths(places), error)
            return False
        except OSError as error:
            self._explain(_paths(places), doing, disk, error)
            return False
        return True

    def _explain(self, paths: Sequence[bytes], doing: str, disk: OpenDisk, error: OSError) -> None:
        meaning = explain(error, disk=disk.name, doing=doing)
        if isinstance(meaning, UnitLeftError):
            self._stop_copying(paths, meaning)
        elif isinstance(meaning, FileLeftError):
            self.route.left_all(paths, meaning)
        else:
            raise meaning from error

    def _stop_copying(self, paths: Sequence[bytes], error: UnitLeftError) -> None:
        self.route.left_all(paths, error)
        self.failure = self.failure or error

    def _failure_to_drop(self, item: Item) -> RebalancerError | None:
        try:
            self._drop(item)
        except RebalancerError as error:
            return error
        return None

    def _drop(self, item: Item) -> None:
        """Let a file go, once; unless it was moved our copy goes, and the source was never touched."""
        if not item.places:
            return
        if not item.is_moved:
            self.route.report.dropped(item.copied)
        try:
            if item.part:
                drop_part(item)
                self.route.destination.account(-item.allocated)
        except OSError as error:
            raise explain(error, disk=self.route.destination.name, doing="removing a temporary file") from error
        finally:
            item.close()


def _is_present(place: Place) -> bool:
    """Return whether the destination has that name; not asked in a folder that we made: the commit replaces nothing."""
    return not place.pair.is_new and place.pair.destination.status(place.name) is not None


def _paths(places: Sequence[Place]) -> list[bytes]:
    return [place.path for place in places]


def _differs(disk: str) -> FileLeftError:
    return FileLeftError(f"what was read again from {disk} differs from what was copied")


def _demand_closable(item: Item) -> None:
    """Raise now what the last close would say too late: file systems with a server behind them flush at every close."""
    if not item.is_link and not item.is_adopted:
        os.close(os.dup(item.copy_fd))
