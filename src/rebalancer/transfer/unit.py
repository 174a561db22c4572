"""Moves one unit: walks its folders, takes its files along in batches, and tidies up behind them."""

import os
import resource
import stat
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from rebalancer import linux
from rebalancer.planning.plan import Move
from rebalancer.transfer import marks
from rebalancer.transfer.batch import Batch
from rebalancer.transfer.failure import FileLeftError, NoRoomError, VanishedError, explain
from rebalancer.transfer.folder import Folder, Pair, open_child, open_on_same_volume
from rebalancer.transfer.item import Place
from rebalancer.transfer.route import OpenDisk, Route

_BATCH_FILES = 1000
_SPARE_DESCRIPTORS = 200
_APPEARED = "it appeared while its folder was moved"
_FOREIGN = "it is named like a temporary file of another run, so nobody knows what it is"


def raise_open_limit() -> int:
    """Allow as many open files as the system does (a deep tree holds one descriptor per level); return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft


def batch_limit() -> int:
    """Return how many files a batch may hold: each needs two descriptors and possibly two folders of its own."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(_BATCH_FILES, (soft - _SPARE_DESCRIPTORS) // 12))


@dataclass(eq=False)
class UnitMover:
    """Moves the members of one unit. Files that must stay are reported and their folders stay with them."""

    route: Route
    batch: Batch = field(init=False)
    linked: dict[int, list[bytes]] = field(default_factory=dict)  # paths by inode, of files with several names

    def __post_init__(self) -> None:
        self.batch = Batch(self.route, batch_limit())

    def move(self, unit: Move) -> None:
        """Bring every file of the unit to the destination, or say why it stays.

        1. Walk the members: plain files go in batches, files with several names are collected.
        2. Move those as groups, whole or not at all.
        3. Remove the folders that are empty now; never a share's top folder.
        Raises DiskFailedError, UnitLeftError or CancelledError when the rest must wait; then every file
        is either moved or untouched.
        """
        self.route.report.begin_unit()
        paths = [member.raw_path for member in unit.members]
        try:
            for path in paths:
                self._member(path)
            self._linked_groups()
            self.batch.carry_out()
        except NoRoomError:
            self.batch.let_go()
            self._give_room_back()
            raise
        finally:
            self.batch.let_go()
        linux.sync_file_system(self.route.destination.fd)  # also the folders that hold no file
        with self.route.blaming(self.route.source, "removing empty folders"), self.route.control.alone():
            for path in paths:
                self._tidy(path)

    def _give_room_back(self) -> None:
        """Let the destination count as free what the failed copy had taken: btrfs does so with its next commit only."""
        with self.route.blaming(self.route.destination, "flushing"):
            linux.sync_file_system(self.route.destination.fd)

    # -- 1. walk ------------------------------------------------------------------------------------------------

    def _member(self, path: bytes) -> None:
        folder, name = os.path.split(path)
        with ExitStack() as stack:
            parent = self._open_path(folder, stack)
            with self.route.blaming(self.route.source, "looking for it"):
                status = parent.source.status(name) if parent else None
            if parent is None or status is None:
                return  # somebody removed it: nothing to move
            if stat.S_ISDIR(status.st_mode):
                self._tree(parent, name)
            else:
                self._file(Place(parent, name))

    def _tree(self, top: Pair, name: bytes) -> None:
        """Walk a folder depth first with an explicit stack: a tree may be thousands of levels deep."""
        todo: list[tuple[Pair, list[bytes]]] = []
        try:
            self._enter(top, name, todo)
            while todo:
                pair, subfolders = todo[-1]
                if subfolders:
                    self._enter(pair, subfolders.pop(), todo)
                else:
                    todo.pop()[0].release()
        finally:
            for pair, _ in todo:
                pair.release()

    def _enter(self, parent: Pair, name: bytes, todo: list[tuple[Pair, list[bytes]]]) -> None:
        self.route.control.check()
        try:
            with self.route.control.alone():
                pair = open_child(parent, name, self.route)
        except FileNotFoundError:
            return
        except FileLeftError as error:
            self.route.left(parent.join(name), error)
            return
        except OSError as error:
            self._explain(parent.join(name), error)
            return
        subfolders: list[bytes] = []
        todo.append((pair, subfolders))
        with self.route.blaming(self.route.source, "reading a folder"):
            children = pair.source.names()
        for child in children:
            if not marks.is_any_mark(child):
                self._visit(pair, child, subfolders)
            elif not self.route.marks.is_own(child):
                self.route.left(pair.join(child), FileLeftError(_FOREIGN))
        subfolders.reverse()

    def _visit(self, pair: Pair, name: bytes, subfolders: list[bytes]) -> None:
        with self.route.blaming(self.route.source, "reading a folder"):
            status = pair.source.status(name)
        if status is None:
            return
        if stat.S_ISDIR(status.st_mode):
            subfolders.append(name)
        elif status.st_nlink > 1:
            self.linked.setdefault(status.st_ino, []).append(pair.join(name))
        else:
            self.batch.add([Place(pair, name)])

    def _file(self, place: Place) -> None:
        subfolders: list[bytes] = []
        self._visit(place.pair, place.name, subfolders)

    # -- 2. files with several names ------------------------------------------------------------------------------

    def _linked_groups(self) -> None:
        for paths in self.linked.values():
            with ExitStack() as stack:
                places = [place for path in paths if (place := self._place(path, stack))]
                if places and self._is_whole(places):
                    self.batch.add(places)

    def _place(self, path: bytes, stack: ExitStack) -> Place | None:
        folder, name = os.path.split(path)
        pair = self._open_path(folder, stack)
        return Place(pair, name) if pair else None

    def _is_whole(self, places: list[Place]) -> bool:
        with self.route.blaming(self.route.source, "reading a folder"):
            status = places[0].pair.source.status(places[0].name)
        if status is None or status.st_nlink == len(places):
            return True
        reason = f"hard link: {len(places)} of its {status.st_nlink} names are in this unit"
        for place in places:
            self.route.left(place.path, FileLeftError(reason))
        return False

    # -- 3. tidy up ---------------------------------------------------------------------------------------------

    def _tidy(self, path: bytes) -> None:
        """Remove what is empty, bottom up, then the folders above the unit that became empty with it."""
        parts = path.split(b"/")
        if any(b"/".join(parts[:level]) in self.route.report.left_paths for level in range(1, len(parts))):
            return  # a folder above it could not be entered or made: nothing of it was looked at
        with ExitStack() as stack:
            chain = self._open_source_chain(parts[:-1], stack)
            if len(chain) < len(parts):
                return
            status = chain[-1].status(parts[-1])
            if status is not None and stat.S_ISDIR(status.st_mode):
                self._remove_empty(chain[-1], parts[-1], path)
            for level in range(len(parts) - 2, 0, -1):
                with chain[level].changing() as fd, suppress(OSError):  # not empty: others live there
                    os.rmdir(parts[level], dir_fd=fd)

    def _remove_empty(self, parent: Folder, name: bytes, path: bytes) -> None:
        """Remove a tree of empty folders; whatever else is in it stays and is reported."""
        todo: list[tuple[Folder, bytes, bytes, list[bytes]]] = []  # folder, its name, its path, what to enter
        self._enter_source(parent, name, path, todo)
        try:
            while todo:
                folder, own_name, own_path, subfolders = todo[-1]
                if subfolders:
                    child = subfolders.pop()
                    self._enter_source(folder, child, own_path + b"/" + child, todo)
                    continue
                todo.pop()
                folder.close()
                if b"/" in own_path:  # a share's top folder stays
                    self._remove_folder(todo[-1][0] if todo else parent, own_name)
        finally:
            for folder, *_ in todo:
                folder.close()

    def _enter_source(
        self, parent: Folder, name: bytes, path: bytes, todo: list[tuple[Folder, bytes, bytes, list[bytes]]]
    ) -> None:
        if path in self.route.report.left_paths:
            return  # it stays as a whole
        try:
            folder = Folder(open_on_same_volume(parent.fd, name))
        except OSError:
            return  # gone, or not ours to enter; what is in it was reported when it was walked
        subfolders = []
        for child in folder.names():
            status = folder.status(child)
            if status is None or marks.is_any_mark(child):
                continue
            if stat.S_ISDIR(status.st_mode):
                subfolders.append(child)
            else:
                self.route.report.left(self.route.source.name, path + b"/" + child, _APPEARED)
        todo.append((folder, name, path, subfolders))

    def _remove_folder(self, parent: Folder, name: bytes) -> None:
        with parent.changing() as fd:
            try:
                os.rmdir(name, dir_fd=fd)
            except OSError as error:
                meaning = explain(error, disk=self.route.source.name, doing="removing an empty folder")
                if not isinstance(meaning, FileLeftError):  # else others live there, or it is no folder any more
                    raise meaning from error

    # -- opening ------------------------------------------------------------------------------------------------

    def _open_path(self, path: bytes, stack: ExitStack) -> Pair | None:
        """Open a folder of the source and make its twins at the destination, level by level from the root."""
        pair = _open_roots(self.route)
        stack.callback(pair.release)
        for name in path.split(b"/") if path else []:
            try:
                with self.route.control.alone():
                    pair = open_child(pair, name, self.route)
            except (FileNotFoundError, VanishedError):
                return None
            except OSError as error:
                self._explain(path, error)
                return None
            except FileLeftError as error:
                self.route.left(path, error)
                return None
            stack.callback(pair.release)
        return pair

    def _open_source_chain(self, parts: list[bytes], stack: ExitStack) -> list[Folder]:
        """Return the open folders from the root down; shorter than asked for when one is missing."""
        chain = [_reopen(self.route.source)]
        stack.callback(chain[0].close)
        for name in parts:
            try:
                folder = Folder(linux.open_beneath(chain[-1].fd, name, os.O_RDONLY | os.O_DIRECTORY))
            except OSError:
                break
            stack.callback(folder.close)
            chain.append(folder)
        return chain

    def _explain(self, path: bytes, error: OSError) -> None:
        meaning = explain(error, disk=self.route.source.name, doing="opening")
        if not isinstance(meaning, FileLeftError):
            raise meaning from error
        self.route.left(path, meaning)


def _open_roots(route: Route) -> Pair:
    return Pair(
        path=b"",
        source=_reopen(route.source),
        destination=_reopen(route.destination),
        others={disk.name: os.dup(disk.fd) for disk in route.others},
    )


def _reopen(disk: OpenDisk) -> Folder:
    return Folder(os.dup(disk.fd))
