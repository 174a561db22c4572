"""Asking work to stop or to wait: signals only set the token, the loops that do the work look at it."""

from collections.abc import Callable

from rebalancer.errors import CancelledError


class Cancel:
    """A request to stop, looked at by every loop over units and over chunks."""

    def __init__(self) -> None:
        self.reason = ""
        self.look: Callable[[], None] = _nothing  # lets whoever knows of a reason to stop say so now, not in a moment

    @property
    def is_requested(self) -> bool:
        return bool(self.reason)

    def request(self, reason: str = "cancelled") -> None:
        """Ask for a stop; the first reason stands."""
        self.reason = self.reason or reason

    def check(self) -> None:
        """Raise CancelledError once a stop was asked for."""
        if self.reason:
            raise CancelledError(self.reason)


def _nothing() -> None:
    return
