"""Holds work while others keep one of the disks busy."""

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rebalancer.array.disk import Disk
from rebalancer.guards import kernel
from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold
from rebalancer.guards.level import Readings, is_over
from rebalancer.quantities import format_size

_SECTOR = 512  # bytes; the unit of proc_diskstats(5) whatever the disk's own is
_PARTITION = re.compile(r"(md\d+)p\d+")
_Counts = tuple[int, int]  # bytes read and written since the device appeared


@dataclass(frozen=True, slots=True)
class _Reading:
    disks: dict[str, _Counts]  # by name
    own: dict[int, _Counts]  # by process


@dataclass(slots=True)
class DiskActivityGuard:
    """Holds while others read and write more than ``max_rate`` bytes per second on a disk, over the last 15 seconds.

    Of our own work only the sum over all disks is known, not which disk it went to. So while we work the figure for a
    disk is at most what others do on all disks at work together; while we are paused it is exact. What we write counts
    when we write it, and on the disk when it arrives, mostly within a second. Bytes that a kernel thread reads or writes
    for us (compression on btrfs) count as others'.
    """

    max_rate: int | None  # None: not looked at
    rest: Callable[[float], None] = time.sleep
    name: str = "disk-activity"
    _readings: Readings[_Reading] = field(init=False)
    _hold: Hold | None = None  # told in the same words until it lets go

    def __post_init__(self) -> None:
        self._readings = Readings(self.rest)

    def look(self, moment: Moment) -> Hold | None:
        """Return a hold while others are busy on a disk; the first look of all takes half a second."""
        if self.max_rate is None:
            return None
        if (disk := _first_without_row(moment)) is not None:
            return Hold(guard=self.name, reason=_untold(disk))
        readings = self._readings.add(moment.at, lambda: _read(moment))
        if readings is None:
            return Hold(guard=self.name, reason="how busy the disks are cannot be told from /proc/diskstats")
        seconds, before, now = readings
        rates = {name: amount / seconds for name, amount in _others(before, now).items()}
        busiest = max(rates, key=lambda name: rates[name], default="")
        rate = rates.get(busiest, 0.0)
        if not is_over(rate, self.max_rate, is_held=self._hold is not None):
            self._hold = None
        elif self._hold is None:
            figures = f"{format_size(rate)}/s on {busiest} (at most {format_size(self.max_rate)}/s)"
            self._hold = Hold(guard=self.name, reason=f"others read and write {figures}, taken over {seconds:.1f} s")
        return self._hold


def _read(moment: Moment) -> _Reading | None:
    rows = _rows(kernel.text(moment.root, "diskstats") or "")
    found = {disk.name: _row_of(disk, rows) for disk in moment.disks if disk.is_usable}
    known = {name: counts for name, counts in found.items() if counts is not None}
    return _Reading(known, kernel.bytes_of(moment.own)) if len(known) == len(found) else None


def _first_without_row(moment: Moment) -> Disk | None:
    rows = _rows(kernel.text(moment.root, "diskstats") or "")
    return next((disk for disk in moment.disks if disk.is_usable and _row_of(disk, rows) is None), None)


def _others(before: _Reading, now: _Reading) -> dict[str, float]:
    """Return the bytes that others read and wrote on each disk between two readings, at most."""
    own = [
        sum(max(0, counts[way] - before.own.get(process, (0, 0))[way]) for process, counts in now.own.items())
        for way in (0, 1)
    ]
    grown = {
        name: [max(0, counts[way] - before.disks[name][way]) for way in (0, 1)]
        for name, counts in now.disks.items()
        if name in before.disks
    }
    in_all = [max(0, sum(counts[way] for counts in grown.values()) - own[way]) for way in (0, 1)]
    return {name: float(sum(map(min, counts, in_all))) for name, counts in grown.items()}


# -- the row of a disk ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rows:
    """proc_diskstats(5), by device number and by name."""

    by_device: dict[tuple[int, int], str]  # the name
    by_name: dict[str, _Counts]


def _rows(diskstats: str) -> _Rows:
    by_device, by_name = {}, {}
    for line in diskstats.splitlines():
        fields = line.split()
        try:
            major, minor, read, written = (int(fields[number]) for number in (0, 1, 5, 9))
        except (ValueError, IndexError):
            continue
        by_device[major, minor] = fields[2]
        by_name[fields[2]] = (read * _SECTOR, written * _SECTOR)
    return _Rows(by_device, by_name)


def _row_of(disk: Disk, rows: _Rows) -> _Counts | None:
    """Return the counts of the device that a disk lies on; None when no row is its own."""
    for major, minor in _devices_of(disk):
        if (name := rows.by_device.get((major, minor))) is not None:
            return _counts(name, rows)
    return None


def _counts(name: str, rows: _Rows) -> _Counts:
    """Return a device's counts. Unraid's driver counts for the whole of mdN what goes to its only partition mdNp1.

    (``unraid_make_request`` of md_unraid, as published in qvr/nonraid: it adds to part0.) A driver that does count for
    the partition has the larger figures there.
    """
    read, written = rows.by_name[name]
    whole = rows.by_name.get(match[1]) if (match := _PARTITION.fullmatch(name)) else None
    return (max(read, whole[0]), max(written, whole[1])) if whole else (read, written)


def _devices_of(disk: Disk) -> Sequence[tuple[int, int]]:
    """Return the device numbers to look for: st_dev, and what is mounted; on btrfs st_dev names no block device.

    Of a btrfs over several devices the one that is named as its source stands for all.
    """
    found = [(os.major(disk.device), os.minor(disk.device))]
    if disk.mount_source.startswith("/dev/"):
        try:
            device = os.stat(disk.mount_source).st_rdev
        except OSError:
            return found
        found.append((os.major(device), os.minor(device)))
    return found


def _untold(disk: Disk) -> str:
    kind = f" ({disk.filesystem})" if disk.filesystem else ""
    return (
        f"how busy {disk.name} is cannot be told: its file system{kind} has no row of its own in /proc/diskstats; "
        "do without a limit of disk activity"
    )
