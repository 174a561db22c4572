"""A plan as plain data: the moves in order, what the disks will look like, and what stays and why."""

from msgspec import Struct

from rebalancer import names
from rebalancer.inventory.unit import Member, UnitKind


class Move(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One unit from one disk to another; disks by name, ``path`` relative to the disk's root."""

    share: str
    path: str
    size_bytes: int
    files: int
    source: str
    destination: str
    path_base64: str = ""
    kind: UnitKind = UnitKind.FOLDER
    also: tuple[Member, ...] = ()
    wave: int = 0  # moves of one wave that share no disk may run at the same time
    floor_bytes: int = 0  # what its share wants free on the destination, beside the disk's reserve

    @property
    def raw_path(self) -> bytes:
        return names.decode(self.path, self.path_base64)

    @property
    def members(self) -> tuple[Member, ...]:
        return (Member(path=self.path, path_base64=self.path_base64), *self.also)


class PlannedDisk(Struct, frozen=True, kw_only=True):
    name: str
    path: str
    size_bytes: int
    used_bytes: int
    planned_used_bytes: int
    reserve_bytes: int


class LeftBehind(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A unit that stays although it was looked at, and why."""

    disk: str
    path: str
    reason: str
    path_base64: str = ""
    size_bytes: int = 0


class Plan(Struct, frozen=True, kw_only=True):
    """What would be done, in order. Spread: highest minus lowest used percent, in percentage points."""

    strategy: str
    disks: tuple[PlannedDisk, ...]
    moves: tuple[Move, ...]
    bytes_to_move: int
    lower_bound_bytes: int
    spread_before: float
    spread_after: float
    left_behind: tuple[LeftBehind, ...] = ()
    excess_percent: float = 0.0  # how far the bytes to move are above the lower bound
    best_spread: float = 0.0  # what could be reached if units were divisible
    coarseness: str = ""  # why the tolerance was missed; empty when it was reached
