"""Real disks for tests: file systems in sparse images or in memory, mounted, and always taken down again."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.needs import PLACES

MIB = 2**20
SMALLEST_MIB = {"ext4": 8, "xfs": 300, "btrfs": 16, "tmpfs": 1}  # what mkfs accepts; btrfs below 110 MiB is made mixed

_MAKE = {
    # one block and inode size at every image size, so that holes and nanosecond times compare between disks
    "ext4": ("mkfs.ext4", "-q", "-F", "-b", "4096", "-I", "256", "-m", "0"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
_PATIENCE = 5.0  # seconds that a busy file system is given before it is detached by force


class Busy(AssertionError):  # noqa: N818 - a finding about the tested program, not an error of the laboratory
    """Something still used a file system when its test was over."""


@contextmanager
def disk(at: Path, file_system: str, size_mib: int, *, options: str = "noatime") -> Iterator[Path]:
    """Mount a new, empty file system at a path and take it down again; the image is kept beside the path.

    Raises Busy at the end when something still used it; it is detached even then.
    """
    smallest = SMALLEST_MIB[file_system]
    assert size_mib >= smallest, f"{file_system} needs at least {smallest} MiB"
    at.mkdir(parents=True, exist_ok=True)
    if file_system == "tmpfs":
        call("mount", "-t", "tmpfs", "-o", f"{options},size={size_mib}m,mode=755", "tmpfs", str(at))
    else:
        _mount_image(_image(at, file_system, size_mib), at, file_system, options=options)
    try:
        yield at
    finally:
        unmount(at)


@contextmanager
def disk_copy(image: Path, at: Path, file_system: str, *, options: str = "noatime") -> Iterator[Path]:
    """Mount a copy of an unmounted disk's image, as `disk` leaves it beside its path.

    Only one copy of a btrfs image can be mounted at a time: the kernel takes a second one for the first.
    """
    copy = at.with_name(f"{at.name}.img")
    at.mkdir(parents=True, exist_ok=True)
    copy_image(image, copy)
    with mounted(copy, at, file_system, options=options):
        yield at


@contextmanager
def mounted(image: Path, at: Path, file_system: str, *, options: str = "noatime") -> Iterator[Path]:
    """Mount an image as it is, also while another copy of the same file system is mounted (not of a btrfs)."""
    at.mkdir(parents=True, exist_ok=True)
    unique = ",nouuid" if file_system == "xfs" else ""
    _mount_image(image, at, file_system, options=options + unique)
    try:
        yield at
    finally:
        unmount(at)


def copy_image(image: Path, to: Path) -> Path:
    """Copy an image as it is at this moment, with its holes."""
    call("cp", "--sparse=always", str(image), str(to))
    return to


def unmount(at: Path) -> None:
    """Unmount, waiting a little for whoever is about to leave; as the last resort detach, and say so by Busy."""
    deadline = time.monotonic() + _PATIENCE
    while (answer := _try("umount", str(at))).returncode != 0:
        if not os.path.ismount(at):
            return
        if time.monotonic() > deadline:
            _try("umount", "--lazy", str(at))
            raise Busy(answer.stderr.strip())
        time.sleep(0.05)


def remount_read_only(at: Path) -> None:
    call("mount", "-o", "remount,ro", str(at))


def set_rotational(at: Path, *, rotational: bool) -> None:
    """Let the kernel say of the loop device below a mount that it has heads, or that it has none."""
    device = call("findmnt", "--noheadings", "--output", "SOURCE", "--target", str(at)).strip()
    (Path("/sys/block") / Path(device).name / "queue/rotational").write_text(str(int(rotational)))


def used_percent(root: Path) -> float:
    """Return how full a disk is, as the program and ``df`` count: size minus free blocks."""
    status = os.statvfs(root)
    return 100 * (status.f_blocks - status.f_bfree) / status.f_blocks


def fill(root: Path, percent: float, *, name: str = "filler/filler.bin") -> Path | None:
    """Occupy space with one file until the disk is that full, within half a percentage point.

    Returns the file, or None when the disk is that full already. Space is allocated, not written.
    """
    if used_percent(root) >= percent:
        return None
    filler = root / name
    filler.parent.mkdir(parents=True, exist_ok=True)
    with filler.open("wb") as file:
        length = 0
        for _ in range(20):  # metadata of the filler itself occupies space too: come closer in steps
            status = os.statvfs(root)
            wanted = int(status.f_blocks * percent / 100) - (status.f_blocks - status.f_bfree)
            if wanted <= 0:
                break
            step = wanted * status.f_frsize
            os.posix_fallocate(file.fileno(), length, step)
            length += step
            os.fsync(file.fileno())
    assert abs(used_percent(root) - percent) < 0.5, f"{root} is {used_percent(root):.2f} % full, not {percent} %"
    return filler


def _image(at: Path, file_system: str, size_mib: int) -> Path:
    image = at.with_name(f"{at.name}.img")
    with image.open("xb") as file:
        file.truncate(size_mib * MIB)
    mixed = ("--mixed",) if file_system == "btrfs" and size_mib < 110 else ()
    call(*_MAKE[file_system], *mixed, str(image))
    return image


def _mount_image(image: Path, at: Path, file_system: str, *, options: str) -> None:
    # mount sets the loop device up with autoclear: the kernel frees it with the last user of the mount
    call("mount", "-t", file_system, "-o", f"loop,{options}", str(image), str(at))


def call(*command: str, allowed: Sequence[int] = (0,)) -> str:
    """Run a program of the system's and return what it printed; any other exit code fails the test with its words."""
    answer = _try(*command)
    assert answer.returncode in allowed, f"{' '.join(command)}: {answer.stderr.strip()}"
    return answer.stdout


def _try(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"PATH": PLACES},
    )
