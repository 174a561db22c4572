"""Holds work while a backup reads the files: one that meets a file between two disks may miss it."""

from pathlib import Path

from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold
from rebalancer.guards.processes import Process

_MARKS = {  # below the root; on Unraid /tmp is memory, so that none outlives a reboot
    "tmp/appdata.backup/running": "the Appdata Backup plugin",
    "tmp/ca.backup2/tempFiles/backupInProgress": "the CA Backup plugin",
}
_BACKING_UP = {  # what a program is told when it makes a backup; restoring, checking and mounting are others' business
    "restic": (("backup",),),
    "rustic": (("backup",),),
    "borg": (("create",),),
    "duplicacy": (("backup",),),
    "kopia": (("snapshot", "create"), ("snap", "create")),
}
_RCLONE = frozenset({"sync", "copy", "move", "bisync", "copyto", "moveto"})
_ARRAY = "/mnt/"


class BackupsGuard:
    """Asks for the marks of the backup plugins and for programs that are clearly making a backup."""

    name = "backups"

    def look(self, moment: Moment) -> Hold | None:
        for mark, what in _MARKS.items():
            if (moment.root / mark).exists():
                return Hold(guard=self.name, reason=f"{what} is at work ({Path('/') / mark} exists)", about=what)
        for process in moment.others:
            if _is_backup(process):
                reason = f"a backup runs ({process.name}, pid {process.pid})"
                return Hold(guard=self.name, reason=reason, about=process.name)
        return None


def _is_backup(process: Process) -> bool:
    name, *words = process.words
    if name == "rclone":  # copies anything anywhere: counts when it is given something of the array
        return any(word in _RCLONE for word in words) and any(word.startswith(_ARRAY) for word in words)
    return any(set(told) <= set(words) for told in _BACKING_UP.get(name, ()))
