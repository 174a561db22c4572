"""All guards of an execution, asked together: work goes on only when none of them holds it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rebalancer.array.disk import Disk
from rebalancer.guards.guard import Guard, Moment
from rebalancer.guards.hold import Hold
from rebalancer.guards.own import own_processes


@dataclass(slots=True)
class Watch:
    """Asks the guards of one execution. ``clock`` is monotonic, in seconds."""

    root: Path
    guards: Sequence[Guard]
    clock: Callable[[], float]
    processes: Callable[[], frozenset[int]] = own_processes

    def holds(self, disks: Sequence[Disk]) -> list[Hold]:
        """Return every hold there is now, in the order of the guards."""
        if not self.guards:
            return []
        moment = Moment(at=self.clock(), root=self.root, disks=disks, own=self.processes())
        return [hold for guard in self.guards if (hold := guard.look(moment)) is not None]
