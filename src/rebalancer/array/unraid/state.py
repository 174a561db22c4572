"""What an Unraid server does as a whole: whether its array can be used, and what works on parity right now."""

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rebalancer.array.unraid.ini import STATE, read_flat
from rebalancer.array.unraid.values import number

MDSTAT = "proc/mdstat"  # Unraid's driver writes key=value there, unlike the md driver of other kernels
_MARKS = (STATE, "etc/unraid-version")

_USABLE = {"mdState": "STARTED", "fsState": "Started", "startMode": "Normal"}
_RESYNC = frozenset({"mdResync", "mdResyncPos", "mdResyncSize", "mdResyncDt", "mdResyncDb", "mdResyncAction"})
_KEYS = frozenset({*_USABLE, *_RESYNC, "shareMoverActive"})  # never the csrf_token
_KIB = 1024
_REBUILT = re.compile(r"D(\d+)", re.ASCII)


class Activity(Enum):
    """Whether an operation on parity is under way."""

    NONE = "none"
    RUNNING = "running"
    PAUSED = "paused"  #: begun and not ended: Unraid goes on with it some time
    UNKNOWN = "unknown"  #: nothing that can be believed says so


@dataclass(frozen=True, slots=True)
class ParityOperation:
    """A check, rebuild, sync or clear; None for what is not known."""

    activity: Activity
    action: str = ""  # as the driver names it: "check P", "recon D3", "clear"
    percent: float | None = None
    speed: int | None = None  # bytes per second

    @property
    def name(self) -> str:
        """What the driver's action means: ``the rebuild of disk3``."""
        verb, _, what = self.action.partition(" ")
        if verb == "check":
            return "a parity check" if what else "a read check"
        if verb == "recon":
            rebuilt = [f"disk{number}" for number in _REBUILT.findall(what)]
            return f"the rebuild of {' and '.join(rebuilt)}" if rebuilt else "a parity sync"
        return "the clearing of a new disk" if verb == "clear" else "a parity operation"


@dataclass(frozen=True, slots=True)
class ArrayState:
    """What the server says of itself at one moment."""

    objection: str  # why the array must not be used; empty when it may
    is_stopping: bool
    parity: ParityOperation
    is_mover_active: bool


def is_unraid_host(root: Path) -> bool:
    """Return whether anything below the root says Unraid, also where its state files are missing or not mapped."""
    return any((root / mark).exists() for mark in _MARKS) or bool(_mdstat(root))


def array_state(root: Path) -> ArrayState:
    """Return what var.ini and mdstat say now; what cannot be read is an objection or unknown, never good news."""
    said = read_flat(root / STATE / "var.ini", _KEYS)
    return ArrayState(
        objection=objection_of(said),
        is_stopping=said.get("fsState") == "Stopping",
        parity=_parity(_mdstat(root), said),
        is_mover_active=said.get("shareMoverActive") == "yes",
    )


def objection_of(said: dict[str, str]) -> str:
    """Return why an array with these values of var.ini must not be used; empty when nothing speaks against it.

    In maintenance mode the disks are started and nothing is mounted (webgui, ArrayOperation.page).
    """
    for key, wanted in _USABLE.items():
        value = said.get(key, "")
        if value != wanted:
            return f"the array is not started normally: {key} is {value or 'unknown'}"
    return ""


def _mdstat(root: Path) -> dict[str, str]:
    """Return what Unraid's driver says; nothing on a machine with another kernel."""
    path = root / MDSTAT
    return read_flat(path, _RESYNC) if path.exists() else {}


def _parity(fresh: dict[str, str], said: dict[str, str]) -> ParityOperation:
    """Judge by the driver's own words, and by emhttpd's, which are older, only where there are none."""
    for values in (fresh, said):
        position, resync = number(values.get("mdResyncPos", "")), number(values.get("mdResync", ""))
        if position is not None and resync is not None:
            return _operation(values, position=position, resync=resync)
    return ParityOperation(Activity.UNKNOWN)


def _operation(values: dict[str, str], *, position: int, resync: int) -> ParityOperation:
    """Tell idle, running and paused apart (md_unraid.c: a paused operation keeps its position and has no rest)."""
    if not position and not resync:
        return ParityOperation(Activity.NONE)
    size, seconds, done = (number(values.get(key, "")) for key in ("mdResyncSize", "mdResyncDt", "mdResyncDb"))
    return ParityOperation(
        activity=Activity.RUNNING if resync else Activity.PAUSED,
        action=values.get("mdResyncAction", ""),
        percent=100 * position / size if size else None,
        speed=done * _KIB // seconds if done and seconds else None,
    )
