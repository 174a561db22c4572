"""Asks work to stop as soon as Unraid stops its array, whatever the work is doing or waiting for."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rebalancer.array.unraid.disks import is_unraid
from rebalancer.array.unraid.stopping import StoppingLook
from rebalancer.cancel import Cancel

ARRAY_STOPS = "the array is being stopped"
ACTOR = "Unraid"  # who cancels in that case
_LOOK_EVERY = 0.5  # seconds; one small file in memory is read


@contextmanager
def stops_with_the_array(cancel: Cancel, *, root: Path) -> Iterator[None]:
    """Ask the work of the block to stop within a second of the array's stop; on other machines nothing is watched.

    A thread looks, so that it is seen in every phase: Unraid unmounts the disks a moment later, and whatever is
    open below one of them keeps the array from stopping.
    """
    if not is_unraid(root):
        yield
        return
    sight, is_over = StoppingLook(root), threading.Event()

    def look() -> None:
        if sight.is_stopping():
            cancel.request(ARRAY_STOPS)

    thread = threading.Thread(target=_watch, args=(look, cancel, is_over), daemon=True)
    cancel.look = look
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _watch(look: Callable[[], None], cancel: Cancel, is_over: threading.Event) -> None:
    while not cancel.is_requested:
        look()
        if is_over.wait(_LOOK_EVERY):
            return
