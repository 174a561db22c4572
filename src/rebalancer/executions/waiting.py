"""What comes before the work: an execution waits until nothing holds it and its disks are free."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from rebalancer.cancel import Cancel
from rebalancer.errors import NotNowError
from rebalancer.executions.job import Job
from rebalancer.executions.locks import lock_disks
from rebalancer.guards.hold import Hold

_LOOK_EVERY = 2.0  # seconds between two looks at what holds it
_POLL = 0.1  # seconds between two looks at the request to stop


class HeldError(NotNowError):
    """What held an execution did not clear in the time that it may wait."""


def wait_for_turn(
    job: Job,
    *,
    locks: Path,
    holder: str,
    stack: ExitStack,
    cancel: Cancel,
    on_held: Callable[[Sequence[Hold]], None],
) -> Sequence[int]:
    """Take the locks of the job's disks as soon as nothing holds it; returns their descriptors.

    ``on_held`` hears of every change of what holds it. Raises NotNowError at once when the job may not wait,
    HeldError when its time to wait is over, CancelledError when it was asked to stop.
    """
    deadline = time.monotonic() + job.max_wait
    while True:
        cancel.check()
        holds = list(job.holds())
        disks = () if holds else job.disks()
        if disks:
            try:
                return lock_disks(disks, locks, holder=holder, stack=stack)
            except NotNowError as error:
                holds = [Hold(guard="disks", reason=str(error))]
        elif not holds:
            holds = [Hold(guard="array", reason="none of its disks can be used now")]
        reasons = "; ".join(hold.reason for hold in holds)
        if not job.max_wait:
            raise NotNowError(reasons)
        if time.monotonic() >= deadline:
            raise HeldError(f"it waited in vain: {reasons}")
        on_held(holds)
        _rest(cancel, until=min(deadline, time.monotonic() + _LOOK_EVERY))


def _rest(cancel: Cancel, *, until: float) -> None:
    while (left := until - time.monotonic()) > 0:
        cancel.check()
        time.sleep(min(left, _POLL))
