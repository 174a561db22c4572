"""Disks whose device fails while files are moved, and works again afterwards."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.disks import call, unmount
from lab.needs import PLACES

MIB = 2**20
_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN
_NO_LOG_FLUSH = (2).to_bytes(4, sys.byteorder)
OPTIONS = {"ext4": "noatime,errors=remount-ro", "xfs": "noatime", "btrfs": "noatime"}
_MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-b", "4096", "-I", "256", "-m", "0"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
_REPAIR = {
    "ext4": ("e2fsck", "-f", "-y"),  # its exit codes 1 and 2 say that it repaired something
    "xfs": ("true",),  # mounting replays the log
    "btrfs": ("true",),
}


@dataclass(eq=False)
class FailingDisk:
    """A mounted disk. `strike` breaks its device, `mend` makes it whole and mounts it anew, as a person would."""

    root: Path
    file_system: str
    strike: Callable[[], None]
    has_fired: Callable[[str], bool]  # whether somebody met the fault, given what the worker said of it
    mend: Callable[[], None]


# -- a device that answers every request with EIO -----------------------------------------------------------------


@contextmanager
def device_with_errors(at: Path, file_system: str, size_mib: int) -> Iterator[FailingDisk]:
    """Make a disk on a network block device of our own, whose server answers EIO while a flag file exists."""
    folder = at.with_name(f"{at.name}.device")
    flag, log, device = folder / "flag", folder / "log", folder / "mount" / "disk"
    for path in (at, device.parent):
        path.mkdir(parents=True)
    with _server(size_mib, flag, log) as socket, _as_file(device, socket):
        _format_and_mount(device, at, file_system)

        def mend() -> None:
            flag.unlink(missing_ok=True)
            _mount_anew(device, at, file_system)

        disk = FailingDisk(at, file_system, flag.touch, lambda _: b"error=EIO" in log.read_bytes(), mend)
        try:
            yield disk
        finally:
            flag.unlink(missing_ok=True)
            unmount(at)
            _wait_until_free(device)


@contextmanager
def _server(size_mib: int, flag: Path, log: Path) -> Iterator[Path]:
    rules = [f"logfile={log}", "error=EIO", "error-rate=100%", f"error-file={flag}"]
    with TemporaryDirectory(prefix="nbd-") as short:  # an address of more than 107 bytes is refused (unix(7))
        socket = Path(short) / "socket"
        server = ["nbdkit", "--foreground", "--exit-with-parent", "--unix", str(socket)]
        with _process([*server, "--filter=log", "--filter=error", "memory", f"{size_mib}M", *rules]):
            _wait_for(socket.exists)
            yield socket


@contextmanager
def _as_file(device: Path, socket: Path) -> Iterator[None]:
    with _process(["setpriv", "--pdeathsig", "KILL", "nbdfuse", str(device), "--unix", str(socket)]):
        try:
            _wait_for(device.exists)
            yield
        finally:
            call("fusermount3", "-u", str(device.parent))


@contextmanager
def _process(command: Sequence[str]) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # they tell of every error that they were asked to make
        env=os.environ | {"PATH": PLACES},
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_free(device: Path) -> None:
    """Wait for the loop device, which goes by itself with its last mount, to let go of its file."""
    _wait_for(lambda: not call("losetup", "--noheadings", "--output", "NAME", "--associated", str(device)))


# -- a device that promised more than it has ----------------------------------------------------------------------


@contextmanager
def thin_device(at: Path, file_system: str, size_mib: int, *, room_mib: int) -> Iterator[FailingDisk]:
    """Make a disk in a sparse image whose own disk has, once struck, only that much room left."""
    folder = at.with_name(f"{at.name}.thin")
    for path in (at, folder):
        path.mkdir(parents=True)
    call("mount", "-t", "tmpfs", "-o", f"size={size_mib + 64}m", "tmpfs", str(folder))
    image = folder / "image"
    with image.open("xb") as file:
        file.truncate(size_mib * MIB)

    def strike() -> None:
        call("sync", "--file-system", str(at))
        room = image.stat().st_blocks * 512 + room_mib * MIB
        call("mount", "-o", f"remount,size={room}", str(folder))

    def mend() -> None:
        call("mount", "-o", f"remount,size={size_mib + 64}m", str(folder))
        _mount_anew(image, at, file_system)

    try:
        _format_and_mount(image, at, file_system)
        try:
            yield FailingDisk(at, file_system, strike, lambda _: os.statvfs(folder).f_bfree < 16, mend)
        finally:
            unmount(at)
    finally:
        unmount(folder)


# -- a file system that the kernel finds damaged ------------------------------------------------------------------


@contextmanager
def damaged_ext4(at: Path, size_mib: int) -> Iterator[FailingDisk]:
    """Make a disk that turns read-only in the middle of everything, as when the kernel finds ext4 damaged."""
    at.mkdir(parents=True)
    image = at.with_name(f"{at.name}.img")
    with image.open("xb") as file:
        file.truncate(size_mib * MIB)

    def strike() -> None:
        Path("/sys/fs/ext4", _device_of(at), "trigger_fs_error").write_text("1")

    def has_fired(_: str) -> bool:
        errors = Path("/sys/fs/ext4", _device_of(at), "errors_count").read_text()
        return int(errors) > 0

    _format_and_mount(image, at, "ext4")
    try:
        yield FailingDisk(at, "ext4", strike, has_fired, lambda: _mount_anew(image, at, "ext4"))
    finally:
        unmount(at)


def _device_of(root: Path) -> str:
    return Path(call("findmnt", "--noheadings", "--output", "SOURCE", str(root)).strip()).name


# -- a device that is gone ----------------------------------------------------------------------------------------


@contextmanager
def vanishing_device(at: Path, file_system: str, size_mib: int) -> Iterator[FailingDisk]:
    """Make a disk that answers every call with EIO, once struck, as when its controller is gone: ext4 and xfs only."""
    at.mkdir(parents=True)
    image = at.with_name(f"{at.name}.img")
    with image.open("xb") as file:
        file.truncate(size_mib * MIB)

    def strike() -> None:
        fd = os.open(at, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(fd)

    def has_fired(_: str) -> bool:
        try:
            (at / "probe").touch()
        except OSError as error:
            return error.errno == errno.EIO
        return False

    _format_and_mount(image, at, file_system)
    try:
        yield FailingDisk(at, file_system, strike, has_fired, lambda: _mount_anew(image, at, file_system))
    finally:
        unmount(at)


# -- a quota ------------------------------------------------------------------------------------------------------


@contextmanager
def btrfs_with_quota(at: Path, size_mib: int, *, room_mib: int) -> Iterator[FailingDisk]:
    """Make a disk whose quota group, once struck, allows that much and no more."""
    at.mkdir(parents=True)
    image = at.with_name(f"{at.name}.img")
    with image.open("xb") as file:
        file.truncate(size_mib * MIB)
    _format_and_mount(image, at, "btrfs")
    try:
        call("btrfs", "quota", "enable", str(at))
        yield FailingDisk(
            at,
            "btrfs",
            lambda: _ignore(call("btrfs", "qgroup", "limit", f"{room_mib}M", str(at))),
            lambda told: "its quota is used up" in told,
            lambda: _ignore(call("btrfs", "qgroup", "limit", "none", str(at))),
        )
    finally:
        unmount(at)


# -- all of them --------------------------------------------------------------------------------------------------


def _format_and_mount(image: Path, at: Path, file_system: str) -> None:
    with _loop(image) as device:
        call(*_MAKE[file_system], device)
        call("mount", "-t", file_system, "-o", OPTIONS[file_system], device, str(at))


def _mount_anew(image: Path, at: Path, file_system: str) -> None:
    """Unmount what failed, let the file system's own tool repair it, and mount it: nothing cached survives that."""
    unmount(at)
    with _loop(image) as device:
        call(*_REPAIR[file_system], *([device] if file_system == "ext4" else []), allowed=(0, 1, 2))
        call("mount", "-t", file_system, "-o", OPTIONS[file_system], device, str(at))


@contextmanager
def _loop(image: Path) -> Iterator[str]:
    """Give a loop device that does not cache; let go of, it lives on only while it is mounted (losetup(8), -d)."""
    device = call("losetup", "--find", "--show", str(image)).strip()
    try:
        with suppress(AssertionError):  # tmpfs has no direct reads: then the image is the cache
            call("losetup", "--direct-io=on", device)
        yield device
    finally:
        call("losetup", "--detach", device)


def _ignore(_: object) -> None:
    return


def _wait_for(holds: Callable[[], object], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
