"""What a plan must respect here: the rules in the owner's settings, and what unfinished operations have begun."""

from collections.abc import Iterable, Sequence

from rebalancer.array.disk import Disk
from rebalancer.planning.limits import Begun, Constraints, DiskRule, ShareRule
from rebalancer.settings import Settings
from rebalancer.transfer.operation import Operation


def constraints_of(settings: Settings, disks: Sequence[Disk], unfinished: Iterable[Operation]) -> Constraints:
    """Return the settings' rules as the planner reads them, and every unit that an operation has yet to settle."""
    return Constraints(
        shares=tuple(
            ShareRule(
                share=name,
                include=share.include,
                exclude=share.exclude,
                is_locked=share.locked,
                split_level=share.split_depth,
                floor_bytes=share.floor_bytes,
            )
            for name, share in settings.shares.items()
        ),
        disks=tuple(
            DiskRule(
                disk=name,
                is_excluded=limit.excluded,
                gives=limit.gives,
                receives=limit.receives,
                floor_bytes=limit.floor_bytes,
            )
            for name, limit in settings.limits.items()
        ),
        pinned=settings.pinned,
        keep_together=settings.keep_together,
        begun=tuple(one for operation in unfinished for one in _begun(operation, disks)),
    )


def _begun(operation: Operation, disks: Sequence[Disk]) -> Iterable[Begun]:
    """Yield the units of an operation with the names that its disks have now; a disk is known by its path."""
    now = {disk.path: disk.name for disk in disks}
    names = {disk.name: now[disk.path] for disk in operation.disks if disk.path in now}
    for move in operation.moves:
        for member in move.members:
            yield Begun(path=member.path, source=names[move.source], destination=names[move.destination])
