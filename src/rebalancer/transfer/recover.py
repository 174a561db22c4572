"""Puts back what a crash left half done; what was begun is then simply moved again, equal copies are adopted.

Twice is the same as once, and a crash in here is just another crash: each step either was done or was not.
"""

import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from rebalancer import linux
from rebalancer.cancel import Cancel
from rebalancer.planning.plan import Move
from rebalancer.transfer.failure import ConflictError
from rebalancer.transfer.folder import Folder
from rebalancer.transfer.route import OpenDisk, Route

_FOLDER = os.O_RDONLY | os.O_DIRECTORY


def recover(unit: Move, route: Route) -> None:
    """Give hidden files of the source their names back and remove our own temporary ones at the destination.

    Only names that carry this operation's id are touched, in the folders of this unit and those above it.
    """
    cancel = route.control.cancel
    for member in unit.members:
        path = member.raw_path
        _visit(route.source, path, cancel, lambda folder, at: _unhide(folder, at, route))
        _visit(route.destination, path, cancel, lambda folder, _: _drop_parts(folder, route))


def is_begun(unit: Move, route: Route) -> bool:
    """Return whether a part of the unit is at the destination while a part is still at the source.

    Raises OSError where nobody can look.
    """
    disks = (route.source, route.destination)
    return any(all(_exists(disk, member.raw_path) for disk in disks) for member in unit.members)


def has_own_name_above(unit: Move, route: Route) -> bool:
    """Return whether a name of ours is left in a folder above the unit; a share's folder may be long to read.

    Raises OSError where nobody can look.
    """
    disks = (route.source, route.destination)
    return any(_has_own_name_above(disk, member.raw_path, route) for member in unit.members for disk in disks)


def _has_own_name_above(disk: OpenDisk, path: bytes, route: Route) -> bool:
    with closing(_folders(disk, path, deep=False)) as above:
        return any(route.marks.is_own(name) for folder, _ in above for name in folder.names())


def _unhide(folder: Folder, path: bytes, route: Route) -> None:
    try:
        hidden = linux.open_beneath(folder.fd, route.marks.hidden, _FOLDER)
    except OSError:  # none here
        return
    try:
        with folder.changing() as fd, os.scandir(hidden) as entries:
            for name in sorted(os.fsencode(entry.name) for entry in entries):
                _give_back(hidden, name, fd, path, route)
            route.remove_hidden_folder(fd)
    finally:
        os.close(hidden)


def _give_back(hidden: int, name: bytes, folder: int, path: bytes, route: Route) -> None:
    try:
        linux.rename_no_replace(hidden, name, folder, name)
    except FileExistsError:
        where = b"/".join((*filter(None, [path]), route.marks.hidden, name))
        route.left(where, ConflictError("a new file took its name after a crash; both are kept"))


def _drop_parts(folder: Folder, route: Route) -> None:
    own = [name for name in folder.names() if route.marks.is_part(name)]
    if not own:
        return
    with folder.changing() as fd:
        for name in own:
            status = folder.status(name)
            if status is None:
                continue
            if stat.S_ISDIR(status.st_mode):
                os.rmdir(name, dir_fd=fd)
            else:
                os.unlink(name, dir_fd=fd)


def _visit(disk: OpenDisk, path: bytes, cancel: Cancel, work: Callable[[Folder, bytes], None]) -> None:
    """Do something in every folder above a path and in every folder below it; raises CancelledError between two."""
    with closing(_folders(disk, path)) as folders:
        for folder, at in folders:
            cancel.check()
            work(folder, at)


def _folders(disk: OpenDisk, path: bytes, *, deep: bool = True) -> Generator[tuple[Folder, bytes], None, None]:
    """Yield the open folders from the root down to a path, then those below it if wanted, parents before children."""
    chain: list[Folder] = [Folder(os.dup(disk.fd))]
    at = b""
    try:
        for name in path.split(b"/"):
            yield chain[-1], at  # the root too: a share's folder that was being made has its temporary name there
            child = _open(chain[-1], name)
            if child is None:
                return
            chain.append(child)
            at = at + b"/" + name if at else name
        if deep:
            yield from _below(chain.pop(), at)
    finally:
        for folder in chain:
            folder.close()


def _below(top: Folder, at: bytes) -> Iterator[tuple[Folder, bytes]]:
    todo: list[tuple[Folder, bytes, list[bytes]]] = [(top, at, [])]
    try:
        yield top, at
        todo[0] = (top, at, _subfolders(top))
        while todo:
            folder, path, names = todo[-1]
            if not names:
                todo.pop()[0].close()
                continue
            name = names.pop()
            child = _open(folder, name)
            if child is not None:
                todo.append((child, path + b"/" + name, []))
                yield child, path + b"/" + name
                todo[-1] = (child, path + b"/" + name, _subfolders(child))
    finally:
        for folder, _, _ in todo:
            folder.close()


def _open(folder: Folder, name: bytes) -> Folder | None:
    try:
        return Folder(linux.open_beneath(folder.fd, name, _FOLDER))
    except OSError:  # gone, a file, a link, another mount: nothing of ours is below it
        return None


def _subfolders(folder: Folder) -> list[bytes]:
    with os.scandir(folder.fd) as entries:
        return sorted((os.fsencode(e.name) for e in entries if e.is_dir(follow_symlinks=False)), reverse=True)


def _exists(disk: OpenDisk, path: bytes) -> bool:
    folder, name = os.path.split(path)
    try:
        fd = linux.open_beneath(disk.fd, folder, _FOLDER) if folder else os.dup(disk.fd)
    except OSError:
        return False
    try:
        return Folder(fd).status(name) is not None
    finally:
        os.close(fd)
