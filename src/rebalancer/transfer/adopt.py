"""An equal file that stands at the destination already is taken as the copy."""

import errno
import os
import stat
from collections.abc import Sequence

from rebalancer import linux
from rebalancer.transfer import content, metadata, sides
from rebalancer.transfer.failure import ConflictError, InUseError
from rebalancer.transfer.item import IN_USE, Item, Place
from rebalancer.transfer.route import Route
from rebalancer.transfer.sides import Side


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
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):  # opening one may already do something
        raise ConflictError("another kind of file stands at the destination")
    try:
        item.copy_fd = linux.open_beneath(
            first.pair.destination.fd, first.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        )
    except BlockingIOError as error:
        raise InUseError(IN_USE, ((status.st_dev, status.st_ino),)) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ConflictError("a symbolic link stands at the destination") from error
        raise
    item.copy_inode = os.fstat(item.copy_fd).st_ino
    if lost := metadata.difference(metadata.of_open_file(item.copy_fd), item.metadata):
        raise ConflictError(f"another file stands at the destination ({lost} differs)")
    _demand_equal_content(item, route)
    item.is_adopted = True


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
    parts = [
        Side(fd, disk.name, content.evict(fd))
        for fd, disk in ((item.source_fd, route.source), (item.copy_fd, route.destination))
    ]
    digests = sides.read_again(parts, size, are_apart=route.are_apart, on_chunk=lambda _: route.control.check())
    if digests[0] != digests[1]:
        raise ConflictError("another file stands at the destination (the content differs)")
    item.digest = digests[0]


def _is_at(place: Place, status: os.stat_result) -> bool:
    found = place.pair.destination.status(place.name)
    return found is not None and (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino)
