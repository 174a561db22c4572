"""Who may ask: the password of the dashboard and the tokens of programs, of which only digests are kept."""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from rebalancer import records
from rebalancer.errors import NotFoundError, NotNowError, RebalancerError, RefusedError, UsageError
from rebalancer.schedules.validation import is_id
from rebalancer.state import StateFolders, ensure, refuse_if_open_to_others
from rebalancer.turns import turn_at

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST_PASSWORD = 10  # characters
LONGEST_PASSWORD = 200
MOST_TOKENS = 50
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another one
_PATIENCE = 5.0  # seconds for the lock; whoever holds it makes one digest and writes one small file
_VERIFICATIONS = 2  # at the same time: each takes 19 MiB, and whoever sends many must not take the machine's memory


class Token(Struct, frozen=True, kw_only=True):
    """What a program shows instead of a password; ``created_at`` is seconds since 1970 (UTC)."""

    name: str
    digest: str  # SHA-256 in hex; a token is random enough for that
    can_write: bool
    created_at: float


class Credentials(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The file; the password's digest is argon2id in its usual form."""

    password: str = ""
    tokens: tuple[Token, ...] = ()

    @property
    def era(self) -> str:
        """What changes with the password: a session of another era is over, whatever the clock says."""
        return digest_of(self.password)


class CredentialStore:
    """Reads and writes ``{config_dir}/dashboard.json``; what another process changes there counts at once.

    While the folder is away, what was known last counts. Writing raises RefusedError when that is impossible, and
    NotNowError while another process does it: no change undoes another.
    """

    def __init__(self, folders: StateFolders, *, clock: Callable[[], float]) -> None:
        self._folder = folders.config
        self._path = folders.config / "dashboard.json"
        self._clock = clock
        self._known = Credentials()
        self._stamp: tuple[int, ...] | None = None
        self._verifying = threading.BoundedSemaphore(_VERIFICATIONS)

    def load(self) -> Credentials:
        """Return what is in force.

        Raises DamagedRecordError for a file that cannot be believed, RefusedError for one that others can write to.
        """
        try:
            status = self._path.lstat()
        except OSError:
            return self._known
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode, status.st_uid)
        if stamp != self._stamp:
            try:
                refuse_if_open_to_others(self._path)
                self._known = records.read(self._path, Credentials)
            except (FileNotFoundError, NotFoundError):
                return self._known
            self._stamp = stamp
        return self._known

    # -- the password -------------------------------------------------------------------------------------------

    def first_password(self) -> str:
        """Make a password when there is none yet and return it, to be shown once; empty when there is one."""
        with self._turn():
            return "" if self.load().password else self._renewed("")

    def new_password(self, chosen: str = "") -> str:
        """Put a password in force, a random one unless one was chosen; every session ends by it.

        Raises UsageError for one that is too short to be safe.
        """
        with self._turn():
            return self._renewed(chosen)

    def _renewed(self, chosen: str) -> str:
        password = chosen or "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise UsageError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
        try:
            digest = _hasher().hash(password)
        except UnicodeEncodeError as error:
            raise UsageError("a password is text: some of that is not") from error
        self._write(structs.replace(self.load(), password=digest))
        return password

    def is_password(self, text: str) -> bool | None:
        """Return whether that is the password; None when too many are being looked at already."""
        from argon2.exceptions import InvalidHashError, VerificationError

        digest = self.load().password
        if not digest or len(text) > LONGEST_PASSWORD:
            return False
        if not self._verifying.acquire(blocking=False):
            return None
        try:
            return _hasher().verify(digest, text)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
        finally:
            self._verifying.release()

    # -- tokens -------------------------------------------------------------------------------------------------

    def add_token(self, name: str, *, can_write: bool) -> str:
        """Make a token and return it: it is shown this once. Raises UsageError for a name that is taken or impossible."""
        if not is_id(name):
            raise UsageError(f"{name!r} cannot name a token; write up to 41 of a-z, 0-9 and '-'")
        with self._turn():
            return self._added(name, can_write=can_write)

    def _added(self, name: str, *, can_write: bool) -> str:
        known = self.load()
        if any(token.name == name for token in known.tokens):
            raise UsageError(f"there is a token {name} already; revoke it first")
        if len(known.tokens) >= MOST_TOKENS:
            raise UsageError(f"there are {MOST_TOKENS} tokens already; revoke one that nobody needs")
        text = f"rebalancer_{secrets.token_urlsafe(32)}"
        token = Token(name=name, digest=digest_of(text), can_write=can_write, created_at=self._clock())
        self._write(structs.replace(known, tokens=(*known.tokens, token)))
        return text

    def revoke_token(self, name: str) -> None:
        """Let a token count no longer; raises NotFoundError when there is none of that name."""
        with self._turn():
            known = self.load()
            left = tuple(token for token in known.tokens if token.name != name)
            if left == known.tokens:
                raise NotFoundError(f"there is no token {name!r}")
            self._write(structs.replace(known, tokens=left))

    def token(self, text: str) -> Token | None:
        """Return the token that this is; None when it is none that counts."""
        digest = digest_of(text)
        try:
            known = self.load().tokens
        except RebalancerError:
            return None
        return next((token for token in known if hmac.compare_digest(token.digest, digest)), None)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        ensure(self._folder)
        with turn_at(self._folder, patience=_PATIENCE) as is_ours:
            if not is_ours:
                raise NotNowError("another process is changing who may use the dashboard; try again in a moment")
            yield

    def _write(self, credentials: Credentials) -> None:
        try:
            records.write(self._path, credentials)
        except OSError as error:
            raise RefusedError(f"{self._path} cannot be written: {(error.strerror or str(error)).lower()}") from error


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a random secret, in hex."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher

    # what OWASP's password storage cheat sheet asks of argon2id: 19 MiB, two passes, one lane
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
