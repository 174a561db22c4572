"""Whether every file is still there exactly once and unchanged: looked at before and after, independent of the mover."""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rebalancer import names
from rebalancer.cancel import Cancel

_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Everything about a file that must not change when it moves; paths are relative to the disk."""

    digest: bytes  # xxh3-128 of the content
    size: int
    mode: int
    owner: tuple[int, int]
    modified_ns: int
    data: tuple[tuple[int, int], ...]  # where it has data; the rest are holes
    links: frozenset[bytes] = frozenset()  # every name of the same file, itself included


Evidence = Mapping[bytes, tuple[Fingerprint, ...]]  # path -> one fingerprint per disk that has it


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison found; the numbers are of files."""

    files: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    changed: tuple[str, ...]
    appeared: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.changed or self.appeared)


def collect(disks: Collection[Path], cancel: Cancel) -> Evidence:
    """Read every file of the disks; raises CancelledError when asked to stop."""
    found: dict[bytes, list[Fingerprint]] = defaultdict(list)
    for disk in disks:
        for path, fingerprint in _read_disk(os.fsencode(disk), cancel).items():
            found[path].append(fingerprint)
    return {path: tuple(fingerprints) for path, fingerprints in found.items()}


def compare(before: Evidence, after: Evidence) -> Verdict:
    return Verdict(
        files=len(before),
        lost=_displayed(path for path in before if path not in after),
        doubled=_displayed(path for path, fingerprints in after.items() if len(fingerprints) > 1),
        changed=_displayed(path for path in before if path in after and before[path][0] not in after[path]),
        appeared=_displayed(path for path in after if path not in before),
    )


def _displayed(paths: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(names.display(path) for path in sorted(paths))


def _read_disk(root: bytes, cancel: Cancel) -> dict[bytes, Fingerprint]:
    found: dict[bytes, Fingerprint] = {}
    inodes: dict[int, set[bytes]] = defaultdict(set)
    for folder, _folders, files in os.walk(root):
        for name in files:
            cancel.check()
            full = os.path.join(folder, name)
            path = os.path.relpath(full, root)
            found[path], inode = _read(full)
            inodes[inode].add(path)
    groups = {path: frozenset(group) for group in inodes.values() for path in group}
    return {path: replace(fingerprint, links=groups[path]) for path, fingerprint in found.items()}


def _read(path: bytes) -> tuple[Fingerprint, int]:
    import xxhash

    digest = xxhash.xxh3_128()
    with open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        data = _data(file.fileno(), status.st_size)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    fingerprint = Fingerprint(
        digest=digest.digest(),
        size=status.st_size,
        mode=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid),
        modified_ns=status.st_mtime_ns,
        data=data,
    )
    return fingerprint, status.st_ino


def _data(fd: int, size: int) -> tuple[tuple[int, int], ...]:
    found = []
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole follows
                break
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        found.append((start, end))
    return tuple(found)
