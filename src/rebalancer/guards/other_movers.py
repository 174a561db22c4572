"""Holds work while another program moves files between the disks: two movers must not meet in one folder."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rebalancer.array.disk import Disk
from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold
from rebalancer.guards.processes import Process, Processes

_MOVERS = frozenset(
    {"mergerfs.balance", "mergerfs.consolidate", "mergerfs.dedup", "diskmv", "consld8", "snapraid-balance"}
)
_COPIERS = frozenset({"rsync", "mv"})  # move between disks when they are told of one, or stand on one
_UNBALANCED = frozenset({"unbalanced", "unbalance"})  # a daemon that is always there; at work when it has a child
_FILE_MANAGER = "var/tmp/file.manager"  # .active holds its job, .pid its process (webgui, nchan/file_manager)
_DISK = re.compile(r"(?:^|[=:])(/mnt/disk[1-9]\d?)(?=/|$)", re.ASCII)


class OtherMoversGuard:
    """Asks for the programs that are known to move between disks; never for our own."""

    name = "other-movers"

    def look(self, moment: Moment) -> Hold | None:
        reason = _by_file_manager(moment.root / _FILE_MANAGER, moment.others) or _by_process(moment)
        return Hold(guard=self.name, reason=reason, about=reason.partition(" (")[0]) if reason else None


def _by_file_manager(stem: Path, others: Processes) -> str:
    """Return what speaks for a job of Unraid's File Manager; its files say nothing once its process has ended."""
    if not stem.with_suffix(stem.suffix + ".active").exists():
        return ""
    pid = ""
    with suppress(OSError):
        pid = stem.with_suffix(stem.suffix + ".pid").read_text("ascii", "replace").strip()
    if not pid or not others.are_all_seen:
        return f"Unraid's File Manager has a job ({stem.name}.active exists)"
    is_alive = pid.isascii() and pid.isdecimal() and others.get(int(pid)) is not None
    return f"Unraid's File Manager is at work (pid {pid})" if is_alive else ""


def _by_process(moment: Moment) -> str:
    daemons = {process.pid: process.name for process in moment.others if process.name.lower() in _UNBALANCED}
    for process in moment.others:
        if process.name in _MOVERS:
            return f"{process.name} moves files between disks (pid {process.pid})"
        if daemons and process.pid not in daemons and (daemon := daemons.get(process.parent)):
            return f"{daemon} is at work ({process.name}, pid {process.pid})"
        if process.name in _COPIERS and (disk := _disk_of(process, moment.disks)):
            return f"{process.name} works on {disk} (pid {process.pid})"
    return ""


def _disk_of(process: Process, disks: Sequence[Disk]) -> str:
    """Return the disk that a program was told of or stands on, among those at work and all of Unraid's."""
    for word in (*process.arguments[1:], process.folder):
        if named := next((disk.name for disk in disks if _is_below(word, disk.path)), ""):
            return named
        if match := _DISK.search(word):
            return match[1].rpartition("/")[2]
    return ""


def _is_below(word: str, path: str) -> bool:
    return word == path or word.startswith(f"{path}/")
