"""The two disks of a benchmark: file systems on loop devices or in memory, made anew for every trial."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lab import disks

THROTTLE = Path("/sys/fs/cgroup/blkio")  # cgroup v1: its root limits whole devices, buffered writes as well
RATE = 200_000_000  # bytes per second of the simulated spinning disk, reads and writes apart
OPERATIONS = 600  # per second, likewise
_MAKE = {
    "xfs": ("mkfs.xfs", "-q", "-f", "-K"),  # -K: no discard, which would give the image's blocks back
    "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard"),
}
_OPTIONS = {"xfs": "noatime", "ext4": "noatime,noinit_itable"}
_PATIENCE = 2.0  # seconds
_BLOCK = b"\0" * 2**20


@dataclass(frozen=True, slots=True)
class Medium:
    """What both disks are. A limited one has the rate and the operations of a spinning disk, but no seeks."""

    name: str
    file_systems: tuple[str, str]
    is_limited: bool = False

    @property
    def is_in_memory(self) -> bool:
        return self.file_systems[0] == "tmpfs"


XFS = Medium("xfs to xfs", ("xfs", "xfs"))
EXT4 = Medium("ext4 to xfs", ("ext4", "xfs"))
TMPFS = Medium("tmpfs to tmpfs", ("tmpfs", "tmpfs"))
SPINNING = Medium("200 MB/s, 600 operations/s", ("xfs", "xfs"), is_limited=True)


class Disk:
    """One mount point with a device of its own below it, if any."""

    def __init__(self, at: Path, file_system: str, size: int) -> None:
        self.at = at
        self.file_system = file_system
        self.size = size
        self.device = ""

    def attach(self, *, rotates: bool) -> None:
        """Write the image whole, so that no trial pays for its blocks, and put a loop device on it.

        The device reads and writes the image directly: otherwise the image's own pages would be a cache that nobody can drop.
        """
        if self.file_system == "tmpfs":
            return
        image = self.at.with_name(f"{self.at.name}.img")
        with image.open("xb", buffering=0) as file:
            for _ in range(self.size // len(_BLOCK)):
                file.write(_BLOCK)
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.device = disks.call("losetup", "--find", "--show", "--direct-io=on", str(image)).strip()
        is_direct = (self._queue.parent / "loop/dio").read_text().strip() == "1"
        assert is_direct, "no direct I/O on the file system of the images; name another place with --scratch"
        (self._queue / "rotational").write_text("1" if rotates else "0")

    def detach(self) -> None:
        if self.device:
            disks.call("losetup", "--detach", self.device)
            self.device = ""

    def make(self) -> None:
        """Mount a new file system, or the old one emptied where somebody still holds it."""
        if self.file_system == "tmpfs":
            disks.call("mount", "-t", "tmpfs", "-o", f"noatime,size={self.size},mode=755", "tmpfs", str(self.at))
            return
        is_new = _is_made(*_MAKE[self.file_system], self.device)
        disks.call("mount", "-t", self.file_system, "-o", _OPTIONS[self.file_system], self.device, str(self.at))
        if not is_new:
            for folder in self.at.iterdir():
                shutil.rmtree(folder)
            sync(self.at)

    def drop(self) -> None:
        if os.path.ismount(self.at):
            disks.unmount(self.at)

    @property
    def number(self) -> str:
        return (Path("/sys/class/block") / Path(self.device).name / "dev").read_text().strip()

    @property
    def _queue(self) -> Path:
        return Path("/sys/class/block") / Path(self.device).name / "queue"


class Pair:
    """A source and a destination of one medium."""

    def __init__(self, folder: Path, medium: Medium, size: int) -> None:
        self.medium = medium
        self.source, self.destination = (
            Disk(folder / name, kind, size) for name, kind in zip(("from", "to"), medium.file_systems, strict=True)
        )

    @property
    def disks(self) -> tuple[Disk, Disk]:
        return self.source, self.destination

    def renew(self) -> None:
        """Make both file systems anew and empty."""
        for disk in self.disks:
            disk.drop()
            disk.make()

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Be as slow as the medium is said to be, for as long as this lasts."""
        try:
            if self.medium.is_limited:
                self._limit(RATE, OPERATIONS)
            yield
        finally:
            if self.medium.is_limited:
                self._limit(0, 0)

    def _limit(self, rate: int, operations: int) -> None:
        for disk in self.disks:
            for way in ("read", "write"):
                for what, value in (("bps", rate), ("iops", operations)):
                    (THROTTLE / f"blkio.throttle.{way}_{what}_device").write_text(f"{disk.number} {value}\n")


def _is_made(*command: str) -> bool:
    """Make a file system on a device that was just unmounted; False when it stays busy.

    A mount namespace that somebody made meanwhile holds it for as long as it lives.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            disks.call(*command)
        except AssertionError as error:
            if "busy" not in str(error):
                raise
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        else:
            return True


def refusal(medium: Medium) -> str:
    """Return why a medium cannot be made here, empty when it can."""
    if os.geteuid() != 0:
        return "mounting needs root"
    if medium.is_limited and not (THROTTLE / "blkio.throttle.read_bps_device").exists():
        return "devices are slowed down through the root of the blkio controller (cgroup v1), which is not mounted here"
    return ""


@contextmanager
def pair(folder: Path, medium: Medium, size: int) -> Iterator[Pair]:
    """Set two disks up and take them down again, whatever happens; ``size`` in bytes, of each."""
    made = Pair(folder, medium, size)
    with ExitStack() as stack:
        for disk in made.disks:
            disk.at.mkdir()
            stack.callback(disk.at.with_name(f"{disk.at.name}.img").unlink, missing_ok=True)
            stack.callback(disk.detach)
            stack.callback(disk.drop)
            disk.attach(rotates=medium.is_limited)
        yield made
    for disk in made.disks:
        disk.at.rmdir()


def sync(at: Path) -> None:
    """Flush one file system."""
    disks.call("sync", "--file-system", str(at))


def drop_caches() -> None:
    """Write back and drop every clean page, name and inode of this machine."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def touch_memory(folder: Path, size: int) -> None:
    """Fill that much memory once and free it, so that no trial pays the host of a virtual machine for it.

    As much as is available less 2 GiB at most.
    """
    available = _meminfo("MemAvailable") - 2**31
    with (
        suppress(OSError, subprocess.CalledProcessError),
        disks.disk(folder / "touch", "tmpfs", max(size >> 20, 1)) as at,
        (at / "all").open("wb", buffering=0) as file,
    ):
        for _ in range(min(size, available) // len(_BLOCK)):
            file.write(_BLOCK)


def _meminfo(name: str) -> int:
    """Return a line of /proc/meminfo, in bytes."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def cached() -> int:
    """Return the page cache of the machine, in bytes."""
    return _meminfo("Cached")


def memory_size() -> int:
    return _meminfo("MemTotal")
