"""What comes before the work: an execution waits until nothing holds it and its disks are free."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.errors import NotNowError, RebalancerError
from rebalancer.executions.job import Job
from rebalancer.executions.locks import lock_disks
from rebalancer.guards.hold import Hold, in_words
from rebalancer.guards.options import NAMES

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

    ``on_held`` hears at every look what holds it. Raises NotNowError at once when the job may not wait, HeldError when
    its time to wait is over, CancelledError when it was asked to stop. The disks are looked at once, and again when
    nothing else holds it: whoever waits lets them sleep.
    """
    deadline = time.monotonic() + job.max_wait
    disks = _known_disks(job)
    while True:
        cancel.check()
        holds = list(job.holds(disks))
        if not holds:
            disks = job.disks()
            holds = list(job.holds(disks))
        if not disks and not holds:
            holds = [Hold(guard="array", reason="none of its disks can be used now")]
        if not holds:
            try:
                return lock_disks(disks, locks, holder=holder, stack=stack)
            except NotNowError as error:
                holds = [Hold(guard="disks", reason=str(error))]
        if not job.max_wait:
            raise NotNowError(f"{in_words(holds)}{advice(holds)}")
        if time.monotonic() >= deadline:
            raise HeldError(f"it waited in vain: {in_words(holds)}")
        on_held(holds)
        _rest(cancel, until=min(deadline, time.monotonic() + _LOOK_EVERY))


def advice(holds: Sequence[Hold]) -> str:
    """Return how to go on in spite of guards; empty where that cannot be asked for."""
    ignorable = " ".join(f"--ignore-guard {hold.guard}" for hold in holds if hold.guard in NAMES)
    return f" (to go on all the same: {ignorable})" if ignorable else ""


def _known_disks(job: Job) -> Sequence[Disk]:
    """Return the job's disks; none while that cannot be told, as before Unraid has started its array."""
    try:
        return job.disks()
    except RebalancerError:
        return ()


def _rest(cancel: Cancel, *, until: float) -> None:
    while (left := until - time.monotonic()) > 0:
        cancel.check()
        time.sleep(min(left, _POLL))
