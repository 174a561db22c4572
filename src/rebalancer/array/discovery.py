"""Which disks form the array, and whether a disk still is what it was."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from rebalancer import linux
from rebalancer.array import directories, inspection, mergerfs, mounts
from rebalancer.array.candidate import Candidate
from rebalancer.array.disk import Disk, DiskStatus
from rebalancer.array.mounts import MountTable
from rebalancer.array.unraid import disks as unraid
from rebalancer.errors import RefusedError, UsageError
from rebalancer.settings import Settings, check_path


def find_disks(*, root: Path, settings: Settings, named: Sequence[str]) -> tuple[Disk, ...]:
    """Return every disk of the array, the unusable ones with their reason.

    The first of these that names any: the command line, the settings' disks, the settings' pool, Unraid, the only
    mergerfs pool. Raises UsageError when nothing names disks, and for names or folders that contradict each other.
    """
    table = mounts.read(root)
    found = _candidates(root, settings, named, table)
    said = _as_unraid_says(found, root) if unraid.is_unraid(root) else mergerfs.as_pools_say(found, table)
    candidates = directories.with_names(said)
    _refuse_overlapping_folders(candidates)
    disks = [inspection.inspect(candidate, table, root=root) for candidate in candidates]
    return _without_twins(disks, table)


def measure(disk: Disk, *, root: Path) -> Disk:
    """Return the disk with its sizes as they are now; refused with the reason when it became unusable.

    A disk that was refused is returned as it is.
    """
    if not disk.is_usable:
        return disk
    fresh = inspection.inspect(_candidate_again(disk, root), mounts.read(root), root=root)
    return msgspec.structs.replace(
        disk,
        size_bytes=fresh.size_bytes or disk.size_bytes,
        used_bytes=fresh.used_bytes if fresh.is_usable else disk.used_bytes,
        free_bytes=fresh.free_bytes,
        status=fresh.status,
        reason=fresh.reason,
    )


def flush(disk: Disk) -> None:
    """Let the file system decide about what it has only promised to write, so that its figures can be believed.

    xfs sets space aside for files that grow and gives the rest back when they are written (delayed allocation).
    """
    try:
        fd = os.open(disk.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # whoever looks at the disk next says what is wrong with it
        return
    try:
        linux.sync_file_system(fd)
    except OSError:  # an error of somebody else's writes; ours are flushed and judged one by one
        return
    finally:
        os.close(fd)


def confirm(disk: Disk, *, root: Path) -> None:
    """Return when the disk is what it was: the same folder of the same mount, and nothing speaks against it.

    Raises RefusedError with the reason otherwise. No tree is read, so it may be asked before every unit.
    """
    if not disk.is_usable:
        raise RefusedError(disk.reason)
    table, candidate = mounts.read(root), _candidate_again(disk, root)
    if objection := inspection.object_by_words(candidate, table, root=root):
        raise RefusedError(objection[1])
    try:
        sight = inspection.look(candidate.path, table)
    except OSError as error:
        raise RefusedError(f"the disk {disk.name} is gone: {disk.path}: {error.strerror}") from error
    os.close(sight.fd)
    if objection := inspection.object_to_sight(candidate.path, sight, is_folder=disk.is_folder):
        raise RefusedError(objection[1])
    source = "" if sight.mount is None else sight.mount.source
    if (sight.device, sight.inode, source) != (disk.device, disk.inode, disk.mount_source):
        raise RefusedError(f"another file system or folder is now at {disk.path} than when the plan was made")


def _candidates(root: Path, settings: Settings, named: Sequence[str], table: MountTable) -> tuple[Candidate, ...]:
    if named:
        return directories.from_command_line(named, settings)
    if settings.disks:
        return directories.from_settings(settings)
    if settings.pool is not None:
        return mergerfs.of_pool(check_path(settings.pool, what="pool"), table)
    if not unraid.is_unraid(root):
        return mergerfs.discover(table)
    if found := unraid.data_disks(root):
        return found
    raise UsageError("Unraid lists no data disks; name the disks with --disk PATH, or in config.toml")


def _as_unraid_says(candidates: Iterable[Candidate], root: Path) -> tuple[Candidate, ...]:
    """Hold against a disk what Unraid says of it, also when a person named it."""
    if not unraid.is_unraid(root):
        return tuple(candidates)
    words = {disk.path: disk for disk in unraid.data_disks(root)}
    return tuple(_held_against(candidate, words.get(candidate.path), root) for candidate in candidates)


def _held_against(candidate: Candidate, word: Candidate | None, root: Path) -> Candidate:
    if candidate.status is not DiskStatus.OK:
        return candidate
    if word is None:
        reason = unraid.stranger(candidate.path, root)
        return replace(candidate, status=DiskStatus.UNSUITABLE, reason=reason) if reason else candidate
    return candidate if word.status is DiskStatus.OK else replace(candidate, status=word.status, reason=word.reason)


def _candidate_again(disk: Disk, root: Path) -> Candidate:
    limit = disk.size_bytes if disk.is_folder else None
    return _as_unraid_says((Candidate(path=Path(disk.path), name=disk.name, size_limit=limit),), root)[0]


def _refuse_overlapping_folders(candidates: Sequence[Candidate]) -> None:
    for one in candidates:
        for other in candidates:
            if one.path in other.path.parents and (one.size_limit is not None or other.size_limit is not None):
                raise UsageError(f"the disk {other.path} lies inside the disk {one.path}; a folder can be in one only")


def _without_twins(disks: Iterable[Disk], table: MountTable) -> tuple[Disk, ...]:
    """Refuse a disk that is a second way to the space of an earlier one, or lies inside another."""
    judged: list[Disk] = []
    disks = tuple(disks)
    for disk in disks:
        reason = ""
        if disk.is_usable:
            usable = [earlier for earlier in judged if earlier.is_usable]
            reason = _nested(disk, disks) or _shared(disk, usable, table)
        twin = msgspec.structs.replace(disk, status=DiskStatus.UNSUITABLE, reason=reason)
        judged.append(twin if reason else disk)
    return tuple(judged)


def _nested(disk: Disk, disks: Sequence[Disk]) -> str:
    outer = next((other for other in disks if Path(other.path) in Path(disk.path).parents), None)
    return f"{disk.path} lies inside the disk {outer.path}" if outer else ""


def _shared(disk: Disk, earlier: Sequence[Disk], table: MountTable) -> str:
    for other in earlier:
        if disk.path == other.path or (
            not (disk.is_folder and other.is_folder) and _spaces(disk, table) & _spaces(other, table)
        ):
            return f"{disk.path} is the same file system as {other.path}"
    return ""


def _spaces(disk: Disk, table: MountTable) -> set[int | str]:
    """Return what tells the space of a disk: its file system's device, its block device or its ZFS pool."""
    mount = table.over(Path(disk.path))
    spaces: set[int | str] = {disk.device} if table.is_this_machine else set()
    if mount is None:
        return spaces
    if mount.filesystem == "zfs":
        return {*spaces, mount.device, f"zfs:{mount.source.split('/')[0]}"}
    return {*spaces, mount.device, *([mount.source] if mount.source.startswith("/dev/") else [])}
