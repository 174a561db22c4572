"""Walking down the units of a disk from the largest, past all that are too large, without looking at each."""

from bisect import bisect_right
from collections.abc import Sequence


class Walk:
    """Yields positions in a list of sizes (smallest first), each once, never one that was passed over."""

    __slots__ = ("_end", "_largest", "_sizes")

    def __init__(self, sizes: Sequence[int], largest: int) -> None:
        self._sizes = sizes
        self._largest = largest
        self._end = len(sizes)

    def next(self, most: int) -> int | None:
        """Return the largest unit left that is at most so large, and leave it behind."""
        self._end = bisect_right(self._sizes, min(most, self._largest), 0, self._end) - 1
        if self._end < 0:
            self._end = 0
            return None
        return self._end
