"""All guards of an execution, asked together: work goes on only when none of them holds it."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rebalancer.array.disk import Disk
from rebalancer.guards.guard import Guard, Moment
from rebalancer.guards.hold import Hold
from rebalancer.guards.processes import Processes


@dataclass(slots=True)
class Watch:
    """Asks the guards of one execution. ``clock`` is monotonic, in seconds."""

    root: Path
    guards: Sequence[Guard]
    clock: Callable[[], float]
    processes: Callable[[], frozenset[int]] = field(default=lambda: frozenset({os.getpid()}))

    def holds(self, disks: Sequence[Disk]) -> list[Hold]:
        """Return every hold there is now, in the order of the guards."""
        return list(self._holds(disks)) if self.guards else []

    def _holds(self, disks: Sequence[Disk]) -> Iterator[Hold]:
        own = self.processes()
        moment = Moment(at=self.clock(), root=self.root, disks=disks, own=own, others=Processes(own))
        for guard in self.guards:
            try:
                hold = guard.look(moment)
            except Exception as error:  # noqa: BLE001 - a guard that cannot look does not know that all is well
                what = f"{type(error).__name__}: {error}".rstrip(": ")
                hold = Hold(guard=guard.name, reason=f"the guard {guard.name} cannot look: {what}")
            if hold is not None:
                yield hold
