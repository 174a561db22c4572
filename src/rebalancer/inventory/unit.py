"""What a scan found, as plain data: units, what was left alone, and the disks they were found on."""

from enum import Enum

from msgspec import Struct, field

from rebalancer import names
from rebalancer.array.disk import Disk


class UnitKind(Enum):
    FOLDER = "folder"
    FILE = "file"  # a loose file above the share's depth
    LINKS = "links"  # several folders or loose files tied together by hard links


class Member(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One folder or loose file of a unit, relative to the disk's root."""

    path: str
    path_base64: str = ""

    @property
    def raw_path(self) -> bytes:
        return names.decode(self.path, self.path_base64)


class Unit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The smallest thing the planner moves. ``size_bytes`` is what it occupies on its disk."""

    disk: str
    share: str
    path: str  # relative to the disk's root, the share included
    size_bytes: int
    files: int
    path_base64: str = ""
    apparent_bytes: int = 0  # the sum of the files' lengths, holes included
    kind: UnitKind = UnitKind.FOLDER
    also: tuple[Member, ...] = ()  # the further members of a LINKS unit
    newest_mtime: float = 0.0
    left_alone: str = ""  # why it must stay where it is; empty when it may move
    in_use: str = ""  # what of it is open for writing; it moves only when the goal cannot be reached without it

    @property
    def members(self) -> tuple[Member, ...]:
        return (Member(path=self.path, path_base64=self.path_base64), *self.also)


class LeftAlone(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something on a disk that belongs to no unit, and why."""

    disk: str
    path: str
    reason: str
    path_base64: str = ""


class Inventory(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a scan of the disks found. ``scanned_at`` is seconds since 1970 (UTC)."""

    disks: tuple[Disk, ...]
    units: tuple[Unit, ...]
    left_alone: tuple[LeftAlone, ...] = field(default=())
    scanned_at: float = 0.0
