"""How much a disk may take: its free space, the reserve that stays untouched, and what a unit costs there."""

from collections.abc import Iterable
from operator import attrgetter

from rebalancer.array.disk import Disk
from rebalancer.inventory.unit import Unit
from rebalancer.planning.limits import Constraints
from rebalancer.planning.selection import Selection
from rebalancer.quantities import parse_reserve

DEFAULT_RESERVE_PERCENT = 2
DEFAULT_RESERVE_CEILING = 20 * 2**30

_PER_FILE = 512  # inodes, extents and directory entries: a block of 4 KiB for every eight files


def reserve_of(disk: Disk, selection: Selection, constraints: Constraints | None = None) -> int:
    """Return the bytes that stay free on a disk at every moment.

    The largest of its own reserve, the selection's, its floor and the largest file that others may be writing.
    """
    own = disk.reserve_bytes or 0
    if constraints is not None:
        floors = (rule.floor_bytes for rule in constraints.disks if rule.disk == disk.name)
        own = max(own, constraints.in_flight_bytes, *floors, 0)
    if selection.reserve is not None:
        return max(own, parse_reserve(selection.reserve).of(disk.size_bytes))
    return max(own, min(disk.size_bytes * DEFAULT_RESERVE_PERCENT // 100, DEFAULT_RESERVE_CEILING))


def free_of(disk: Disk) -> int:
    """Return the bytes that can be written to a disk.

    A scanned disk says it itself. One written by hand names no file system and may leave it out:
    then it is what its size and its used space leave.
    """
    unused = max(0, disk.size_bytes - disk.used_bytes)
    if disk.free_bytes == 0 and not disk.filesystem:
        return unused
    return min(disk.free_bytes, unused)


def cost_of(unit: Unit) -> int:
    """Return what to set aside on the destination: the unit's size, 0.1 % for extents, 512 bytes for every file.

    Only feasibility is judged by it; the bytes of a plan are those of the units.
    """
    return unit.size_bytes + unit.size_bytes // 1000 + unit.files * _PER_FILE


def uncertainty(units: Iterable[Unit], total: int) -> float:
    """Return by what part of their bytes, of which there are ``total``, units may end larger or smaller than they were.

    File systems store small files inline or in blocks and keep inodes that are free again: hundreds of bytes a file.
    """
    files: int = sum(map(attrgetter("files"), units))
    return _PER_FILE * files / (total or 1)
