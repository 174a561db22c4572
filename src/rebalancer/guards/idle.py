"""Holds work while the machine is busy with something else."""

import os

from rebalancer.guards.hold import Hold

LOAD_PER_PROCESSOR = 0.5  # runnable or waiting tasks per processor, over the last minute


def hold_for_idleness(*, load: float, processors: int) -> Hold | None:
    """Return a hold while the load of the last minute says that others work (getloadavg(3))."""
    if load <= LOAD_PER_PROCESSOR * processors:
        return None
    reason = f"the machine is busy: a load of {load:.1f} on {processors} processors over the last minute"
    return Hold(guard="idle", reason=reason)


def measured_load() -> tuple[float, int]:
    """Return the load of the last minute and the number of processors."""
    return os.getloadavg()[0], os.cpu_count() or 1
