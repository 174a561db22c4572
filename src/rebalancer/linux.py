"""System calls that Python 3.11 does not offer, each a thin binding that raises OSError.

Numbers are those of the asm-generic table shared by x86-64 and arm64 where a call is newer than Linux 5.1;
older calls go through the C library, where it knows them. Sources: the manual pages named at each function.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import struct
from enum import IntFlag

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_libc.mmap.restype = ctypes.c_size_t
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64]
_libc.mincore.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
_libc.munmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t]

_OPENAT2 = 437  # openat2(2), Linux 5.6
_CACHESTAT = 451  # cachestat(2), Linux 6.5
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "armv7l": 314, "i686": 289}  # syscalls(2); none in libc
_IOPRIO_IDLE = 3 << 13
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_PR_SET_PDEATHSIG = 1
_MAP_FAILED = 2 ** (8 * ctypes.sizeof(ctypes.c_size_t)) - 1
_STRETCH = 2**28  # bytes looked at together
_F_SETLEASE = 1024
_F_GETLEASE = 1025
_LOOP_GET_STATUS64 = 0x4C05
_LOOP_READ_ONLY = 1
_FS_IOC_GETFLAGS = 0x80086601
_FS_IMMUTABLE_FL = 0x10
_FS_APPEND_FL = 0x20


class Resolve(IntFlag):
    """How far openat2(2) may wander while it resolves a path."""

    NO_XDEV = 0x01
    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04
    BENEATH = 0x08


CONFINED = Resolve.NO_XDEV | Resolve.NO_MAGICLINKS | Resolve.NO_SYMLINKS | Resolve.BENEATH


def open_beneath(folder: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Open a path below a folder: no symlink followed, no mount crossed, no way out (openat2(2)).

    Raises OSError: ELOOP for a symlink on the way, EXDEV for another mount or a way out, ENOSYS before Linux 5.6.
    """
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, CONFINED)
    while True:
        fd = _syscall(_OPENAT2, folder, path, how, len(how))
        if fd >= 0:
            return int(fd)
        code = ctypes.get_errno()
        if code not in {errno.EINTR, errno.EAGAIN}:
            raise _error(code, path)
        if code == errno.EAGAIN and flags & os.O_NONBLOCK:  # a lease of somebody else, not a raced resolution
            raise _error(code, path)


def rename_no_replace(old_folder: int, old: bytes, new_folder: int, new: bytes) -> None:
    """Rename, but never over an existing name (renameat2(2)).

    Raises OSError: EEXIST when the new name is taken; EINVAL where the file system cannot promise it (FUSE).
    """
    if _libc.renameat2(old_folder, old, new_folder, new, _RENAME_NOREPLACE) != 0:
        raise _error(ctypes.get_errno(), new)


def sync_file_system(fd: int) -> None:
    """Make everything written so far to the descriptor's file system durable (syncfs(2)).

    Since Linux 5.8 an error of any write-back since the descriptor was opened is reported here.
    """
    if _libc.syncfs(fd) != 0:
        raise _error(ctypes.get_errno())


def start_write_back(fd: int, offset: int, length: int) -> None:
    """Begin writing dirty pages of a range without waiting for them (sync_file_range(2), SYNC_FILE_RANGE_WRITE)."""
    if _libc.sync_file_range(fd, ctypes.c_int64(offset), ctypes.c_int64(length), 2) != 0:
        raise _error(ctypes.get_errno())


def finish_write_back(fd: int, offset: int, length: int) -> None:
    """Write dirty pages of a range and wait until the device took them (sync_file_range(2)); not a flush.

    Raises OSError for any error of writing back since the file was opened; fsync(2) on it will not say so again.
    """
    if _libc.sync_file_range(fd, ctypes.c_int64(offset), ctypes.c_int64(length), 1 | 2 | 4) != 0:
        raise _error(ctypes.get_errno())


def cached_pages(fd: int) -> int:
    """Return how many pages of a file the page cache holds (cachestat(2), before Linux 6.5 mincore(2))."""
    everything = struct.pack("=QQ", 0, 0)
    counts = ctypes.create_string_buffer(40)
    if _syscall(_CACHESTAT, fd, everything, counts, 0) != 0:
        size = os.fstat(fd).st_size
        return sum(_resident_pages(fd, start, min(_STRETCH, size - start)) for start in range(0, size, _STRETCH))
    return int(struct.unpack_from("=Q", counts.raw)[0])


def _resident_pages(fd: int, offset: int, length: int) -> int:
    """Return how many pages of a stretch are cached; all of them where the kernel will not say (mincore(2))."""
    pages = -(-length // mmap.PAGESIZE)
    address = _libc.mmap(None, length, mmap.PROT_READ, mmap.MAP_PRIVATE, fd, offset)
    if address == _MAP_FAILED:  # a file system without mappings
        return pages
    try:
        resident = (ctypes.c_ubyte * pages)()
        known = _libc.mincore(address, length, resident) == 0
        return sum(page & 1 for page in resident) if known else pages
    finally:
        _libc.munmap(address, length)


def take_read_lease(fd: int) -> None:
    """Be told of writers: EAGAIN when somebody has the file open, or mapped, for writing (fcntl(2), leases)."""
    fcntl.fcntl(fd, _F_SETLEASE, fcntl.F_RDLCK)


def take_write_lease(fd: int) -> None:
    """Be told of anybody: EAGAIN when somebody else has the file open at all (fcntl(2), leases)."""
    fcntl.fcntl(fd, _F_SETLEASE, fcntl.F_WRLCK)


def release_lease(fd: int) -> None:
    fcntl.fcntl(fd, _F_SETLEASE, fcntl.F_UNLCK)


def holds_read_lease(fd: int) -> bool:
    """Return whether the read lease is held and nobody waits for it; a waiting writer shows as F_UNLCK."""
    return fcntl.fcntl(fd, _F_GETLEASE) == fcntl.F_RDLCK


def is_unchangeable(fd: int) -> str:
    """Return ``immutable`` or ``append-only`` when the inode has that flag (FS_IOC_GETFLAGS), else nothing."""
    try:
        packed = fcntl.ioctl(fd, _FS_IOC_GETFLAGS, b"\0" * 8)
    except OSError:  # a file system without such flags
        return ""
    flags = int.from_bytes(packed[:4], "little")
    if flags & _FS_IMMUTABLE_FL:
        return "immutable"
    return "append-only" if flags & _FS_APPEND_FL else ""


def loop_backing(fd: int) -> tuple[int, int, bool]:
    """Return st_dev and st_ino of the file behind an open loop device, and whether it is written to (loop(4)).

    The kernel asks the file that it holds, so no name is looked up and no folder is read. Raises OSError: ENXIO when
    there is none.
    """
    packed = fcntl.ioctl(fd, _LOOP_GET_STATUS64, b"\0" * 232)  # struct loop_info64 of linux/loop.h
    device, inode, flags = struct.unpack_from("=QQ36xI", packed)
    return device, inode, not flags & _LOOP_READ_ONLY


def be_idle_on_disks() -> None:
    """Let this thread, and those that it starts, read and write when nobody else does (ioprio_set(2), class idle).

    The schedulers bfq and mq-deadline keep to it. Raises OSError: ENOSYS on a machine whose number is not known here.
    """
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is None or _syscall(number, 1, 0, _IOPRIO_IDLE) != 0:
        raise _error(errno.ENOSYS if number is None else ctypes.get_errno())


def die_with_parent(signal_number: int) -> None:
    """Ask the kernel to send this process a signal when its parent ends (prctl(2), PR_SET_PDEATHSIG)."""
    if _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise _error(ctypes.get_errno())


def _error(code: int, path: bytes | None = None) -> OSError:
    return OSError(code, os.strerror(code), os.fsdecode(path)) if path is not None else OSError(code, os.strerror(code))
