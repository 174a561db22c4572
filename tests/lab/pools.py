"""A real mergerfs pool over disks, as a user of the files sees them while they are moved."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.disks import unmount
from lab.needs import PLACES

OPTIONS = {
    "category.create": "mfs",
    "func.getattr": "newest",
    "cache.files": "off",
    "use_ino": "",  # hard links of one disk show one inode number; without it FUSE numbers every name anew
    "inodecalc": "hybrid-hash",
    "minfreespace": "0",  # the default of 4 GB is more than a sample disk has
    "posix_acl": "true",
    "fsname": "pool",
}


@contextmanager
def pool(branches: Sequence[Path | str], at: Path, **changes: str) -> Iterator[Path]:
    """Mount a pool over branches (a path, or text such as ``/mnt/disk1=NC``) and take it down again.

    Further options by keyword, ``__`` for the dot: ``func__getattr="ff"``. mergerfs stays our child, so that
    it ends with the test run.
    """
    at.mkdir(parents=True, exist_ok=True)
    options = OPTIONS | {name.replace("__", "."): value for name, value in changes.items()}
    daemon = subprocess.Popen(
        [
            "mergerfs",
            "-f",
            "-o",
            _joined(options),
            ":".join(map(str, branches)),
            str(at),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"PATH": PLACES},
    )
    try:
        _wait_until_mounted(at, daemon)
        yield at
    finally:
        _take_down(at, daemon)


def _joined(options: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" if value else name for name, value in options.items())


def _wait_until_mounted(at: Path, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while not os.path.ismount(at):
        if daemon.poll() is not None:
            _, message = daemon.communicate()
            raise AssertionError(f"mergerfs did not start: {message.decode(errors='replace').strip()}")
        assert time.monotonic() < deadline, "mergerfs did not mount the pool within ten seconds"
        time.sleep(0.01)


def _take_down(at: Path, daemon: subprocess.Popen[bytes]) -> None:
    try:
        if os.path.ismount(at):
            unmount(at)
    finally:
        try:
            daemon.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.communicate()
