"""Why a file, a unit or all work on a disk stops: one place turns errno into a sentence."""

import errno
from dataclasses import dataclass

from rebalancer.errors import RebalancerError


@dataclass(eq=False)
class FileLeftError(RebalancerError):
    """One file stays where it is; the others of its unit go on."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class ConflictError(FileLeftError):
    """Another file stands at the destination; both stay."""


class ChangedError(FileLeftError):
    """Somebody uses or changed the file while it was moved."""


@dataclass(eq=False)
class InUseError(ChangedError):
    """Somebody has the file open, or its copy."""

    files: tuple[tuple[int, int], ...] = ()  # st_dev and st_ino of both


class VanishedError(FileLeftError):
    """The file was removed by somebody: nothing to move and nothing wrong, so it is not reported."""


@dataclass(eq=False)
class UnreadableError(FileLeftError):
    """The medium does not give back what it holds: too many of these and its disk is left alone."""

    is_final: bool = False  # not the medium below one file but the whole disk does not answer
    disk: str = ""  # empty until somebody knows on which disk the file is


@dataclass(eq=False)
class UnitLeftError(RebalancerError):
    """The rest of this unit stays where it is; other units go on."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class NoRoomError(UnitLeftError):
    """The destination ran out of room while it was written to."""


@dataclass(eq=False)
class DiskFailedError(RebalancerError):
    """Nothing more is done on this disk."""

    disk: str
    reason: str

    def __str__(self) -> str:
        return f"{self.disk}: {self.reason}"


_DISK_ERRORS = {
    errno.EIO: "input/output error",
    errno.EROFS: "it became read-only",
    errno.ENODEV: "its device is gone",
    errno.ENXIO: "its device is gone",
    errno.ESTALE: "it was mounted anew",
    errno.EUCLEAN: "its file system is damaged",  # EFSCORRUPTED inside the kernel
    errno.EBADMSG: "a checksum of its file system does not match",  # EFSBADCRC inside the kernel
    errno.ENOTCONN: "its file system's process is gone",  # FUSE
    errno.ECONNABORTED: "its file system's process is gone",
    errno.ENOMEDIUM: "its medium is gone",
    errno.ESHUTDOWN: "it was shut down",
    errno.EREMOTEIO: "its device reports an error",  # what the block layer says of targets, links and time-outs
    errno.ENOLINK: "the link to its device is lost",
    errno.ETIMEDOUT: "its device does not answer",
    errno.EBADE: "its device is reserved by another machine",
}
_MEDIUM_ERRORS = {errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.ENODATA}  # the last from O_DIRECT, for a bad sector
_FILE_ERRORS = {
    errno.ELOOP: "a symbolic link stands in its path",
    errno.EXDEV: "another mount or volume lies in its path",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.ENAMETOOLONG: "the name is too long for the destination",
    errno.EFBIG: "the file is too large for the destination",
    errno.EILSEQ: "the destination cannot hold this name",
    errno.EINVAL: "the file system takes no such name, or cannot do this step",
}


def explain_read(error: OSError) -> FileLeftError:
    """Return what it means that the content of a file cannot be read."""
    code, reason = error.errno or 0, f"it cannot be read: {(error.strerror or '').lower()}"
    if code in _MEDIUM_ERRORS or code in _DISK_ERRORS:
        return UnreadableError(reason, is_final=code not in _MEDIUM_ERRORS)
    return FileLeftError(reason)


def explain_flush(error: OSError, *, disk: str) -> RebalancerError:
    """Return what an error of a flush means: whatever it is, nobody knows what is durable, and asking again tells a lie."""
    meaning = explain(error, disk=disk, doing="flushing")
    if isinstance(meaning, FileLeftError):
        return DiskFailedError(disk, f"{(error.strerror or str(error)).lower()} while flushing")
    return meaning


def explain(error: OSError, *, disk: str, doing: str) -> RebalancerError:
    """Return what an error of the kernel means for the work: one file, one unit or a whole disk."""
    code = error.errno or 0
    if code in _DISK_ERRORS:
        return DiskFailedError(disk, f"{_DISK_ERRORS[code]} while {doing}")
    if code in {errno.ENOSPC, errno.EDQUOT}:
        what = "its quota is used up" if code == errno.EDQUOT else "no space or no inodes left"
        return NoRoomError(f"{disk}: {what} while {doing}")
    if code in {errno.EMFILE, errno.ENFILE}:
        return UnitLeftError("too many files are open on this machine; the folder may be too deep")
    reason = _FILE_ERRORS.get(code) or (error.strerror or str(error)).lower()
    return FileLeftError(f"{reason} ({disk}, {doing})")
