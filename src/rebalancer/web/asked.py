"""One request as the gate judges it: plain data, before anything acts on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

COOKIE = "rebalancer_session"
SAFE = frozenset({"GET", "HEAD"})
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
_MOST_FIELDS = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """Header names are in lower case; ``peer`` is the socket's other end, whatever headers say."""

    method: str
    path: str
    raw_path: bytes
    query: bytes
    headers: tuple[tuple[str, str], ...]
    peer: str

    @classmethod
    def of(cls, scope: dict[str, Any]) -> "Asked":
        client = scope.get("client")
        return cls(
            method=scope["method"],
            path=scope["path"],
            raw_path=scope.get("raw_path") or scope["path"].encode(errors="surrogatepass"),
            query=scope.get("query_string", b""),
            headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]),
            peer=client[0] if client else "",
        )

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]

    def header(self, name: str) -> str:
        """Return a header's first value; empty when it was not sent."""
        return next(iter(self.all(name)), "")

    @property
    def is_safe(self) -> bool:
        """Whether it may change nothing (RFC 9110, 9.2.1)."""
        return self.method in SAFE

    @property
    def is_for_programs(self) -> bool:
        """Whether whoever asks reads JSON and no pages."""
        return self.path.startswith("/api/") or self.path in {"/metrics", "/healthz"}

    @property
    def content_type(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def cookie(self) -> str:
        """The session's secret; empty when none was sent.

        Cookies know no ports, so those of everything else on this machine come along, however they are written.
        """
        pairs = (pair.strip().partition("=") for header in self.all("cookie") for pair in header.split(";"))
        return next((value.strip('"') for name, _, value in pairs if name == COOKIE), "")

    @property
    def bearer(self) -> str:
        """The token that a program shows; empty when it shows none."""
        kind, _, token = self.header("authorization").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""


def fields_of(body: bytes) -> dict[str, list[str]]:
    """Return the fields of a form; raises ValueError for more of them than any form has, or for no UTF-8."""
    return parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)


def names_in(query: bytes) -> Iterable[str]:
    """Yield the names of a query's parameters."""
    return parse_qs(query.decode("latin-1"), keep_blank_values=True).keys()
