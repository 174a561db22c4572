"""Who is logged in: in memory, and as digests in the runtime folder, so that a restart of the server logs nobody out."""

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from msgspec import Struct

from rebalancer import records
from rebalancer.errors import RebalancerError
from rebalancer.state import StateFolders, ensure
from rebalancer.web.credentials import digest_of

MOST = 25  # sessions; the one that was idle for longest goes for a new one
LONGEST = 7 * 86400.0  # seconds
LONGEST_IDLE = 86400.0  # seconds
_MOST_NOTES = 5


class _Kept(Struct, frozen=True):
    digest: str
    csrf: str
    begun: float
    used: float


@dataclass(eq=False, slots=True)
class Session:
    """One browser that gave the password; times are seconds since 1970 (UTC)."""

    digest: str
    csrf: str
    begun: float
    used: float
    notes: list[str] = field(default_factory=list)  # what the next page says first

    def tell(self, note: str) -> None:
        """Have the next page say this."""
        self.notes[:] = [*self.notes, note][-_MOST_NOTES:]

    def take_notes(self) -> list[str]:
        taken, self.notes[:] = list(self.notes), []
        return taken


class Sessions:
    """Opens, finds and closes sessions; ``clock`` returns seconds since 1970 (UTC). Safe to use from many threads."""

    def __init__(self, folders: StateFolders, *, clock: Callable[[], float]) -> None:
        self._path = folders.runtime / "dashboard" / "sessions.json"
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions = {one.digest: one for one in self._read()}

    def open(self) -> tuple[str, Session]:
        """Begin a session; returns its secret, for the cookie only, and the session."""
        secret, now = secrets.token_urlsafe(32), self._clock()
        session = Session(digest=digest_of(secret), csrf=secrets.token_urlsafe(32), begun=now, used=now)
        with self._lock:
            self._drop_expired(now)
            while len(self._sessions) >= MOST:
                del self._sessions[min(self._sessions.values(), key=lambda one: one.used).digest]
            self._sessions[session.digest] = session
            self._keep()
        return secret, session

    def find(self, secret: str, *, since: float) -> Session | None:
        """Return the session of a cookie; None when it is over, or began before ``since``."""
        now = self._clock()
        with self._lock:
            session = self._sessions.get(digest_of(secret))
            if session is None or not _counts(session, now) or session.begun < since:
                return None
            session.used = now
            return session

    def close(self, session: Session) -> None:
        with self._lock:
            self._sessions.pop(session.digest, None)
            self._keep()

    def _drop_expired(self, now: float) -> None:
        for session in [one for one in self._sessions.values() if not _counts(one, now)]:
            del self._sessions[session.digest]

    def _keep(self) -> None:
        """Write them down; without a runtime folder a restart of the server asks for the password again."""
        kept = [_Kept(one.digest, one.csrf, one.begun, one.used) for one in self._sessions.values()]
        with suppress(OSError, RebalancerError):
            ensure(self._path.parent)
            records.write(self._path, kept, durable=False)

    def _read(self) -> list[Session]:
        try:
            kept = records.read(self._path, list[_Kept])
        except RebalancerError:
            return []
        return [Session(one.digest, one.csrf, one.begun, one.used) for one in kept[:MOST]]


def _counts(session: Session, now: float) -> bool:
    return 0 <= now - session.begun < LONGEST and 0 <= now - session.used < LONGEST_IDLE
