"""What the processes of one worker share: whether to wait or to stop, the bandwidth used so far, and two locks."""

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

_STOP, _PAUSE, _DUE = 0, 1, 8  # places in the page
_QUIET = bytes(2)
_BUDGET, _FOLDERS = 0, 1  # bytes that are locked, of a file that has none
_TIME = struct.Struct("=d")


class Shared:
    """A page of memory that stays everybody's after a fork (mmap(2), MAP_SHARED).

    The locks are those of a file in memory (memfd_create(2)), and end with whoever holds them (fcntl(2)).
    """

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self._locks = os.memfd_create("rebalancer-locks", os.MFD_CLOEXEC)

    @property
    def is_asking(self) -> bool:
        """Whether a pause or a stop is asked for."""
        return self._page[: _PAUSE + 1] != _QUIET

    @property
    def is_stopped(self) -> bool:
        return bool(self._page[_STOP])

    def stop(self) -> None:
        self._page[_STOP] = 1

    @property
    def is_paused(self) -> bool:
        return bool(self._page[_PAUSE])

    @is_paused.setter
    def is_paused(self, value: bool) -> None:
        self._page[_PAUSE] = value

    def book(self, seconds: float, *, not_before: float) -> float:
        """Take so many seconds of the bandwidth after what others took; return when they are over (monotonic)."""
        with self._locked(_BUDGET):
            (due,) = _TIME.unpack_from(self._page, _DUE)
            due = max(due, not_before) + seconds
            _TIME.pack_into(self._page, _DUE, due)
        return float(due)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Change folders that another move may change too, one process at a time."""
        with self._locked(_FOLDERS):
            yield

    @contextmanager
    def _locked(self, place: int) -> Iterator[None]:
        fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, place)
        try:
            yield
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, place)
