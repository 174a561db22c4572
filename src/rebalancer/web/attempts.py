"""How often a wrong password may be tried, told apart by the socket's other end: no header is believed."""

import math
import threading
from collections.abc import Callable

ALLOWED = 5  # wrong passwords
WITHIN = 300.0  # seconds
_MOST_PEERS = 1000


class Attempts:
    """Counts wrong passwords; ``clock`` returns seconds that never go back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failed: dict[str, list[float]] = {}

    def seconds_to_wait(self, peer: str) -> int:
        """Return how long that peer has to wait before it may try again; 0 when it may now."""
        with self._lock:
            recent = self._recent(peer)
            return 0 if len(recent) < ALLOWED else math.ceil(recent[-ALLOWED] + WITHIN - self._clock())

    def failed(self, peer: str) -> None:
        with self._lock:
            recent = [*self._recent(peer), self._clock()][-ALLOWED:]
            self._failed.pop(peer, None)
            while len(self._failed) >= _MOST_PEERS:  # who tried longest ago is forgotten first
                del self._failed[next(iter(self._failed))]
            self._failed[peer] = recent

    def succeeded(self, peer: str) -> None:
        with self._lock:
            self._failed.pop(peer, None)

    def _recent(self, peer: str) -> list[float]:
        since = self._clock() - WITHIN
        return [at for at in self._failed.get(peer, []) if at > since]
