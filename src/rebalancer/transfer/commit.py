"""The irreversible steps: the copy becomes official, and only then does the source go."""

import errno
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from itertools import groupby

from rebalancer import linux, names
from rebalancer.errors import RebalancerError
from rebalancer.transfer import content, metadata
from rebalancer.transfer.failure import ChangedError, ConflictError, DiskFailedError, FileLeftError, explain
from rebalancer.transfer.folder import Pair
from rebalancer.transfer.item import IN_USE, Item, Place, is_same
from rebalancer.transfer.route import Route

PATIENCE = 2.0  # seconds that a batch waits for readers to close their files
LOOK_AGAIN = 0.05  # seconds after which an opener that waited for our lease has got its file
_SYNC_EACH = 4
_BOTH_KEPT = "it changed on both disks while it was moved: both versions are kept"


def commit(items: Sequence[Item], route: Route) -> None:
    """Make verified and flushed copies official and remove their sources.

    1. Nobody has the file or its copy open (write leases), and the source is unchanged.
    2. The copy appears under its final name, never over another.
    3. The destination's folders are flushed: from here on the file is durable there under its own name.
    4. The source's name moves into a hidden folder beside it.
    5. A moment later it is looked at again: unchanged, and open to nobody who could write.
    6. Only then that one name is unlinked.
    Whatever does not fit is undone, the source gets its name back and the reason is reported. Raises
    DiskFailedError or UnitLeftError after every item was brought to an end.
    """
    steps = _Steps(route)
    appeared = steps.claim(items)
    if appeared:
        _flush_names(appeared, route)
        hidden = steps.each(appeared, _hide)
        time.sleep(LOOK_AGAIN)
        steps.each(hidden, _remove)
        for pair in _pairs(appeared):
            _remove_hidden_folder(pair, route)
    if steps.failure is not None:
        raise steps.failure


def adopt(item: Item, present: Sequence[Place], route: Route) -> None:
    """Take files that stand at the destination as the copy, when they are the same file with equal content.

    Raises ConflictError when anything differs: content, owner, mode, times or attributes.
    """
    if item.is_link:
        _adopt_link(item, present)
        return
    first = present[0]
    status = first.pair.destination.status(first.name)
    if status is None or any(not _is_at(place, status) for place in present):
        raise ConflictError("other files stand at the destination")
    try:
        item.copy_fd = linux.open_beneath(
            first.pair.destination.fd, first.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        )
    except BlockingIOError as error:
        raise ChangedError(IN_USE) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ConflictError("a symbolic link stands at the destination") from error
        raise
    if lost := metadata.difference(metadata.of_open_file(item.copy_fd), item.metadata):
        raise ConflictError(f"another file stands at the destination ({lost} differs)")
    _demand_equal_content(item, route)
    item.is_adopted = True


def drop_part(item: Item) -> None:
    """Remove the temporary name of a copy that will not be used; nothing else is touched."""
    if not item.part:
        return
    folder = item.places[0].pair.destination
    with folder.changing() as fd, suppress(FileNotFoundError):
        os.unlink(item.part, dir_fd=fd)
    item.part = b""


# -- 1. and 2. claim, appear --------------------------------------------------------------------------------------------------


def _claim_and_appear(item: Item, route: Route) -> None:
    """Give the copy its final names while nobody else has it or the source open.

    Afterwards readers may have the source again; writers must still ask. Raises BlockingIOError, with
    nothing done, while somebody has one of the files open.
    """
    route.control.answer_leases()
    item.demand_unchanged()
    if item.is_link:
        _appear(item)
        return
    linux.take_write_lease(item.source_fd)
    try:
        linux.take_write_lease(item.copy_fd)
        _appear(item)
    finally:
        item.copy_status = os.fstat(item.copy_fd)
        linux.release_lease(item.copy_fd)
        linux.take_read_lease(item.source_fd)


def _appear(item: Item) -> None:
    if item.is_adopted:
        _link_missing(item)
    elif len(item.places) > 1:
        _link_all(item)
    else:
        _rename_part(item)


def _rename_part(item: Item) -> None:
    place = item.places[0]
    folder = place.pair.destination
    try:
        try:
            linux.rename_no_replace(folder.fd, item.part, folder.fd, place.name)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            _link(folder.fd, item.part, place)  # FUSE cannot promise not to replace; a link never does
            os.unlink(item.part, dir_fd=folder.fd)
    except FileExistsError as error:
        raise ConflictError("another file appeared at the destination") from error
    item.part = b""
    item.appeared.append(place)


def _link_all(item: Item) -> None:
    folder = item.places[0].pair.destination
    for place in item.places:
        _link(folder.fd, item.part, place)
        item.appeared.append(place)
    os.unlink(item.part, dir_fd=folder.fd)
    item.part = b""


def _link_missing(item: Item) -> None:
    """Add the names that an adopted file lacks: a crash may have come between two of them."""
    have = [place for place in item.places if place.pair.destination.status(place.name) is not None]
    for place in item.places:
        if place not in have:
            _link(have[0].pair.destination.fd, have[0].name, place)
            item.appeared.append(place)


def _link(folder: int, name: bytes, place: Place) -> None:
    try:
        os.link(name, place.name, src_dir_fd=folder, dst_dir_fd=place.pair.destination.fd, follow_symlinks=False)
    except FileExistsError as error:
        raise ConflictError("another file appeared at the destination") from error


# -- 3. flush ---------------------------------------------------------------------------------------------------


def _flush_names(items: Sequence[Item], route: Route) -> None:
    """Make the new names durable. When that fails they are withdrawn: no source was touched yet."""
    folders = {place.pair.destination.fd for item in items for place in item.places}
    is_deep = any(place.pair.is_new for item in items for place in item.places)
    try:
        if is_deep or len(folders) > _SYNC_EACH:
            linux.sync_file_system(route.destination.fd)
        else:
            for fd in folders:
                os.fsync(fd)
    except OSError as error:
        for item in items:
            _undo(item, route, DiskFailedError(route.destination.name, "flushing failed"))
        raise explain(error, disk=route.destination.name, doing="flushing") from error


# -- 4. hide ----------------------------------------------------------------------------------------------------


def _hide(item: Item, route: Route) -> None:
    """Move the source's names out of sight, so that no new opener can find them."""
    route.control.answer_leases()
    item.demand_unchanged()
    for place in item.places:
        hidden = _hidden_folder(place.pair, route)
        linux.rename_no_replace(place.pair.source.fd, place.name, hidden, place.name)
        item.hidden.append(place)
        found = os.stat(place.name, dir_fd=hidden, follow_symlinks=False)
        if (found.st_dev, found.st_ino) != (item.status.st_dev, item.status.st_ino):
            raise ChangedError("another file took its name meanwhile")
    if item.is_link:
        place = item.places[0]
        item.hidden_status = os.stat(place.name, dir_fd=_hidden_folder(place.pair, route), follow_symlinks=False)
    else:
        item.hidden_status = os.fstat(item.source_fd)
        item.is_leased = False
        linux.release_lease(item.source_fd)


def _hidden_folder(pair: Pair, route: Route) -> int:
    if pair.hidden_fd < 0:
        with suppress(FileExistsError):
            os.mkdir(route.marks.hidden, 0o700, dir_fd=pair.source.fd)
        flags = os.O_RDONLY | os.O_DIRECTORY
        pair.hidden_fd = linux.open_beneath(pair.source.fd, route.marks.hidden, flags)
    return pair.hidden_fd


def _remove_hidden_folder(pair: Pair, route: Route) -> None:
    if pair.hidden_fd < 0:
        return
    os.close(pair.hidden_fd)
    pair.hidden_fd = -1
    with pair.source.changing() as fd, suppress(OSError):  # not empty: what is in it was reported
        os.rmdir(route.marks.hidden, dir_fd=fd)


# -- 5. and 6. look again, remove ---------------------------------------------------------------------------------


def _remove(item: Item, route: Route) -> None:
    """Unlink the hidden names of a source that nobody slipped into."""
    _demand_untouched(item)
    for place in item.places:
        os.unlink(place.name, dir_fd=place.pair.hidden_fd)
    item.hidden.clear()
    item.is_moved = True
    route.source.account(-item.status.st_blocks * 512)
    route.report.moved(files=len(item.places), size=item.copied)


def _demand_untouched(item: Item) -> None:
    place = item.places[0]
    found = os.stat(place.name, dir_fd=place.pair.hidden_fd, follow_symlinks=False)
    if item.hidden_status is None or not is_same(found, item.hidden_status):
        raise ChangedError("it changed while it was moved")
    if not item.is_link:
        try:
            linux.take_read_lease(item.source_fd)
        except BlockingIOError as error:
            raise ChangedError(IN_USE) from error


# -- undo -------------------------------------------------------------------------------------------------------


def _undo(item: Item, route: Route, reason: Exception) -> None:
    """Give the source its names back, then take away what we put at the destination, if it is still that."""
    if not _unhide(item, route):
        return
    is_withdrawn = _withdraw(item, route)
    route.left_all(item.paths, reason if is_withdrawn else ConflictError(_BOTH_KEPT))


def _unhide(item: Item, route: Route) -> bool:
    for place in list(item.hidden):
        where = names.display(place.pair.join(route.marks.hidden + b"/" + place.name))
        try:
            linux.rename_no_replace(place.pair.hidden_fd, place.name, place.pair.source.fd, place.name)
        except FileExistsError:
            route.left(item.path, ConflictError(f"a new file took its name; the former one is kept as {where}"))
            return False
        except OSError as error:
            route.left(item.path, FileLeftError(f"it waits as {where} for the next run: {error.strerror}"))
            return False
        item.hidden.remove(place)
    return True


def _withdraw(item: Item, route: Route) -> bool:
    """Take the names back that we gave the copy; False when somebody uses or changed it: then it stays."""
    if not item.appeared:
        return True
    if item.is_link:
        for place in item.appeared:
            with suppress(FileNotFoundError):
                os.unlink(place.name, dir_fd=place.pair.destination.fd)
        return True
    if not os.fstat(item.copy_fd).st_nlink:
        return True  # whoever removed the file through a union removed our copy with it
    if not _is_copy_untouched(item):
        return False
    parts = [(place, route.marks.new_part()) for place in item.appeared]
    for place, part in parts:
        folder = place.pair.destination.fd
        linux.rename_no_replace(folder, place.name, folder, part)
    item.copy_status = os.fstat(item.copy_fd)
    linux.release_lease(item.copy_fd)
    time.sleep(LOOK_AGAIN)
    untouched = _is_copy_untouched(item)
    for place, part in parts:
        folder = place.pair.destination.fd
        if untouched:
            os.unlink(part, dir_fd=folder)
        else:
            linux.rename_no_replace(folder, part, folder, place.name)
    return untouched


def _is_copy_untouched(item: Item) -> bool:
    try:
        linux.take_write_lease(item.copy_fd)
    except BlockingIOError:
        return False
    return item.copy_status is not None and is_same(os.fstat(item.copy_fd), item.copy_status)


# -- adopting ---------------------------------------------------------------------------------------------------


def _adopt_link(item: Item, present: Sequence[Place]) -> None:
    place = item.places[0]
    here, there = place.pair.source.fd, present[0].pair.destination.fd
    try:
        is_equal = os.readlink(place.name, dir_fd=here) == os.readlink(place.name, dir_fd=there)
    except OSError as error:
        raise ConflictError("another file stands at the destination") from error
    if not is_equal or metadata.difference(metadata.of_link(there, place.name), item.metadata):
        raise ConflictError("another link stands at the destination")
    item.is_adopted = True


def _demand_equal_content(item: Item, route: Route) -> None:
    size = item.status.st_size
    if os.fstat(item.copy_fd).st_size != size:
        raise ConflictError("another file stands at the destination (the size differs)")
    digests = []
    for fd in (item.source_fd, item.copy_fd):
        is_evicted = content.evict(fd)
        digests.append(content.read_again(fd, size, is_evicted=is_evicted, on_chunk=lambda _: route.control.check()))
    if digests[0] != digests[1]:
        raise ConflictError("another file stands at the destination (the content differs)")
    item.digest = digests[0]


def _is_at(place: Place, status: os.stat_result) -> bool:
    found = place.pair.destination.status(place.name)
    return found is not None and (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino)


# -- many items -------------------------------------------------------------------------------------------------


class _Steps:
    """Takes many items through the steps; an item that fails is undone, the first grave failure is kept."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.failure: RebalancerError | None = None

    def claim(self, items: Sequence[Item]) -> list[Item]:
        """Let the copies appear; wait a little for those who read. Returns the items that appeared."""
        appeared, waiting, deadline = [], list(items), time.monotonic() + PATIENCE
        while waiting:
            busy: list[Item] = []
            appeared += self.each(waiting, _claim_and_appear, busy=busy)
            if busy and time.monotonic() > deadline:
                for item in busy:
                    _undo(item, self.route, ChangedError(IN_USE))
                return appeared
            if waiting := busy:
                time.sleep(0.02)
        return appeared

    def each(
        self, items: Sequence[Item], step: Callable[[Item, Route], None], *, busy: list[Item] | None = None
    ) -> list[Item]:
        """Do one step for every item; return those for which it went well."""
        done = []
        for pairs, group in groupby(items, key=lambda item: _pairs([item])):
            with ExitStack() as stack:
                for pair in pairs:
                    stack.enter_context(pair.source.changing())
                    stack.enter_context(pair.destination.changing())
                done += [item for item in group if self._one(item, step, busy)]
        return done

    def _one(self, item: Item, step: Callable[[Item, Route], None], busy: list[Item] | None) -> bool:
        self.route.at(item.path, "committing")
        try:
            step(item, self.route)
        except BlockingIOError:
            if busy is None:
                _undo(item, self.route, ChangedError(IN_USE))
            else:
                busy.append(item)
        except FileLeftError as error:
            _undo(item, self.route, error)
        except OSError as error:
            self._explain(item, step, error)
        else:
            return True
        return False

    def _explain(self, item: Item, step: Callable[[Item, Route], None], error: OSError) -> None:
        disk = self.route.destination if step is _claim_and_appear else self.route.source
        meaning = explain(error, disk=disk.name, doing="committing")
        _undo(item, self.route, meaning)
        if not isinstance(meaning, FileLeftError):
            self.failure = self.failure or meaning


def _pairs(items: Iterable[Item]) -> list[Pair]:
    return list({place.pair: None for item in items for place in item.places})
