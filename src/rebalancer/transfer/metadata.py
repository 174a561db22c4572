"""What belongs to a file besides its bytes: owner, mode, ACLs, extended attributes, capabilities, times."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rebalancer import linux
from rebalancer.transfer.failure import ChangedError, FileLeftError

_CAPABILITY = "security.capability"
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")
_SHADOWS = {"trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT"}  # how xfs shows ACLs a second time to root
_NONE_HERE = {errno.EOPNOTSUPP, errno.ENOSYS}
_REPLACED = "another file took its name meanwhile"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Everything that must be the same on the other disk; times in nanoseconds since 1970."""

    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    attributes: dict[str, bytes]


def of_open_file(fd: int, status: os.stat_result | None = None) -> Metadata:
    """Return the metadata of an open file or folder, of which the status may be known already."""
    return _metadata(status or os.fstat(fd), fd)


def of_link(folder: int, name: bytes) -> Metadata:
    """Return the metadata of a symbolic link itself."""
    with _open_link(folder, name) as fd:
        return _metadata(os.fstat(fd), _path(fd))


def apply(fd: int, wanted: Metadata, found: os.stat_result | None = None) -> os.stat_result:
    """Give an open file or folder that metadata, look whether it has it, and return what it is like then.

    The order matters: a change of owner clears set-id bits and capabilities (chown(2)), and every change
    before the times would change the times. Attributes are looked for after the changes that could make or drop
    one; where there are none and none are wanted, they are not looked for again. ``found`` is what it was like
    before. Raises FileLeftError for what the file system cannot hold.
    """
    found = found or os.fstat(fd)
    if (found.st_uid, found.st_gid) != (wanted.uid, wanted.gid):
        try:
            os.fchown(fd, wanted.uid, wanted.gid)
        except PermissionError as error:
            raise _cannot_keep(f"the owner (uid {wanted.uid}, gid {wanted.gid})") from error
    os.fchmod(fd, stat.S_IMODE(wanted.mode))
    is_plain = not wanted.attributes and not _attribute_names(fd)
    if not is_plain:
        _set_attributes(fd, wanted.attributes)
    os.utime(fd, ns=(wanted.atime_ns, wanted.mtime_ns))
    status = os.fstat(fd)
    if is_plain and _is_as(status, wanted):
        return status
    if lost := difference(_metadata(status, fd), wanted):
        raise _cannot_keep(lost)
    return status


def _is_as(status: os.stat_result, wanted: Metadata) -> bool:
    return (status.st_uid, status.st_gid, status.st_mode, status.st_mtime_ns) == (
        wanted.uid, wanted.gid, wanted.mode, wanted.mtime_ns,
    )  # fmt: skip


def apply_to_link(folder: int, name: bytes, wanted: Metadata, *, target: bytes) -> int:
    """Give a symbolic link that metadata, then look whether it has it; return its inode.

    Raises ChangedError, with nothing changed, when what has the name is not a link to that target.
    """
    with _open_link(folder, name) as fd:
        if os.readlink(b"", dir_fd=fd) != target:
            raise ChangedError(_REPLACED)
        path, found = _path(fd), os.fstat(fd)
        if (found.st_uid, found.st_gid) != (wanted.uid, wanted.gid):
            os.chown(path, wanted.uid, wanted.gid)
        _set_attributes(path, wanted.attributes)
        os.utime(path, ns=(wanted.atime_ns, wanted.mtime_ns))
        if lost := difference(_metadata(os.fstat(fd), path), wanted):
            raise _cannot_keep(lost)
        return found.st_ino


def difference(found: Metadata, wanted: Metadata) -> str:
    """Return what differs, in words; empty when only access times do."""
    if (found.uid, found.gid) != (wanted.uid, wanted.gid):
        return "the owner"
    if found.mode != wanted.mode:
        return "the mode"
    if found.mtime_ns != wanted.mtime_ns:
        return "the modification time"
    if found.attributes == wanted.attributes:
        return ""
    for name in sorted(found.attributes.keys() | wanted.attributes.keys()):
        if found.attributes.get(name) != wanted.attributes.get(name):
            return _in_words(name)
    return ""


def _metadata(status: os.stat_result, target: int | bytes) -> Metadata:
    names = _attribute_names(target)
    return Metadata(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        atime_ns=status.st_atime_ns,
        mtime_ns=status.st_mtime_ns,
        attributes={name: os.getxattr(target, name) for name in names},
    )


def _set_attributes(target: int | bytes, wanted: dict[str, bytes]) -> None:
    """Set the attributes, capabilities last, and drop ACLs that a new file inherited from its folder."""
    for name in set(_attribute_names(target)).intersection(_ACLS) - wanted.keys():
        os.removexattr(target, name)
    for name in sorted(wanted, key=lambda name: (name == _CAPABILITY, name)):
        try:
            os.setxattr(target, name, wanted[name])
        except OSError as error:
            raise _cannot_keep(_in_words(name)) from error


def _attribute_names(target: int | bytes) -> list[str]:
    try:
        names = os.listxattr(target)
    except OSError as error:
        if error.errno in _NONE_HERE:
            return []
        raise
    return [name for name in names if name not in _SHADOWS] if names else names


@contextmanager
def _open_link(folder: int, name: bytes) -> Iterator[int]:
    """Hold a symbolic link itself, so that whatever is done is done to it and not to what takes its name."""
    fd = linux.open_beneath(folder, name, os.O_PATH | os.O_NOFOLLOW)
    try:
        if not stat.S_ISLNK(os.fstat(fd).st_mode):
            raise ChangedError(_REPLACED)
        yield fd
    finally:
        os.close(fd)


def _path(fd: int) -> bytes:
    """Return a path that leads to a held symbolic link and, being a magic link, not through it (proc(5))."""
    return b"/proc/self/fd/%d" % fd


def _in_words(attribute: str) -> str:
    if attribute in _ACLS:
        return "its access control list"
    return "its capabilities" if attribute == _CAPABILITY else f"its extended attribute {attribute}"


def _cannot_keep(what: str) -> FileLeftError:
    return FileLeftError(f"the destination cannot keep {what}")
