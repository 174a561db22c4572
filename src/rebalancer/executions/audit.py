"""Who controlled what, when, why and with which result: one line per action, kept apart from the records."""

import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, structs

from rebalancer import names, records
from rebalancer.errors import RefusedError
from rebalancer.state import ensure
from rebalancer.turns import is_taken

LIMIT = 2**20  # bytes; then the log is put aside and begun anew, and the one that was put aside before goes
_PATIENCE = 0.1  # seconds; a line is added even when a stopped process keeps its turn
_LONGEST = 500  # characters of what a person wrote


class Entry(Struct, frozen=True, kw_only=True):
    """One control action; ``at`` is seconds since 1970 (UTC)."""

    at: float
    actor: str
    action: str  # "cancel", "pause", "go on", "array stop", "suspend", "resume", "emergency stop", "hold" or "release"
    target: str  # the id of the execution or the schedule; empty when it concerns all of them
    reason: str
    result: str


def append(path: Path, entry: Entry) -> bool:
    """Add one line; returns whether that was possible. No control action fails because it could not be noted."""
    line = records.encode(_short(entry)) + b"\n"
    try:
        ensure(path.parent)
        with _opened(path) as fd:
            is_full = os.fstat(fd).st_size + len(line) > LIMIT
            if is_full and os.path.samestat(os.fstat(fd), path.stat()):
                path.replace(path.with_name(f"{path.stem}.1{path.suffix}"))
        with _opened(path) as fd:
            size = os.fstat(fd).st_size
            if os.write(fd, line) != len(line):
                os.ftruncate(fd, size)  # the disk is full: no torn line that the next one would be added to
                return False
    except (OSError, RefusedError):
        return False
    return True


def actor_of(environment: Mapping[str, str], *, uid: int) -> str:
    """Return who is asking: the user behind ``sudo``, else the one who logged in, else the process's user."""
    behind = environment.get("SUDO_USER") if uid == 0 else None
    return names.display(behind or environment.get("LOGNAME") or _name_of(uid))[:64]


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open the log, taking turns with others that add to it."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise RefusedError(f"{path} is not a regular file")
        is_taken(fd, patience=_PATIENCE)
        yield fd
    finally:
        os.close(fd)


def _short(entry: Entry) -> Entry:
    return structs.replace(
        entry, target=entry.target[:_LONGEST], reason=entry.reason[:_LONGEST], result=entry.result[:_LONGEST]
    )


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
