"""What a tree of files is, down to the last attribute, so that before and after can be compared."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import xxhash

CHUNK = 2**20
HOLES_TOLERANCE = 64 * 2**10  # bytes that file systems differ by in what they call data

_VIEWS_OF_ACLS = ("trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT")  # how xfs shows root the ACLs once more

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name of a tree. ``links`` names the first path of the hard-link group, empty for a lone file."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    xattrs: tuple[tuple[str, bytes], ...]  # ACLs and capabilities are among them
    size: int = 0
    content: str = ""  # xxh3-128 of the bytes
    data_size: int = 0  # bytes outside holes; FUSE shows holes by what is allocated only
    allocated: int = 0  # what the file system says it occupies; differs between file systems
    target: bytes = b""
    device: int = 0
    link_count: int = 1
    links: bytes = b""


Originals = dict[bytes, Entry]  # by path relative to the root


def snapshot(root: Path, *, ignore: Iterable[bytes] = (b"lost+found",)) -> Originals:
    """Return every name below a root; ``ignore`` are names directly below it. No symlink is followed."""
    found: Originals = {}
    groups: dict[tuple[int, int], bytes] = {}
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for path, folder, name, status in _walk(descriptor, frozenset(ignore)):
            entry = _entry(folder, name, status)
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                groups[status.st_dev, status.st_ino] = min(path, groups.get((status.st_dev, status.st_ino), path))
                entry = replace(entry, links=b"%d:%d" % (status.st_dev, status.st_ino))
            found[path] = entry
    finally:
        os.close(descriptor)
    names = {b"%d:%d" % key: first for key, first in groups.items()}
    return {path: replace(entry, links=names.get(entry.links, b"")) for path, entry in found.items()}


def snapshot_array(roots: Sequence[Path], *, ignore: Iterable[bytes] = (b"lost+found",)) -> Originals:
    """Return the tree that the disks form together; of a folder on several disks the newest stands.

    Raises AssertionError when anything but a folder is on two disks.
    """
    merged: Originals = {}
    owner: dict[bytes, Path] = {}
    for root in roots:
        for path, entry in snapshot(root, ignore=ignore).items():
            known = merged.get(path)
            if known is not None and {known.kind, entry.kind} != {"folder"}:
                raise AssertionError(f"{path!r} is on two disks: {owner[path]} and {root}")
            if known is None or entry.mtime_ns > known.mtime_ns:
                merged[path], owner[path] = entry, root
    return merged


def difference(
    before: Mapping[bytes, Entry], after: Mapping[bytes, Entry], *, ignore_folder_times: bool = False
) -> list[str]:
    """Return one line per thing that is not as it was, nothing when all is equal.

    Space that the file systems count differently is no difference; holes that were filled are.
    """
    lines = [f"{path!r} is gone" for path in before.keys() - after.keys()]
    lines += [f"{path!r} appeared" for path in after.keys() - before.keys()]
    for path in before.keys() & after.keys():
        lines += [f"{path!r}: {change}" for change in _changes(before[path], after[path], ignore_folder_times)]
    return sorted(lines)


def _changes(before: Entry, after: Entry, ignore_folder_times: bool) -> Iterator[str]:
    skipped = {"allocated", "data_size"}
    if ignore_folder_times and before.kind == "folder":
        skipped.add("mtime_ns")
    for field in fields(Entry):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name not in skipped and old != new:
            yield f"{field.name} was {old!r}, is {new!r}"
    if after.data_size > before.data_size + HOLES_TOLERANCE:
        yield f"holes were filled: {before.data_size} bytes of data became {after.data_size}"


def _walk(root: int, ignore: frozenset[bytes]) -> Iterator[tuple[bytes, int, bytes, os.stat_result]]:
    """Yield path, descriptor of its folder, name and status; any depth, with one folder open at a time."""
    waiting = [b""]
    while waiting:
        relative = waiting.pop()
        folder = _open_folder(root, relative)
        try:
            for name in sorted(map(os.fsencode, os.listdir(folder))):
                if not relative and name in ignore:
                    continue
                path = relative + b"/" + name if relative else name
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(path)
                yield path, folder, name, status
        finally:
            os.close(folder)


def _open_folder(root: int, relative: bytes) -> int:
    """Open a folder at any depth: in steps of some names, since one path holds at most 4,095 bytes (path_resolution(7))."""
    folder = os.dup(root)
    parts = relative.split(b"/") if relative else []
    for start in range(0, len(parts), 8):
        step = b"/".join(parts[start : start + 8])
        deeper = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        os.close(folder)
        folder = deeper
    return folder


def _entry(folder: int, name: bytes, status: os.stat_result) -> Entry:
    entry = Entry(
        kind=_KINDS[stat.S_IFMT(status.st_mode)],
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        xattrs=_xattrs(b"/proc/self/fd/%d/" % folder + name),
    )
    describe = _DESCRIBE.get(entry.kind)
    return describe(entry, folder, name, status) if describe else replace(entry, device=status.st_rdev)


def _folder(entry: Entry, folder: int, name: bytes, status: os.stat_result) -> Entry:
    return entry


def _symlink(entry: Entry, folder: int, name: bytes, status: os.stat_result) -> Entry:
    return replace(entry, target=os.readlink(name, dir_fd=folder), link_count=status.st_nlink)


def _file(entry: Entry, folder: int, name: bytes, status: os.stat_result) -> Entry:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        return replace(
            entry,
            size=status.st_size,
            content=_digest(descriptor),
            data_size=min(_data_size(descriptor, status.st_size), status.st_blocks * 512),
            allocated=status.st_blocks * 512,
            link_count=status.st_nlink,
        )
    finally:
        os.close(descriptor)


_Describe = Callable[[Entry, int, bytes, os.stat_result], Entry]
_DESCRIBE: dict[str, _Describe] = {"folder": _folder, "symlink": _symlink, "file": _file}


def _digest(descriptor: int) -> str:
    digest = xxhash.xxh3_128()
    while chunk := os.read(descriptor, CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _data_size(descriptor: int, size: int) -> int:
    """Return the bytes outside holes (lseek(2), SEEK_DATA and SEEK_HOLE)."""
    total = position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole up to the end
            break
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        total += position - start
    return total


def _xattrs(path: bytes) -> tuple[tuple[str, bytes], ...]:
    names = sorted(set(os.listxattr(path, follow_symlinks=False)).difference(_VIEWS_OF_ACLS))
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
