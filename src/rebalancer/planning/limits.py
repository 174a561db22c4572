"""What a plan must respect, as plain data: share rules, floors, pinned units, groups that stay together."""

import math

from msgspec import Struct


class ShareRule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the array's settings say about one share; disks by name."""

    share: str
    include: tuple[str, ...] = ()  # empty: every disk may hold it
    exclude: tuple[str, ...] = ()  # taken away from the included
    is_locked: bool = False  # nothing of it moves
    lock_reason: str = ""  # why not, as words after "nothing of it moves: "; empty: its settings say so
    split_level: int | None = None  # None: may be split anywhere; 0: stays; N: a folder N below the share is one unit
    floor_bytes: int = 0  # stays free on every disk that receives some of it
    floor_percent: float = 0.0  # the same, of the size of each disk

    def floor_on(self, disk_size: int) -> int:
        """Return the bytes that stay free on a disk of that many bytes."""
        return max(self.floor_bytes, math.ceil(disk_size * self.floor_percent / 100))


class DiskRule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What holds for one disk, by name, beside what the disk itself says."""

    disk: str
    is_excluded: bool = False  # from all shares (Unraid's global exclusion): it takes no part
    gives: bool = True
    receives: bool = True
    floor_bytes: int = 0  # stays free at every moment


class Immovable(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A path that something outside relies on: neither it, nor what is in it, nor a folder that holds it moves."""

    path: str  # relative to the disk's root; empty: all of the disk
    reason: str  # in words, such as "the Docker image of this server"
    disk: str = ""  # by name; empty: on every disk


class Begun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A unit that an unfinished operation has begun to move: it goes where it was going, or stays."""

    path: str
    source: str
    destination: str


class Constraints(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything a plan must respect beyond the selection; the default is no constraint at all."""

    shares: tuple[ShareRule, ...] = ()
    disks: tuple[DiskRule, ...] = ()
    pinned: tuple[str, ...] = ()  # globs as in `Selection.exclude`
    immovable: tuple[Immovable, ...] = ()
    keep_together: tuple[tuple[str, ...], ...] = ()  # groups of globs: what they match moves as one
    begun: tuple[Begun, ...] = ()
    in_flight_bytes: int = 0  # the largest file others may be writing: stays free on every disk that receives
