"""Whether Unraid is stopping its array, read anew at every look: the disks are unmounted right afterwards."""

from pathlib import Path

from rebalancer.array.unraid.ini import STATE, read_flat

_VAR = "var.ini"
_KEY = "fsState"  # Stopped Starting Started Stopping Formatting Copying Clearing (webgui, ArrayOperation.page)


class StoppingLook:
    """Tells an array that is being stopped from one that was not started yet; remembers what it saw."""

    def __init__(self, root: Path) -> None:
        self._path = root / STATE / _VAR
        self._was_started = False

    def is_stopping(self) -> bool:
        """Return whether the array stops now, or has stopped since it was seen started.

        A file that is missing or torn says nothing: whether work may begin then is for others to judge.
        """
        state = read_flat(self._path, frozenset({_KEY})).get(_KEY, "")
        self._was_started = self._was_started or state == "Started"
        return state == "Stopping" or (state == "Stopped" and self._was_started)
