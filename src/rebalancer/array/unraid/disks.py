"""The data disks of an Unraid array, as emhttpd describes them; what is unknown is never taken for good."""

from dataclasses import replace
from pathlib import Path

from rebalancer.array.candidate import Candidate
from rebalancer.array.disk import DiskStatus
from rebalancer.array.unraid.array_wide import ArrayWide, array_wide
from rebalancer.array.unraid.ini import STATE, read, read_flat
from rebalancer.array.unraid.state import objection_of
from rebalancer.array.unraid.values import DISK_NAME, is_empty_slot

_DISK_KEYS = frozenset({"name", "device", "status", "type", "color", "fsStatus", "fsMountpoint"})
_ARRAY_KEYS = frozenset({"mdState", "fsState", "startMode"})
_EMULATED = frozenset({"DISK_DSBL", "DISK_NP_MISSING", "DISK_WRONG", "DISK_DSBL_NEW"})


def is_unraid(root: Path) -> bool:
    return (root / STATE / "disks.ini").exists()


def data_disks(root: Path) -> tuple[Candidate, ...]:
    """Return the assigned data disks below a root, each with what Unraid says against using it.

    Empty slots, parity, pools and the flash stick are no data disks. Files that are missing, empty or torn
    give disks that are refused, or none. A disk that is kept out of all shares, or is being emptied, takes no part.
    """
    objection = objection_of(read_flat(root / STATE / "var.ini", _ARRAY_KEYS))
    slots = read(root / STATE / "disks.ini", _DISK_KEYS)
    found = (_candidate(section, values, root, objection) for section, values in slots.items())
    disks = sorted((disk for disk in found if disk is not None), key=lambda disk: int(disk.name[4:]))
    wide = array_wide(root)
    return tuple(_held_out(disk, wide) for disk in disks)


def stranger(path: Path, root: Path) -> str:
    """Return why something below ``/mnt`` that is no assigned data disk is not worked on; empty for any other path.

    Pools, remote shares, unassigned disks and the views of the shares lie there; a share spreads over data disks only.
    """
    return f"{path} is no data disk of the array" if path.is_relative_to(root / "mnt") else ""


def _held_out(disk: Candidate, wide: ArrayWide) -> Candidate:
    reason = wide.against(disk.name) if disk.status is DiskStatus.OK else ""
    return replace(disk, status=DiskStatus.EXCLUDED, reason=reason) if reason else disk


def _candidate(section: str, values: dict[str, str], root: Path, array_objection: str) -> Candidate | None:
    name = values.get("name", section)
    if not DISK_NAME.fullmatch(name) or values.get("type", "Data") != "Data":
        return None
    if is_empty_slot(values):
        return None
    status, reason = _judge(name, values)
    if array_objection and status is not DiskStatus.DISABLED:
        status, reason = DiskStatus.NOT_MOUNTED, array_objection
    return Candidate(path=root / "mnt" / name, name=name, status=status, reason=reason)


def _judge(name: str, values: dict[str, str]) -> tuple[DiskStatus, str]:
    if reason := _unhealthy(name, values):
        return DiskStatus.DISABLED, reason
    mounted = values.get("fsStatus", "")
    if mounted != "Mounted":
        return DiskStatus.NOT_MOUNTED, f"Unraid has not mounted {name} ({mounted or 'unknown'})"
    return DiskStatus.OK, ""


def _unhealthy(name: str, values: dict[str, str]) -> str:
    status, color, place = (values.get(key, "") for key in ("status", "color", "fsMountpoint"))
    if status in _EMULATED:
        return f"Unraid emulates {name} ({status}): repair the array first"
    if status != "DISK_OK":
        return f"Unraid says {name} is {status or 'in an unknown state'}"
    if not color.startswith("green"):
        return f"Unraid shows {name} as {color or 'unknown'}, not green"
    if not values.get("device") or values.get("type") != "Data":
        return f"what Unraid says of {name} is incomplete"
    return "" if place in {"", f"/mnt/{name}"} else f"Unraid mounts {name} at an unexpected place ({place})"
