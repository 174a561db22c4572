"""Unraid's own notifications, through the script that its pages and plugins use (webgui, ``scripts/notify``)."""

import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rebalancer import names
from rebalancer.array.unraid.ini import STATE, read_flat
from rebalancer.notify.errand import Level, NotDeliveredError, Notification
from rebalancer.turns import is_taken

SCRIPT = "usr/local/emhttp/webGui/scripts/notify"
EVENT = "Unraid Rebalancer"
PAGE = "/Main"  # where the notification leads: the page that shows the disks
_GAP = 1.0  # seconds; a second notification of one event within a second is dropped: both are one file, EVENT-EPOCH
_PATIENCE = 7.0  # seconds until it is our turn
_LIMIT = 5  # seconds for the script
_PREFIX = {Level.NORMAL: "Notice", Level.WARNING: "Warning", Level.ALERT: "Alert"}
_HARMLESS = str.maketrans({"<": "(", ">": ")", '"': "'"})  # it is shown as HTML and kept as key="value"
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin",
    "HOME": "/",
    "LC_ALL": "C.UTF-8",
}


def is_there(root: Path) -> bool:
    """Return whether the machine below that root is one that tells its owner in this way."""
    return os.path.lexists(root / SCRIPT)


def subject_of(notification: Notification, *, root: Path) -> str:
    """Return the subject as Unraid writes it: ``Warning [TOWER] - …``."""
    server = read_flat(root / STATE / "var.ini", frozenset({"NAME"})).get("NAME") or platform.node()
    return f"{_PREFIX[notification.level]} [{names.display(server).upper()}] - {notification.title}"


def deliver(notification: Notification, *, root: Path, turns: Path) -> None:
    """Hand it to the script, at least a second after the one before; raises NotDeliveredError."""
    script = root / SCRIPT
    if not os.access(script, os.X_OK):
        raise NotDeliveredError(f"{script} is missing or may not be run")
    with _turn(turns):
        _run(_arguments(notification, script=script, root=root))


def _arguments(notification: Notification, *, script: Path, root: Path) -> list[str]:
    subject = subject_of(notification, root=root)
    values = {
        "-e": EVENT,
        "-s": subject,
        "-d": notification.summary,
        "-i": notification.level.value,
        "-m": "\\n".join(notification.details) or notification.summary,  # the script makes line ends of them
        "-l": PAGE,
    }
    harmless = [(option, names.display(text).translate(_HARMLESS)) for option, text in values.items()]
    return [str(script), *(part for pair in harmless for part in pair)]


def _run(arguments: list[str]) -> None:
    """Run the script; timeout(1) ends it with all that it started, which need not be ours to signal."""
    import tempfile

    limited = ["timeout", "--kill-after=1", str(_LIMIT), *arguments]
    with tempfile.TemporaryFile() as said:  # not a pipe, which whoever it leaves behind would keep open
        try:
            code = subprocess.run(
                limited,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd="/",
                env=_ENVIRONMENT,
            ).returncode
        except OSError as error:
            raise NotDeliveredError(f"it cannot be started: {(error.strerror or '').lower()}") from error
        if code:
            said.seek(0)
            raise NotDeliveredError(_ending(code, said.read(4096)))


def _ending(code: int, said: bytes) -> str:
    if code in {124, 137, -9}:  # timeout(1): ended after its time, by TERM or by KILL
        return f"the script did not end within {_LIMIT} seconds"
    lines = said.decode(errors="replace").strip().splitlines()
    words = f": {names.display(lines[-1].strip())[:200]}" if lines else ""
    return f"the script ended with exit code {code}{words}"


@contextmanager
def _turn(turns: Path) -> Iterator[None]:
    """Be the only one of this machine who notifies, and the last one at least a second ago."""
    fd = os.open(turns, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if not is_taken(fd, patience=_PATIENCE):
            raise NotDeliveredError("other notifications are still being delivered")
        status = os.fstat(fd)
        if status.st_size:  # empty until the first one
            time.sleep(min(_GAP, max(0.0, status.st_mtime + _GAP - time.time())))
        try:
            yield
        finally:
            os.pwrite(fd, b".", 0)  # its time is that of the last notification
    finally:
        os.close(fd)
