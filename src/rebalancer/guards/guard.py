"""What every guard is: something that looks and says "not now", with a reason and its evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from rebalancer.array.disk import Disk
from rebalancer.array.unraid.heat import DiskHealth, array_disks
from rebalancer.array.unraid.state import ArrayState, array_state, is_unraid_host
from rebalancer.guards.hold import Hold
from rebalancer.guards.processes import Processes


@dataclass(frozen=True)
class Moment:
    """What a guard looks at: when it is (seconds, monotonic), the disks at work, and the processes that are ours.

    What several guards ask the host for is read once, when the first of them asks.
    """

    at: float
    root: Path  # where the host's own files are looked up
    disks: Sequence[Disk]
    own: frozenset[int] = frozenset()  # process numbers: the supervisor and everything below it
    others: Processes = field(default_factory=Processes)  # the other programs; all guards of a look share one reading

    @cached_property
    def is_unraid(self) -> bool:
        return is_unraid_host(self.root)

    @cached_property
    def array(self) -> ArrayState:
        return array_state(self.root)

    @cached_property
    def array_disks(self) -> Mapping[str, DiskHealth]:
        """The health of the array's disks by name; empty when nothing tells."""
        return array_disks(self.root)


class Guard(Protocol):
    """One condition. It may remember what it saw, so each execution has its own."""

    name: str

    def look(self, moment: Moment) -> Hold | None:
        """Return why work must not start or go on now; None when nothing speaks against it.

        What it cannot find out is a reason to hold, in words, when the host is one on which it must be known.
        """
        ...
