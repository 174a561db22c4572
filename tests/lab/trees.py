"""Trees of files as they are on a NAS after ten years: big and small, sparse, linked, oddly named, with every attribute."""

import errno
import os
import random
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 2**20
SHARES = ("media", "documents", "photos")
FILES_PER_FOLDER = 25

ODD_NAMES = (
    b"two\nlines.txt",
    b"not-utf8-\xff\xfe.bin",
    b"-rf",
    b"--help",
    b" spaces at both ends ",
    b"ends with a dot.",
    b"escape \x1b[31mred\x1b[0m",
    "caf\u00e9 composed".encode(),
    "cafe\u0301 decomposed".encode(),
    b"quote ' \" ` $HOME *?[a]",
    b"back\\slash\ttab",
    b"Twin.TXT",
    b"twin.txt",
    b".hidden",
    b"n" * 255,
)

_SIZES = ((0, 0, 2), (1, 4_096, 45), (4_096, 65_536, 35), (65_536, MIB, 14), (MIB, 5 * MIB, 4))  # from, to, weight
_EARLIEST, _LATEST = 1_100_000_000, 1_700_000_000  # seconds since 1970
_OLD = (-1, 0, 1)  # modification times that programs trip over
_HOLE = 8 * MIB
_NET_RAW = 1 << 13  # capabilities(7)


def write_tree(root: Path, *, files: int = 200, seed: int = 1, total: int | None = None, plain: bool = False) -> None:
    """Write a realistic mix of shares, folders and files below a root; the same seed gives the same tree.

    Names contain the seed where trees of several disks could meet. ``total`` scales the sizes so that the
    ordinary files together have about that many bytes. ``plain`` leaves out all that is odd. Without root,
    owners, capabilities and files that nobody may read are left out; so is what the file system cannot hold.
    """
    writer = _Writer(seed)
    folders = [root / SHARES[n % 3] / f"folder {seed}-{n:03}" for n in range(max(1, files // FILES_PER_FOLDER))]
    sizes = list(writer.sizes(files, total))
    for number, size in enumerate(sizes):
        folder = folders[number % len(folders)]
        if number % 7 == 0:
            folder = folder / f"part {number % 5}"
        writer.file(folder / f"file {number:05}.dat", size)
    if not plain:
        _write_oddities(writer, folders[0].parent / f"oddities {seed}")
        writer.file(root / SHARES[0] / f"loose file {seed}.iso", 300_000)
    writer.finish(root)


def write_deep_folders(root: Path, depth: int) -> None:
    """Write a chain of folders with a file at its end, for a disk that is unmounted: no path reaches that deep."""
    root.mkdir(parents=True)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("deeper", dir_fd=folder)
        inside = os.open("deeper", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        os.close(folder)
        folder = inside
    with open(os.open("bottom", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=folder), "wb") as file:
        file.write(b"found")
    os.close(folder)


def _write_oddities(writer: "_Writer", folder: Path) -> None:
    for name in ODD_NAMES:
        writer.file(folder / "names" / os.fsdecode(name), 777)
    writer.sparse(folder / "sparse" / "disk image.raw")
    writer.hard_links(folder / "links" / "first", folder / "links" / "second", folder / "links" / "deeper" / "third")
    writer.symlinks(folder / "symlinks")
    writer.attributes(folder / "attributes")
    for empty in ("empty", "empty/inside"):
        (folder / empty).mkdir(parents=True)
    if os.geteuid() == 0:
        writer.privileged(folder / "privileged")


class _Writer:
    """Writes files of random content, with times and owners; all randomness comes from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - sample content, no secret

    def sizes(self, count: int, total: int | None) -> Iterator[int]:
        ranges = self._random.choices(_SIZES, [weight for *_, weight in _SIZES], k=count)
        sizes = [self._random.randint(low, high) for low, high, _ in ranges]
        factor = total / max(1, sum(sizes)) if total is not None else 1
        return (int(size * factor) for size in sizes)

    def file(self, path: Path, size: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for start in range(0, size, MIB):
                file.write(self._random.randbytes(min(MIB, size - start)))
        path.chmod(self._random.choice((0o644, 0o600, 0o664, 0o755, 0o440)))
        return path

    def sparse(self, path: Path) -> None:
        """Data, a hole, data, a hole up to the end."""
        self.file(path, 5_000)
        path.chmod(0o600)
        with path.open("r+b") as file:
            file.seek(_HOLE)
            file.write(self._random.randbytes(5_000))
            file.truncate(2 * _HOLE)
        with path.with_name("only a hole").open("xb") as file:
            file.truncate(_HOLE)

    def hard_links(self, first: Path, *others: Path) -> None:
        self.file(first, 20_000)
        for other in others:
            other.parent.mkdir(parents=True, exist_ok=True)
            other.hardlink_to(first)

    def symlinks(self, folder: Path) -> None:
        self.file(folder / "target", 10)
        (folder / "relative").symlink_to("target")
        (folder / "to a folder").symlink_to("../names")
        (folder / "leads nowhere").symlink_to("/nonexistent/place")
        (folder / "leads out").symlink_to("../../../../../etc/passwd")

    def attributes(self, folder: Path) -> None:
        described = self.file(folder / "described", 100)
        listed = self.file(folder / "listed", 100)
        listed.chmod(0o640)
        with _where_supported():
            os.setxattr(described, "user.comment", b"kept for ever\0\xff")
            os.setxattr(described, "user.long", self._random.randbytes(1_000))
            os.setxattr(folder, "user.folder", b"also folders")
        with _where_supported():
            os.setxattr(listed, "system.posix_acl_access", _acl(user=7, named=5, group=4, mask=5))
            os.setxattr(folder, "system.posix_acl_default", _acl(user=7, named=7, group=5, mask=7))

    def privileged(self, folder: Path) -> None:
        self.file(folder / "nobody may read this", 500).chmod(0)
        capable = self.file(folder / "capable", 500)
        owned = self.file(folder / "owned", 500)
        os.chown(owned, 54_321, 12_345)
        owned.chmod(0o6755)  # chown(2) clears set-user-ID: owner first
        (folder / "owned symlink").symlink_to("owned")
        os.lchown(folder / "owned symlink", 99, 100)
        (folder / "shared").mkdir()
        os.chown(folder / "shared", 99, 100)
        (folder / "shared").chmod(0o3775)
        with _where_supported():
            os.setxattr(capable, "security.capability", struct.pack("<5I", 0x02000001, _NET_RAW, 0, 0, 0))
        with _where_supported():
            os.setxattr(folder / "owned", "trusted.note", b"seen by root only")

    def finish(self, root: Path) -> None:
        """Give everything its own time, to the nanosecond: files first, then folders from the deepest."""
        for path in sorted(_everything(root), reverse=True):
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1 and status.st_mtime < _LATEST:
                continue  # another name of a file that has its time
            seconds = (
                self._random.choice(_OLD) if self._random.random() < 0.01 else self._random.randint(_EARLIEST, _LATEST)
            )
            moment = seconds * 10**9 + self._random.randrange(10**9)
            os.utime(path, ns=(moment, moment), follow_symlinks=False)


def _everything(root: Path) -> Iterator[bytes]:
    waiting = [os.fsencode(root / share) for share in SHARES if (root / share).is_dir()]
    yield from waiting
    while waiting:
        with os.scandir(waiting.pop()) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    waiting.append(item.path)
                yield item.path


@contextmanager
def _where_supported() -> Iterator[None]:
    """Leave out what the file system cannot hold; any other refusal is an error."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def _acl(*, user: int, named: int, group: int, mask: int) -> bytes:
    """Return a POSIX ACL as the kernel keeps it in an xattr (linux/posix_acl_xattr.h): version 2, tag, bits, id."""
    undefined = 0xFFFFFFFF
    entries = ((0x01, user, undefined), (0x02, named, 1_000), (0x04, group, undefined), (0x10, mask, undefined))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in (*entries, (0x20, 0, undefined)))
