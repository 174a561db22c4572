"""How often a wrong password may be tried, told apart by the socket's other end: no header is believed."""

import ipaddress
import math
import threading
from collections.abc import Callable

ALLOWED = 5  # wrong passwords
WITHIN = 300.0  # seconds
_MOST_PEERS = 1000
_NETWORK = 64  # bits of an IPv6 address that one household has; the rest it may choose anew for each try


class Attempts:
    """Counts tries that may prove wrong; ``clock`` returns seconds that never go back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tried: dict[str, list[float]] = {}

    def begin(self, peer: str) -> int:
        """Count a try before it is looked at, so that many at once do not pass; returns 0 when it may be made.

        Otherwise returns how many seconds that peer has to wait, and nothing is counted.
        """
        with self._lock:
            recent, now = self._recent(source_of(peer)), self._clock()
            if len(recent) >= ALLOWED:
                return max(1, math.ceil(recent[-ALLOWED] + WITHIN - now))
            self._note(source_of(peer), [*recent, now])
            return 0

    def undo(self, peer: str) -> None:
        """Forget the newest try: it was never looked at."""
        with self._lock:
            self._note(source_of(peer), self._recent(source_of(peer))[:-1])

    def succeeded(self, peer: str) -> None:
        with self._lock:
            self._tried.pop(source_of(peer), None)

    def _note(self, source: str, tried: list[float]) -> None:
        self._tried.pop(source, None)
        while len(self._tried) >= _MOST_PEERS:  # who tried longest ago is forgotten first
            del self._tried[next(iter(self._tried))]
        if tried:
            self._tried[source] = tried

    def _recent(self, source: str) -> list[float]:
        since = self._clock() - WITHIN
        return [at for at in self._tried.get(source, []) if at > since]


def source_of(peer: str) -> str:
    """Return what counts as one source: an IPv4 address, however it is written, or a household's network of IPv6."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address.is_loopback:
        return str(address)
    return str(ipaddress.ip_network((address, _NETWORK), strict=False))
