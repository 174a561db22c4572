"""The disks below a mergerfs pool: its branches, as the running mergerfs knows them."""

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rebalancer.array.candidate import Candidate
from rebalancer.array.disk import DiskStatus
from rebalancer.array.mounts import Mount, MountTable
from rebalancer.errors import UsageError

FILE_SYSTEM = "fuse.mergerfs"
_CONTROL = ".mergerfs"
_ATTRIBUTES = ("user.mergerfs.branches", "user.mergerfs.srcmounts")
_LEAST_FREE = "user.mergerfs.minfreespace"
_SIZE = re.compile(r"(\d+)([BKMGT]?)", re.IGNORECASE)
_BRANCH = re.compile(r"(.+?)(?:=(RW|RO|NC)(?:,(\d+)([BKMGT]?))?)?", re.DOTALL | re.IGNORECASE)
_POWERS = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4}  # mergerfs counts in powers of 1024


def discover(table: MountTable) -> tuple[Candidate, ...]:
    """Return the branches of the only pool; raises UsageError, saying what to do, when there is none or several."""
    points = sorted({mount.point for mount in table.mounts if mount.filesystem == FILE_SYSTEM})
    if not points:
        raise UsageError(
            "no disks were found: this is no Unraid array and no mergerfs pool is mounted; "
            "name the disks with --disk PATH, or in config.toml"
        )
    if len(points) > 1:
        listed = ", ".join(map(str, points))
        raise UsageError(f"several mergerfs pools are mounted ({listed}); set pool in config.toml, or name --disk PATH")
    return of_pool(points[0], table)


def of_pool(point: Path, table: MountTable) -> tuple[Candidate, ...]:
    """Return the branches of the pool mounted there; raises UsageError when none is, or they cannot be learned."""
    mount = table.at(point)
    if mount is None or mount.filesystem != FILE_SYSTEM:
        raise UsageError(f"pool: no mergerfs is mounted at {point}")
    if branches := _branches(mount):
        return branches
    raise UsageError(f"the branches of the pool {point} cannot be read; name the disks with --disk PATH")


def as_pools_say(candidates: Iterable[Candidate], table: MountTable) -> tuple[Candidate, ...]:
    """Hold against disks that a person named what the pools say of which they are branches: mode and least free space.

    Where several pools share a branch, all of them hold.
    """
    found = tuple(candidates)
    for mount in table.mounts:
        if mount.filesystem == FILE_SYSTEM:
            branches = {branch.path: branch for branch in _branches(mount)}
            found = tuple(_held_against(candidate, branches.get(candidate.path)) for candidate in found)
    return found


def _held_against(candidate: Candidate, branch: Candidate | None) -> Candidate:
    if branch is None:
        return candidate
    is_worse = candidate.status is DiskStatus.OK and branch.status is not DiskStatus.OK
    return replace(
        candidate,
        status=branch.status if is_worse else candidate.status,
        reason=branch.reason if is_worse else candidate.reason,
        receives=candidate.receives and branch.receives,
        gives=candidate.gives and branch.gives,
        floor=max(candidate.floor, branch.floor),
    )


def _branches(mount: Mount) -> tuple[Candidate, ...]:
    """Return the branches of a mounted pool; one without a least free space of its own has the pool's."""
    for text in _descriptions(mount):
        if branches := parse_branches(text):
            usual = _least_free(mount)
            return tuple(replace(branch, floor=branch.floor or usual) for branch in branches)
    return ()


def _least_free(mount: Mount) -> int:
    """Return the pool's ``minfreespace`` in bytes; 0 when it cannot be asked."""
    try:
        match = _SIZE.fullmatch(os.fsdecode(os.getxattr(mount.point / _CONTROL, _LEAST_FREE)))
    except OSError:
        return 0
    return _bytes(match[1], match[2]) if match else 0


def parse_branches(text: str) -> tuple[Candidate, ...]:
    """Return the branches of ``/a=RW:/b=NC,10G``; nothing when that is no list of absolute paths."""
    branches = [_BRANCH.fullmatch(part) for part in text.split(":")]
    found = [_candidate(match) for match in branches if match is not None and match[1].startswith("/")]
    return tuple(found) if len(found) == len(branches) else ()


def _descriptions(mount: Mount) -> list[str]:
    """Ask the running mergerfs first: what mountinfo shows may be a shortened name, ``a:b`` for ``/mnt/a:/mnt/b``."""
    found = []
    for attribute in _ATTRIBUTES:
        try:
            found.append(os.fsdecode(os.getxattr(mount.point / _CONTROL, attribute)))
        except OSError:  # an old mergerfs, or xattr=noattr: the next way is tried
            continue
    return [*found, mount.source]


def _candidate(match: re.Match[str]) -> Candidate:
    path = Path(os.path.normpath(match[1]))
    mode = (match[2] or "RW").upper()
    floor = _bytes(match[3], match[4]) if match[3] else 0
    if mode == "RO":  # nothing can be removed from it either, so it does not give
        reason = f"{path} is a read-only branch of the pool (RO)"
        return Candidate(path=path, status=DiskStatus.READ_ONLY, reason=reason, receives=False, gives=False)
    return Candidate(path=path, floor=floor, receives=mode != "NC")


def _bytes(number: str, unit: str) -> int:
    return int(number) * int(1024 ** _POWERS[unit.upper()])
