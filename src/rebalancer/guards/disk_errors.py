"""Holds work while a disk of the array is not well, and ends it when a disk has new errors."""

from collections.abc import Iterator, Mapping

from rebalancer.array.unraid.heat import DiskHealth
from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold


class DiskErrorsGuard:
    """Looks at every disk of the array, for each write changes parity too.

    With a disk emulated or parity invalid, a second failure loses data: nothing moves until that is repaired.
    """

    name = "disk-errors"

    def __init__(self) -> None:
        self._errors_before: dict[str, int] = {}  # as first seen, by the name of the disk

    def look(self, moment: Moment) -> Hold | None:
        if not moment.is_unraid:
            return None
        disks = moment.array_disks
        if not disks:
            return Hold(guard=self.name, reason="how the disks are cannot be read from disks.ini", about="unknown")
        new_errors = dict(self._new_errors(disks))
        unwell = {disk.name: _condition(disk) for disk in disks.values() if not disk.is_well}
        if not new_errors and not unwell:
            return None
        return Hold(
            guard=self.name,
            reason="; ".join([*new_errors.values(), *unwell.values()]),
            about=", ".join(sorted({*new_errors, *unwell})),
            ends_work=bool(new_errors),
        )

    def _new_errors(self, disks: Mapping[str, DiskHealth]) -> Iterator[tuple[str, str]]:
        for disk in disks.values():
            if disk.errors is None:
                continue
            before = self._errors_before.setdefault(disk.name, disk.errors)
            if disk.errors > before:
                count = disk.errors - before
                plural = "" if count == 1 else "s"
                yield disk.name, f"{disk.name} has had {count} new error{plural} since this run began: look at it first"


def _condition(disk: DiskHealth) -> str:
    return f"{disk.name} is not well: Unraid says {disk.status or 'nothing'} and shows {disk.color or 'nothing'}"
