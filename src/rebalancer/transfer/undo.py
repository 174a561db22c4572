"""Steps back: the source gets its names again, and what we put at the destination goes, if it is still that."""

import os
import stat
import time
from contextlib import suppress

from rebalancer import linux, names
from rebalancer.transfer.failure import ConflictError, FileLeftError
from rebalancer.transfer.item import Item, is_same
from rebalancer.transfer.route import Route

LOOK_AGAIN = 0.05  # seconds after which an opener that waited for our lease has got its file
_BOTH_KEPT = "it changed on both disks while it was moved: both versions are kept"


def undo(item: Item, route: Route, reason: Exception) -> None:
    """Give the source its names back, then take away what we put at the destination, if it is still that."""
    if not _unhide(item, route):
        return
    try:
        is_withdrawn = _withdraw(item, route)
    except OSError as error:  # the next run finds both, and takes the copy if it is still equal
        told = f"{reason}; its copy on {route.destination.name} could not be removed: {(error.strerror or '').lower()}"
        route.left_all(item.paths, FileLeftError(told))
        return
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
            if item.is_copy(place, place.name):
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
    untouched = _is_copy_untouched(item) and all(item.is_copy(place, part) for place, part in parts)
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


def drop_part(item: Item) -> None:
    """Remove the temporary name of a copy that will not be used; nothing else is touched."""
    if not item.part:
        return
    place = item.places[0]
    with place.pair.destination.changing() as fd, suppress(FileNotFoundError):
        if _is_our_part(item):  # else somebody put his own file there
            os.unlink(item.part, dir_fd=fd)
    item.part = b""


def _is_our_part(item: Item) -> bool:
    """Return whether the temporary name is still that of our copy; a link whose inode was never seen is one link of many."""
    place = item.places[0]
    if item.is_link and not item.copy_inode:
        status = place.pair.destination.status(item.part)
        return status is not None and stat.S_ISLNK(status.st_mode)
    return item.is_copy(place, item.part)
