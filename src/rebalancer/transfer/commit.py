"""The irreversible steps: the copy becomes official, and only then does the source go."""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from itertools import groupby

from rebalancer import linux
from rebalancer.errors import RebalancerError
from rebalancer.transfer.failure import (
    ChangedError,
    ConflictError,
    DiskFailedError,
    FileLeftError,
    explain,
    explain_flush,
)
from rebalancer.transfer.folder import Pair
from rebalancer.transfer.item import Item, Place, is_same
from rebalancer.transfer.route import Route
from rebalancer.transfer.undo import LOOK_AGAIN, undo

PATIENCE = 2.0  # seconds that a batch waits for readers to close their files
_SYNC_EACH = 4
_LISTED_NOT_ENTERED = 0o744  # whoever lists everything meets no error; nobody but root gets at what is in it
_REPLACED = "another file took the place of its copy"


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
        for item in hidden[:1]:
            _wait_to_look_again(item)  # here too, so that no folder is kept from showing changes meanwhile
        steps.each(hidden, _remove)
        for pair in _pairs(appeared):
            _remove_hidden_folder(pair, route)
    if steps.failure is not None:
        raise steps.failure


# -- 1. and 2. claim, appear --------------------------------------------------------------------------------------------------


def _claim_and_appear(item: Item, route: Route) -> None:
    """Give the copy its final names while nobody else has it or the source open.

    Afterwards readers may have the source again; writers must still ask. Raises BlockingIOError, with
    nothing done, while somebody has one of the files open.
    """
    route.control.answer_leases()
    with route.blaming(route.source, "committing"):
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
            _link(item, place, of=(place, item.part))  # FUSE cannot promise not to replace; a link never does
            os.unlink(item.part, dir_fd=folder.fd)
    except FileExistsError as error:
        raise ConflictError("another file appeared at the destination") from error
    part, item.part = item.part, b""
    if not item.is_copy(place, place.name):
        linux.rename_no_replace(folder.fd, place.name, folder.fd, part)
        raise ConflictError(_REPLACED)
    item.appeared.append(place)


def _link_all(item: Item) -> None:
    folder = item.places[0].pair.destination
    for place in item.places:
        _link(item, place, of=(item.places[0], item.part))
        item.appeared.append(place)
    os.unlink(item.part, dir_fd=folder.fd)
    item.part = b""


def _link_missing(item: Item) -> None:
    """Add the names that an adopted file lacks: a crash may have come between two of them."""
    have = [place for place in item.places if place.pair.destination.status(place.name) is not None]
    for place in item.places:
        if place not in have:
            _link(item, place, of=(have[0], have[0].name))
            item.appeared.append(place)


def _link(item: Item, place: Place, *, of: tuple[Place, bytes]) -> None:
    """Give the copy one more name, in whichever folder it has another."""
    folder, to = of[0].pair.destination.fd, place.pair.destination.fd
    try:
        os.link(of[1], place.name, src_dir_fd=folder, dst_dir_fd=to, follow_symlinks=False)
    except FileExistsError as error:
        raise ConflictError("another file appeared at the destination") from error
    if not item.is_copy(place, place.name):
        os.unlink(place.name, dir_fd=to)
        raise ConflictError(_REPLACED)


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
            undo(item, route, DiskFailedError(route.destination.name, "flushing failed"))
        raise explain_flush(error, disk=route.destination.name) from error


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
        item.hidden_status = found
    if not item.is_link:
        item.is_leased = False
        linux.release_lease(item.source_fd)
    item.hidden_at = time.monotonic()


def _hidden_folder(pair: Pair, route: Route) -> int:
    if pair.hidden_fd < 0:
        is_new = False
        with suppress(FileExistsError):
            os.mkdir(route.marks.hidden, _LISTED_NOT_ENTERED, dir_fd=pair.source.fd)
            is_new = True
        flags = os.O_RDONLY | os.O_DIRECTORY
        pair.hidden_fd = linux.open_beneath(pair.source.fd, route.marks.hidden, flags)
        if is_new and stat.S_IMODE(os.fstat(pair.hidden_fd).st_mode) != _LISTED_NOT_ENTERED:
            os.fchmod(pair.hidden_fd, _LISTED_NOT_ENTERED)  # a default ACL of its folder counts more than what we said
    return pair.hidden_fd


def _remove_hidden_folder(pair: Pair, route: Route) -> None:
    if pair.hidden_fd < 0:
        return
    os.close(pair.hidden_fd)
    pair.hidden_fd = -1
    with pair.source.changing() as fd:
        route.remove_hidden_folder(fd)


# -- 5. and 6. look again, remove ---------------------------------------------------------------------------------


def _remove(item: Item, route: Route) -> None:
    """Unlink the hidden names of a source that nobody slipped into, not before `LOOK_AGAIN` seconds have passed."""
    _wait_to_look_again(item)
    _demand_untouched(item)
    for place in item.places:
        os.unlink(place.name, dir_fd=place.pair.hidden_fd)
    item.hidden.clear()
    item.is_moved = True
    route.source.account(-item.status.st_blocks * 512)
    route.report.moved(files=len(item.places), size=item.copied)


def _wait_to_look_again(item: Item) -> None:
    while (wait := item.hidden_at + LOOK_AGAIN - time.monotonic()) > 0:
        time.sleep(wait)


def _demand_untouched(item: Item) -> None:
    place = item.places[0]
    found = os.stat(place.name, dir_fd=place.pair.hidden_fd, follow_symlinks=False)
    if item.hidden_status is None or not is_same(found, item.hidden_status):
        raise ChangedError("it changed while it was moved")
    if not item.is_link:
        try:
            linux.take_read_lease(item.source_fd)
        except BlockingIOError as error:
            raise item.in_use() from error


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
            if busy and (time.monotonic() > deadline or self.route.control.is_stopped):
                for item in busy:
                    undo(item, self.route, item.in_use())
                return appeared
            if waiting := busy:
                time.sleep(0.02)
        return appeared

    def each(
        self, items: Sequence[Item], step: Callable[[Item, Route], None], *, busy: list[Item] | None = None
    ) -> list[Item]:
        """Do one step for every item; return those for which it went well."""
        done = []
        for pairs, group in groupby(items, key=_folders):
            with ExitStack() as stack:
                for pair in pairs:
                    stack.enter_context(pair.source.changing())
                    stack.enter_context(pair.destination.changing())
                members = list(group)
                self.route.at(members[0].path, "committing")
                done += [item for item in members if self._one(item, step, busy)]
        return done

    def _one(self, item: Item, step: Callable[[Item, Route], None], busy: list[Item] | None) -> bool:
        try:
            step(item, self.route)
        except BlockingIOError:
            if busy is None:
                undo(item, self.route, item.in_use())
            else:
                busy.append(item)
        except FileLeftError as error:
            undo(item, self.route, error)
        except RebalancerError as error:
            self._fail(item, error)
        except OSError as error:
            disk = self.route.destination if step is _claim_and_appear else self.route.source
            self._fail(item, explain(error, disk=disk.name, doing="committing"))
        else:
            return True
        return False

    def _fail(self, item: Item, meaning: RebalancerError) -> None:
        undo(item, self.route, meaning)
        if not isinstance(meaning, FileLeftError):
            self.failure = self.failure or meaning


def _folders(item: Item) -> tuple[Pair, ...]:
    if len(item.places) == 1:
        return (item.places[0].pair,)
    return tuple(_pairs([item]))


def _pairs(items: Iterable[Item]) -> list[Pair]:
    return list({place.pair: None for item in items for place in item.places})
