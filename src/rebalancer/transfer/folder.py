"""Open folders of two disks side by side: reached without following links, left with the times they had."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from rebalancer import linux
from rebalancer.transfer import metadata
from rebalancer.transfer.failure import ChangedError, ConflictError, FileLeftError, explain
from rebalancer.transfer.marks import Marks
from rebalancer.transfer.route import Route

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_OPEN_TO_READERS = 0o755


class Folder:
    """An open folder. What we do in it leaves its times as they were: to a person nothing happened there."""

    def __init__(self, fd: int, *, kept: tuple[int, int] | None = None) -> None:
        status = os.fstat(fd)
        self.fd = fd
        self._kept = kept or (status.st_atime_ns, status.st_mtime_ns)
        self._seen = status.st_mtime_ns

    @contextmanager
    def changing(self) -> Iterator[int]:
        """Give the descriptor for changes; afterwards the folder has the times it had before.

        A change by somebody else since we last looked counts: then their time is the one to keep.
        """
        now = self._changed_at()
        if now != self._seen:
            self._kept = (self._kept[0], now)
        try:
            yield self.fd
        finally:
            with suppress(OSError):  # not the owner, or the disk fails: the change itself counts
                os.utime(self.fd, ns=self._kept)
            self._seen = self._changed_at()

    def _changed_at(self) -> int:
        try:
            return os.fstat(self.fd).st_mtime_ns
        except OSError:  # the disk fails: the change itself will say so
            return self._seen

    def names(self) -> list[bytes]:
        """Return all names in byte order, so that every run goes the same way."""
        with os.scandir(self.fd) as entries:
            return sorted(os.fsencode(entry.name) for entry in entries)

    def status(self, name: bytes) -> os.stat_result | None:
        """Return what a name stands for, not following it; None when there is no such name."""
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def close(self) -> None:
        os.close(self.fd)


@dataclass(eq=False)
class Pair:
    """The same folder on the source and on the destination, and on other disks of the array that have it.

    A pair stays open until everybody who holds it has let go.
    """

    path: bytes  # relative to the disks' roots; empty for the roots themselves
    source: Folder
    destination: Folder
    others: dict[str, int] = field(default_factory=dict)  # descriptor by disk name
    is_new: bool = False  # the destination's folder was made by us
    hidden_fd: int = -1  # the source's folder for names that are about to go; -1 while there is none
    holders: int = 1

    def hold(self) -> "Pair":
        self.holders += 1
        return self

    def release(self) -> None:
        self.holders -= 1
        if self.holders:
            return
        self.source.close()
        self.destination.close()
        for fd in self.others.values():
            os.close(fd)

    def disk_that_has(self, name: bytes) -> str:
        """Return a third disk on which that path exists too; empty when there is none.

        Raises FileLeftError when a third disk does not answer.
        """
        for disk, fd in self.others.items():
            try:
                if not stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                    return disk
            except FileNotFoundError:
                continue
            except OSError as error:
                reason = f"whether the same path is also on {disk} cannot be told: {(error.strerror or '').lower()}"
                raise FileLeftError(reason) from error
        return ""

    def join(self, name: bytes) -> bytes:
        return self.path + b"/" + name if self.path else name


def open_child(parent: Pair, name: bytes, route: Route) -> Pair:
    """Open a folder of the source and its twin, which is made, with everything that belongs to it, if missing.

    Raises OSError, as openat2(2) does, for the source. What the destination refuses is explained: ConflictError
    when a file stands there, DiskFailedError when the disk fails.
    """
    source = open_on_same_volume(parent.source.fd, name)
    try:
        destination, is_new = _open_or_make(parent.destination, name, source, route.marks)
    except OSError as error:
        os.close(source)
        raise explain(error, disk=route.destination.name, doing="making a folder") from error
    except BaseException:
        os.close(source)
        raise
    return Pair(
        path=parent.join(name),
        source=Folder(source),
        destination=_twin(source, destination, is_new=is_new, is_share=not parent.path),
        others=_open_others(parent.others, name),
        is_new=is_new,
    )


def open_on_same_volume(parent: int, name: bytes) -> int:
    """Open a folder below an open one; EXDEV also for a btrfs subvolume, which openat2(2) does not take for a mount."""
    fd = linux.open_beneath(parent, name, _FOLDER)
    if os.fstat(fd).st_dev != os.fstat(parent).st_dev:
        os.close(fd)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    return fd


def _twin(source: int, destination: int, *, is_new: bool, is_share: bool) -> Folder:
    """Return the destination's folder, with the source's time if that is newer or the folder is new.

    Unions show the newest of a folder's times; so it is still shown when the source's folder is gone. That of
    a share stays.
    """
    here, there = os.fstat(source), os.fstat(destination)
    if not is_new and (is_share or here.st_mtime_ns <= there.st_mtime_ns):
        return Folder(destination)
    folder = Folder(destination, kept=(here.st_atime_ns, here.st_mtime_ns))
    with folder.changing():
        return folder


def _open_or_make(folder: Folder, name: bytes, like: int, marks: Marks) -> tuple[int, bool]:
    try:
        return linux.open_beneath(folder.fd, name, _FOLDER), False
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise ConflictError("a file of that name stands on the destination where a folder is needed") from error
        raise
    with folder.changing():
        _make(folder.fd, name, metadata.of_open_file(like), marks.new_part())
    return linux.open_beneath(folder.fd, name, _FOLDER), True


def _make(parent: int, name: bytes, wanted: metadata.Metadata, part: bytes) -> None:
    """Make a folder that never has its name without its owner, mode and ACL; never over another.

    Until then everybody may look into it, empty as it is: a folder that only root may read would be an error for
    whoever lists the merged view meanwhile.
    """
    os.mkdir(part, _OPEN_TO_READERS, dir_fd=parent)
    try:
        fd = linux.open_beneath(parent, part, _FOLDER)
        try:
            _demand_new(fd)
            metadata.apply(fd, wanted)
        finally:
            os.close(fd)
        linux.rename_no_replace(parent, part, parent, name)
    except FileExistsError:  # somebody made it meanwhile
        os.rmdir(part, dir_fd=parent)
    except BaseException:
        with suppress(OSError):  # not empty or no folder: then it is not the one that we made
            os.rmdir(part, dir_fd=parent)
        raise


def _demand_new(fd: int) -> None:
    """Raise ChangedError unless the folder can be the one that we just made: somebody may have put his own there."""
    if os.fstat(fd).st_uid != os.geteuid() or os.listdir(fd):
        raise ChangedError("another folder took the place of the one that was being made")


def _open_others(parents: dict[str, int], name: bytes) -> dict[str, int]:
    found = {}
    for disk, fd in parents.items():
        with suppress(OSError):  # not there, or no folder: then nothing below it can be in the way
            found[disk] = linux.open_beneath(fd, name, _FOLDER)
    return found
