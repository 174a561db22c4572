"""What is moved in the campaigns: small trees, one for each way through the worker."""

import os
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
_MOMENT = 1_500_000_000 * 10**9 + 123_456_789  # nanoseconds since 1970


@dataclass(frozen=True, slots=True)
class Scenario:
    """Units below a source disk, and what may stand at the destination already. Written the same way every time."""

    name: str
    write: Callable[[Path, Path], None]
    units: tuple[str, ...] = ("s/u",)

    def __str__(self) -> str:
        return self.name


def _put(path: Path, size: int = 5_000, *, mode: int = 0o640) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(os.fsencode(path.name)).randbytes(size))  # noqa: S311 - sample content
    path.chmod(mode)
    os.utime(path, ns=(_MOMENT, _MOMENT))
    return path


def _one_file(source: Path, _destination: Path) -> None:
    _put(source / "s/u/it", 40_000)


def _three_files(source: Path, _destination: Path) -> None:
    for name in ("one", "deep/two", "deep/er/three"):
        _put(source / "s/u" / name)


def _hard_links(source: Path, _destination: Path) -> None:
    first = _put(source / "s/u/first")
    for name in ("second", "deep/third"):
        (source / "s/u" / name).parent.mkdir(exist_ok=True)
        (source / "s/u" / name).hardlink_to(first)


def _equal_already_there(source: Path, destination: Path) -> None:
    for root in (source, destination):
        _put(root / "s/u/both")
        first = _put(root / "s/u/linked")
        if root == source:
            (root / "s/u/linked too").hardlink_to(first)
    _put(source / "s/u/only here")


def _symbolic_links(source: Path, _destination: Path) -> None:
    _put(source / "s/u/target")
    for name, target in (("relative", "target"), ("leads out", "/etc/passwd"), ("nowhere", "x" * 200)):
        (source / "s/u" / name).symlink_to(target)
        os.utime(source / "s/u" / name, ns=(_MOMENT, _MOMENT), follow_symlinks=False)


def _holes(source: Path, _destination: Path) -> None:
    path = _put(source / "s/u/image", 5_000)
    with path.open("r+b") as file:
        file.seek(2 * MIB + 4096)
        file.write(b"after the hole")
        file.truncate(4 * MIB)
    with (source / "s/u/empty space").open("xb") as file:
        file.truncate(MIB)
    for name in ("image", "empty space"):
        os.utime(source / "s/u" / name, ns=(_MOMENT, _MOMENT))


def _attributes(source: Path, _destination: Path) -> None:
    owned = _put(source / "s/u/owned")
    os.chown(owned, 54_321, 12_345)
    owned.chmod(0o6750)
    listed = _put(source / "s/u/listed")
    entries = (
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 5, 1_000),
        (0x04, 4, 0xFFFFFFFF),
        (0x10, 5, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    )
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(listed, "system.posix_acl_access", acl)
    os.setxattr(listed, "trusted.note", b"kept")
    os.setxattr(owned, "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
    os.setxattr(source / "s/u", "trusted.folder", b"kept too")
    for path in (owned, listed):
        os.utime(path, ns=(_MOMENT, _MOMENT))


def _many_small_files(source: Path, _destination: Path) -> None:
    for number in range(12):
        _put(source / f"s/u/folder {number % 3}/file {number}", 700 * number)


def _large_file(source: Path, _destination: Path) -> None:
    _put(source / "s/u/film", 9 * MIB + 77)
    _put(source / "s/u/subtitles", 900)


def _empty_folders(source: Path, _destination: Path) -> None:
    (source / "s/u/empty/inside").mkdir(parents=True)
    (source / "s/u/other").mkdir(mode=0o2775)
    _put(source / "s/u/it")


def _several_units(source: Path, destination: Path) -> None:
    _put(source / "s/u/it")
    _put(source / "s/v/deep/it")
    _put(source / "s/loose")
    _put(destination / "s/other/unit")


def _odd_names(source: Path, _destination: Path) -> None:
    for name in (b"two\nlines", b"not-utf8-\xff", b"-rf", b"n" * 255, b"escape \x1b[31m"):
        _put(source / "s/u" / os.fsdecode(name), 300)


SCENARIOS = (
    Scenario("one file", _one_file),
    Scenario("three files", _three_files),
    Scenario("hard links", _hard_links),
    Scenario("equal already there", _equal_already_there),
    Scenario("symbolic links", _symbolic_links),
    Scenario("holes", _holes),
    Scenario("attributes", _attributes),
    Scenario("many small files", _many_small_files),
    Scenario("large file", _large_file),
    Scenario("empty folders", _empty_folders),
    Scenario("several units", _several_units, ("s/u", "s/v", "s/loose")),
    Scenario("odd names", _odd_names),
)
QUICK = SCENARIOS[:4]
