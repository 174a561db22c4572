"""A pause by hand: a note beside the live progress, which the execution's supervisor takes for one more hold."""

import os
from pathlib import Path

from msgspec import Struct

from rebalancer import records
from rebalancer.errors import NotFoundError, RebalancerError
from rebalancer.guards.hold import Hold
from rebalancer.state import StateFolders, ensure

GUARD = "by hand"


class PauseNote(Struct, frozen=True, kw_only=True):
    """Who paused an execution and why; ``since`` is seconds since 1970 (UTC)."""

    reason: str
    actor: str
    since: float


def pause(folders: StateFolders, execution_id: str, note: PauseNote) -> None:
    """Leave the note; it need not survive a reboot, as no execution does. Raises OSError and RefusedError."""
    path = _path(folders, execution_id)
    ensure(path.parent)
    records.write(path, note, durable=False)


def let_go(folders: StateFolders, execution_id: str) -> bool:
    """Take the note away; returns whether there was one. Raises OSError."""
    try:
        _path(folders, execution_id).unlink()
    except FileNotFoundError:
        return False
    return True


def holds_of(folders: StateFolders, execution_id: str) -> list[Hold]:
    """Return what a note says; a note that cannot be read pauses all the same: somebody wanted it."""
    try:
        note = records.read(_path(folders, execution_id), PauseNote)
    except NotFoundError:
        return []
    except RebalancerError:
        return [Hold(guard=GUARD, reason="paused by hand")]
    return [Hold(guard=GUARD, reason=f"paused by {note.actor}{f': {note.reason}' if note.reason else ''}")]


def is_paused(folders: StateFolders, execution_id: str) -> bool:
    """Return whether somebody paused an execution and nobody let it go on."""
    return os.path.lexists(_path(folders, execution_id))


def _path(folders: StateFolders, execution_id: str) -> Path:
    return folders.pauses / f"{execution_id}.json"
