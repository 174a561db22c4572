"""Debian's real cron daemon with a spool, a pid file and tables of its own, in the test run's own mount namespace."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

SPOOL = Path("/var/spool/cron/crontabs")
_MS_BIND = 4096


def own_spool(folder: Path, mounts: ExitStack) -> Path:
    """Put an empty spool and empty system tables in place of the machine's, until the mounts are taken down."""
    spool = folder / "spool"
    spool.mkdir()
    spool.chmod(0o1730)
    os.chown(spool, 0, SPOOL.stat().st_gid)
    bind(spool, SPOOL, mounts)
    empty = folder / "empty"
    empty.mkdir()
    bind(empty, Path("/etc/cron.d"), mounts)
    table = folder / "crontab"
    table.touch()
    bind(table, Path("/etc/crontab"), mounts)
    return spool


@contextmanager
def own_daemon(folder: Path, mounts: ExitStack) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon; its pid file and lock are its own, so that it neither meets nor disturbs the machine's."""
    run = folder / "run"
    run.mkdir()
    bind(run, Path("/run"), mounts)
    process = subprocess.Popen(["/usr/sbin/cron", "-f"], stdin=subprocess.DEVNULL, start_new_session=True)
    time.sleep(1.5)  # it tells a changed spool by whole seconds: what changes in the second it starts is not seen
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # not reaped yet: the number is still its own
        process.wait()


def bind(source: Path, target: Path, mounts: ExitStack) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(bytes(source), bytes(target), None, _MS_BIND, None) != 0:
        raise OSError(ctypes.get_errno(), f"{target} cannot be covered")
    mounts.callback(libc.umount2, bytes(target), 2)
