"""What a test may need from the machine, and a sentence for what is lacking.

Where `is_strict` holds, as in CI, lacking something fails the test: a skipped test must never look like a passed one.
"""

import ctypes
import functools
import os
import shutil
from pathlib import Path

import pytest

Lacking = str  # a sentence; empty when nothing is lacking

PACKAGES = {
    "mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs", "mkfs.btrfs": "btrfs-progs", "losetup": "util-linux",
    "mergerfs": "mergerfs", "fusermount3": "fuse3", "rsync": "rsync", "strace": "strace", "setfattr": "attr",
    "getfattr": "attr", "setfacl": "acl", "getfacl": "acl", "setcap": "libcap2-bin", "getcap": "libcap2-bin", "cron": "cron",
    "crontab": "cron", "xfs_io": "xfsprogs", "setpriv": "util-linux", "nbdkit": "nbdkit",
    "nbdfuse": "libnbd-bin", "linux.uml": "user-mode-linux", "dmsetup": "dmsetup",
    "chromium": "chromium", "npm": "npm", "prometheus": "prometheus", "promtool": "prometheus",
}  # fmt: skip
AXE = Path(__file__).parents[1] / "browser" / "node_modules" / "axe-core" / "axe.min.js"
PLACES = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"

_CLONE_NEWNS = 0x00020000
_MS_REC_PRIVATE = 0x4000 | 0x40000


def is_strict() -> bool:
    return os.environ.get("CI", "") in {"1", "true"} or os.environ.get("REBALANCER_NO_SKIPS") == "1"


def lacking_root() -> Lacking:
    return "" if os.geteuid() == 0 else "root is needed"


def lacking_tools(*programs: str) -> Lacking:
    absent = [program for program in programs if shutil.which(program, path=PLACES) is None]
    return "; ".join(f"{program} is not installed (package {PACKAGES.get(program, program)})" for program in absent)


@functools.cache
def lacking_mounts() -> Lacking:
    """Say why nothing can be mounted; when it can, give this process a mount namespace of its own.

    In a namespace of its own every mount, and every loop device that was set up by mounting, is gone with the
    last process of the test run, also after SIGKILL (mount_namespaces(7)).
    """
    if lacking := lacking_root():
        return lacking
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None) != 0:
        return f"mounting is not permitted here ({os.strerror(ctypes.get_errno()).lower()})"
    return ""


def lacking_loop_disks(file_system: str) -> Lacking:
    if lacking := lacking_mounts() or lacking_tools(f"mkfs.{file_system}"):
        return lacking
    return "" if os.path.exists("/dev/loop-control") else "there are no loop devices here (/dev/loop-control)"


def lacking_pools() -> Lacking:
    if lacking := lacking_mounts() or lacking_tools("mergerfs"):
        return lacking
    return "" if os.path.exists("/dev/fuse") else "FUSE is not available here (/dev/fuse)"


def lacking_browser() -> Lacking:
    if lacking := lacking_tools("chromium"):
        return lacking
    return "" if AXE.exists() else "axe-core is not installed (npm ci --prefix tests/browser)"


def demand(lacking: Lacking) -> None:
    """Skip the running test when something is lacking."""
    if lacking:
        pytest.skip(lacking)
