"""A path that may be a disk, as one of the sources named it, before anybody looked at it."""

from dataclasses import dataclass
from pathlib import Path

from rebalancer.array.disk import DiskStatus
from rebalancer.quantities import Reserve


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """``status`` and ``reason`` are what the source itself says against it; looking at it may add to that."""

    path: Path
    name: str = ""  # empty: the last part of the path
    size_limit: int | None = None  # bytes; None: the path must be a mount point
    reserve: Reserve | None = None  # what the settings keep free
    floor: int = 0  # bytes that the pool of this disk keeps free
    status: DiskStatus = DiskStatus.OK
    reason: str = ""
    receives: bool = True
    gives: bool = True
