"""Holds work while Unraid's mover, or a tuned variant of it, moves files between the pools and the array."""

from contextlib import suppress
from pathlib import Path

from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold
from rebalancer.guards.processes import Process, Processes

PID_FILE = "var/run/mover.pid"  # `mover status` believes it blindly (webgui, sbin/mover); it may be stale
_MOVER, _TUNED = frozenset({"mover", "mover.old", "move"}), "age_mover"  # the latter is the Mover Tuning plugin's
_ASKING = frozenset({"status", "stop"})  # `mover status` moves nothing


class MoverGuard:
    """Believes living processes, and Unraid's own word; a pid file only when its process is a mover."""

    name = "mover"

    def look(self, moment: Moment) -> Hold | None:
        if not moment.is_unraid:
            return None
        reason = (
            _by_pid_file(moment.root / PID_FILE, moment.others)
            or _by_process(moment.others)
            or ("the mover runs (var.ini: shareMoverActive)" if moment.array.is_mover_active else "")
        )
        return Hold(guard=self.name, reason=reason, about=reason.partition(" (")[0]) if reason else None


def _by_pid_file(path: Path, others: Processes) -> str:
    text = ""
    with suppress(OSError):
        text = path.read_text("ascii", "replace").strip()
    if not text:
        return ""
    if not others.are_all_seen:  # from inside a container it cannot be told whether the process lives
        return f"the mover runs as far as can be seen from this container ({path.name} says pid {text})"
    process = others.get(int(text)) if text.isascii() and text.isdecimal() else None
    is_mover = process is not None and any("mover" in word for word in process.arguments)
    return f"the mover runs (pid {text})" if is_mover else ""


def _by_process(others: Processes) -> str:
    for process in others:
        if process.name == _TUNED:
            return f"the mover of the Mover Tuning plugin runs ({_TUNED}, pid {process.pid})"
        if process.name in _MOVER and not _is_asking(process):
            named = "" if process.name == "mover" else f"{process.name}, "
            return f"the mover runs ({named}pid {process.pid})"
    return ""


def _is_asking(process: Process) -> bool:
    return process.words[-1] in _ASKING
