"""What the user chose: which strategy, which disks, which units, and within which limits."""

from enum import Enum

from msgspec import Struct

MOST_MOVES_AT_ONCE = 16


class Strategy(Enum):
    EVEN = "even"  # all disks equally full
    TARGET = "target"  # no disk above a percentage
    EVACUATE = "evacuate"  # the disks that give end empty
    GATHER = "gather"  # scattered folders on one disk each
    PACK = "pack"  # as few disks as possible hold everything
    REPAIR = "repair"  # in line with the share rules, and no unit split over disks


class Verification(Enum):
    FULL = "full"  # both sides are read again from the medium
    FAST = "fast"  # the destination is read again and compared with the hash taken while copying


class Selection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The options that `plan`, `run` and schedules share. Sizes in bytes, durations in seconds."""

    strategy: Strategy = Strategy.EVEN
    target_percent: float = 80.0
    tolerance: float = 1.0  # percentage points between the fullest and the emptiest disk
    from_disks: tuple[str, ...] = ()  # empty: every disk may give
    to_disks: tuple[str, ...] = ()  # empty: every disk may receive
    paths: tuple[str, ...] = ()  # `gather`: folders relative to the disks' roots, the share included
    shares: tuple[str, ...] = ()  # empty: every share
    exclude_shares: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()  # globs over the path from the disk's root, and over its last name
    unit_depth: int = 1  # folders below the share
    min_unit_size: int = 0
    max_unit_size: int | None = None
    min_age: int = 0
    reserve: str | None = None  # a size or a percentage; None: `DEFAULT_RESERVE`
    max_bytes: int | None = None
    max_runtime: int | None = None
    bandwidth_limit: int | None = None  # bytes per second, of all moves together
    moves_at_once: int | None = None  # None: one with parity, else what the processors take
    verify: Verification = Verification.FULL
