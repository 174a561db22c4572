"""All guards of an execution, asked together: work goes on only when none of them holds it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rebalancer.array.disk import Disk
from rebalancer.guards.guard import Guard, Moment
from rebalancer.guards.hold import Hold


@dataclass(slots=True)
class Watch:
    """Asks the guards of one execution. ``clock`` is monotonic, in seconds."""

    root: Path
    guards: Sequence[Guard]
    clock: Callable[[], float]
    processes: Callable[[], frozenset[int]] = field(default=lambda: frozenset({os.getpid()}))

    def holds(self, disks: Sequence[Disk]) -> list[Hold]:
        """Return every hold there is now, in the order of the guards."""
        if not self.guards:
            return []
        moment = Moment(at=self.clock(), root=self.root, disks=disks, own=self.processes())
        return [hold for guard in self.guards if (hold := guard.look(moment)) is not None]
