"""One plan being carried out, as the file that makes it durable before the first byte moves."""

from msgspec import Struct, field

from rebalancer.array.disk import Disk
from rebalancer.array.medium import Medium
from rebalancer.planning.plan import Move
from rebalancer.planning.selection import Verification


class Operation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The write-ahead journal of the moves. Sizes in bytes, rates in bytes per second, ages in seconds.

    ``disks`` are all disks of the array as they were when the plan was made, so that one that was swapped
    or unmounted since is noticed, and so that a path is looked for on every one of them.
    """

    operation_id: str
    disks: tuple[Disk, ...]
    moves: tuple[Move, ...]
    reserves: dict[str, int]  # bytes to leave free, by disk name
    verify: Verification = Verification.FULL
    bandwidth_limit: int | None = None
    min_age: int = 0
    at_once: int = 1  # moves under way, at most
    media: dict[str, Medium] = field(default_factory=dict)  # what the disks rest on, by their names
    root: str = "/"  # where the system's own files are looked up
    execution_id: str = ""
    created_at: float = 0.0  # seconds since 1970 (UTC)
