"""Looking at one candidate: is it what it must be, and how large and full is it."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rebalancer.array.candidate import Candidate
from rebalancer.array.disk import Disk, DiskStatus
from rebalancer.array.mounts import Mount, MountTable
from rebalancer.array.usage import allocated_bytes

_UNION = frozenset({"fuse.mergerfs", "fuse.shfs", "fuse.unionfs", "fuse.unionfs-fuse", "overlay", "aufs", "unionfs"})
_REMOTE = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "ceph", "afs", "davfs", "fuse.sshfs", "fuse.rclone",
    "fuse.s3fs", "fuse.davfs", "fuse.davfs2", "fuse.glusterfs", "fuse.ceph", "fuse.curlftpfs", "fuse.gvfsd-fuse",
})  # fmt: skip
_NO_OWNERS = frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "fuse.ntfs-3g", "fuse.exfat"})
_USER_VIEWS = ("mnt/user", "mnt/user0", "mnt/rootshare")

Objection = tuple[DiskStatus, str]


@dataclass(frozen=True, slots=True)
class Sight:
    """A folder as it is now. ``fd`` is open for the path only (O_PATH) and belongs to whoever looked."""

    fd: int
    mount: Mount | None
    device: int
    inode: int


def inspect(candidate: Candidate, table: MountTable, *, root: Path) -> Disk:
    """Return the candidate as a disk: usable and measured, or with the reason why not. Never raises for a bad disk."""
    disk = _unmeasured(candidate, table)
    objection = object_by_words(candidate, table, root=root)
    if objection is not None:
        return _refused(disk, objection)
    try:
        sight = look(candidate.path, table)
    except OSError as error:
        return _refused(disk, _from_error(candidate.path, error))
    try:
        return _judged(disk, candidate, sight)
    except OSError as error:
        return _refused(disk, _from_error(candidate.path, error))
    finally:
        os.close(sight.fd)


def object_by_words(candidate: Candidate, table: MountTable, *, root: Path) -> Objection | None:
    """Judge by the path and the list of mounts alone: a dead network mount or a broken pool hangs whoever touches it."""
    path = candidate.path
    if any(path.is_relative_to(root / view) for view in _USER_VIEWS):
        return DiskStatus.UNION, f"{path} is a view over the disks; name the disks themselves"
    mount = table.over(path)
    is_folder = candidate.size_limit is not None
    objection = None if mount is None else _object_to_file_system(path, mount.filesystem, is_folder=is_folder)
    if objection is None and candidate.status is not DiskStatus.OK:
        return candidate.status, candidate.reason
    return objection


def look(path: Path, table: MountTable) -> Sight:
    """Open a folder without following any symlink; raises OSError. The caller closes ``fd``."""
    if stat.S_ISLNK(path.lstat().st_mode) or path != Path(os.path.realpath(path)):
        raise OSError(0, f"is reached through a symbolic link; name the real path {os.path.realpath(path)}")
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        return Sight(fd, table.holding(fd, path), status.st_dev, status.st_ino)
    except BaseException:
        os.close(fd)
        raise


def object_to_sight(path: Path, sight: Sight, *, is_folder: bool) -> Objection | None:
    """Judge a folder that was opened: the right kind of mount, a mount point, writable."""
    mount = sight.mount
    if mount is None:
        return DiskStatus.NOT_MOUNTED, f"what {path} is mounted from is unknown"
    if objection := _object_to_file_system(path, mount.filesystem, is_folder=is_folder):
        return objection
    if not is_folder and mount.point != path:
        return DiskStatus.NOT_MOUNTED, (
            f"{path} is not a mount point; data written there would land on the disk below it"
        )
    if mount.is_read_only:
        return DiskStatus.READ_ONLY, f"{path} is mounted read-only"
    return None


def _judged(disk: Disk, candidate: Candidate, sight: Sight) -> Disk:
    disk = msgspec.structs.replace(disk, device=sight.device, inode=sight.inode)
    if sight.mount is not None:
        disk = msgspec.structs.replace(disk, filesystem=sight.mount.filesystem, mount_source=sight.mount.source)
    if objection := object_to_sight(candidate.path, sight, is_folder=disk.is_folder):
        return _refused(disk, objection)
    size, used, free = _sizes(sight.fd, candidate.size_limit)
    if size == 0:
        return _refused(disk, (DiskStatus.UNSUITABLE, f"{candidate.path} has no size"))
    own = 0 if candidate.reserve is None else candidate.reserve.of(size)
    reserve = None if candidate.reserve is None and not candidate.floor else max(own, candidate.floor)
    return msgspec.structs.replace(disk, size_bytes=size, used_bytes=used, free_bytes=free, reserve_bytes=reserve)


def _sizes(fd: int, limit: int | None) -> tuple[int, int, int]:
    """Return size, used and free bytes.

    Root may use the blocks that ext4 holds back for it (f_bfree), others may not (f_bavail): statvfs(3).
    """
    status = os.fstatvfs(fd)
    free = (status.f_bfree if os.geteuid() == 0 else status.f_bavail) * status.f_frsize
    if limit is None:
        return status.f_blocks * status.f_frsize, (status.f_blocks - status.f_bfree) * status.f_frsize, free
    used = allocated_bytes(fd)
    return limit, used, max(0, min(limit - used, free))


def _object_to_file_system(path: Path, filesystem: str, *, is_folder: bool) -> Objection | None:
    if filesystem == "overlay" and is_folder:  # the root of a container, where a sample array may live
        return None
    if filesystem in _UNION:
        return DiskStatus.UNION, f"{path} is a union over other folders ({filesystem}); name the disks below it"
    if filesystem in _REMOTE:
        return DiskStatus.REMOTE, f"{path} is on another machine ({filesystem})"
    if filesystem in _NO_OWNERS:
        return DiskStatus.UNSUITABLE, f"{path} cannot keep owners and permissions ({filesystem})"
    if filesystem.startswith("fuse"):  # another view of files that are elsewhere, for all we know
        return DiskStatus.UNSUITABLE, f"{path} is a FUSE file system of which nothing is known ({filesystem})"
    return None


def _unmeasured(candidate: Candidate, table: MountTable) -> Disk:
    mount = table.over(candidate.path)
    return Disk(
        name=candidate.name,
        path=str(candidate.path),
        size_bytes=0,
        used_bytes=0,
        filesystem="" if mount is None or mount.point != candidate.path else mount.filesystem,
        is_folder=candidate.size_limit is not None,
        receives=candidate.receives,
        gives=candidate.gives,
    )


def _refused(disk: Disk, objection: Objection) -> Disk:
    return msgspec.structs.replace(disk, status=objection[0], reason=objection[1])


def _from_error(path: Path, error: OSError) -> Objection:
    if isinstance(error, FileNotFoundError):
        return DiskStatus.NOT_MOUNTED, f"{path} does not exist"
    if isinstance(error, NotADirectoryError):
        return DiskStatus.UNSUITABLE, f"{path} is not a folder"
    if error.errno == 0:
        return DiskStatus.UNSUITABLE, f"{path} {error.strerror}"
    return DiskStatus.UNSUITABLE, f"{path} cannot be looked at: {(error.strerror or str(error)).lower()}"
