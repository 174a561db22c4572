"""Who is logged in: in memory, and as digests in the runtime folder, so that a restart of the server logs nobody out."""

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from msgspec import Struct

from rebalancer import records
from rebalancer.errors import RebalancerError
from rebalancer.state import StateFolders, ensure, refuse_if_open_to_others
from rebalancer.web.credentials import digest_of

MOST = 25  # sessions; the one that was idle for longest goes for a new one
LONGEST = 7 * 86400.0  # seconds
LONGEST_IDLE = 86400.0  # seconds
_KEPT_EVERY = 3600.0  # seconds after which it is written down that a session was used
_MOST_NOTES = 5


class _Kept(Struct, frozen=True):
    digest: str
    csrf: str
    era: str
    begun: float
    used: float


@dataclass(eq=False, slots=True)
class Session:
    """One browser that gave the password of an era; times are seconds since 1970 (UTC)."""

    digest: str
    csrf: str
    era: str
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
        self._kept_at = clock()
        self._sessions = {one.digest: one for one in self._read()}

    def open(self, era: str) -> tuple[str, Session]:
        """Begin a session of the password in force; returns its secret, for the cookie only, and the session."""
        secret, now = secrets.token_urlsafe(32), self._clock()
        session = Session(digest_of(secret), csrf=secrets.token_urlsafe(32), era=era, begun=now, used=now)
        with self._lock:
            self._drop_expired(now)
            while len(self._sessions) >= MOST:
                del self._sessions[min(self._sessions.values(), key=lambda one: one.used).digest]
            self._sessions[session.digest] = session
            self._keep()
        return secret, session

    def find(self, secret: str, *, era: str) -> Session | None:
        """Return the session of a cookie; None when it is over, or of the password of another era."""
        return self._used(digest_of(secret), era)

    def goes_on(self, session: Session, *, era: str) -> bool:
        """Return whether a session that was found before still counts; to ask is to use it."""
        return self._used(session.digest, era) is session

    def close(self, session: Session) -> None:
        with self._lock:
            self._sessions.pop(session.digest, None)
            self._keep()

    def keep(self) -> None:
        """Write down when each was used last: the server is about to end."""
        with self._lock:
            if self._sessions:
                self._keep()

    def _used(self, digest: str, era: str) -> Session | None:
        now = self._clock()
        with self._lock:
            session = self._sessions.get(digest)
            if session is None or not _counts(session, now) or session.era != era:
                return None
            session.used = now
            if abs(now - self._kept_at) > _KEPT_EVERY:
                self._keep()
            return session

    def _drop_expired(self, now: float) -> None:
        for session in [one for one in self._sessions.values() if not _counts(one, now)]:
            del self._sessions[session.digest]

    def _keep(self) -> None:
        """Write them down; without a runtime folder a restart of the server asks for the password again."""
        self._kept_at = self._clock()
        kept = [_Kept(one.digest, one.csrf, one.era, one.begun, one.used) for one in self._sessions.values()]
        with suppress(OSError, RebalancerError):
            ensure(self._path.parent)
            records.write(self._path, kept, durable=False)

    def _read(self) -> list[Session]:
        if not self._path.exists():
            return []
        try:
            ensure(self._path.parent)  # others could have put sessions of theirs there
            refuse_if_open_to_others(self._path)
            kept = records.read(self._path, list[_Kept])
        except (RebalancerError, OSError):
            return []
        return [Session(one.digest, one.csrf, one.era, one.begun, one.used) for one in kept[:MOST]]


def _counts(session: Session, now: float) -> bool:
    return 0 <= now - session.begun < LONGEST and 0 <= now - session.used < LONGEST_IDLE
