"""Holds work while the machine is busy with something else."""

import os

from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold

LOAD_PER_PROCESSOR = 0.5  # runnable or waiting tasks per processor, over the last minute


class IdleGuard:
    """Asks the kernel for the load; a schedule chooses it with --when-idle."""

    name = "idle"

    def look(self, moment: Moment) -> Hold | None:  # noqa: ARG002 - the load is of the whole machine
        load, processors = measured_load()
        return hold_for_idleness(load=load, processors=processors)


def hold_for_idleness(*, load: float, processors: int) -> Hold | None:
    """Return a hold while the load of the last minute says that others work (getloadavg(3))."""
    if load <= LOAD_PER_PROCESSOR * processors:
        return None
    reason = f"the machine is busy: a load of {load:.1f} on {processors} processors over the last minute"
    return Hold(guard="idle", reason=reason)


def measured_load() -> tuple[float, int]:
    """Return the load of the last minute and the number of processors."""
    return os.getloadavg()[0], os.cpu_count() or 1
