"""How many at once may read a disk: one where a head has to travel, several where nothing moves."""

import os
import stat
from pathlib import Path
from typing import Final

_MOST: Final = 4  # one for each core; on two cores a third and a fourth only cost (docs/benchmarks.md)
_UNNAMED: Final = 0  # the major number of file systems that are on no one device: btrfs, tmpfs, ZFS
_MD: Final = 9  # that of md devices: Unraid's do not say what is behind them


def readers(device: int, source: str, *, disks: int, cores: int) -> int:
    """Return how many processes may read a disk while so many disks are read at once.

    ``device`` is st_dev of the disk's root, ``source`` what it is mounted from. One when the disk spins or may spin.
    """
    if is_spinning(_named(device, source)):
        return 1
    return max(1, min(_MOST, max(2, cores) // max(1, disks)))


def is_spinning(device: int) -> bool:
    """Return False only when the kernel is sure that no head moves (queue/rotational of sysfs-block)."""
    if os.major(device) in {_UNNAMED, _MD}:
        return True
    folder = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    for queue in (folder / "queue", folder.parent / "queue"):  # a partition has none of its own
        try:
            return (queue / "rotational").read_text("ascii").strip() != "0"
        except OSError:
            continue
    return True


def _named(device: int, source: str) -> int:
    """Return the device that a file system without one of its own is mounted from, if it is one."""
    if os.major(device) == _UNNAMED and source.startswith("/dev/"):
        try:
            status = os.stat(source)
        except OSError:
            return device
        if stat.S_ISBLK(status.st_mode):
            return status.st_rdev
    return device
