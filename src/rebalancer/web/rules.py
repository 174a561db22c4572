"""What a request must fulfil before anything acts on it: one pure rule each, in the order in which they are asked.

The cases are those of 91 to 107 in the reliability study: rebinding, forged requests, oversized and malformed ones.
"""

import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rebalancer.web.asked import FORM, JSON, Asked, names_in
from rebalancer.web.hosts import Hosts

LARGEST_BODY = 64 * 1024  # bytes
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_UNSAFE_PATH = re.compile(rb"(?:^|/)(?:\.|%2e){1,2}(?:/|%2f|$)|%2f|%5c|%00|\\|//", re.IGNORECASE)
_SECRETS = frozenset({"token", "access_token", "api_key", "apikey", "password", "authorization"})


@dataclass
class RefusalError(Exception):
    """Why a request goes no further: the status to answer with, and a sentence for whoever sent it."""

    status: int
    sentence: str
    headers: tuple[tuple[str, str], ...] = ()


def demand_clear_framing(asked: Asked) -> None:
    """Refuse what two servers could read as two different requests (request smuggling)."""
    if any(len(asked.all(name)) > 1 for name in ("host", "content-length", "transfer-encoding", "authorization")):
        raise RefusalError(400, "a header that decides who is asked was sent twice")
    if asked.all("content-length") and asked.all("transfer-encoding"):
        raise RefusalError(400, "Content-Length and Transfer-Encoding were both sent")


def demand_known_host(asked: Asked, hosts: Hosts) -> None:
    """Refuse names that are not this machine's: a foreign page may have pointed its own name here."""
    if not hosts.allow(asked.header("host")):
        raise RefusalError(
            421,
            "this dashboard is not known under that name; if you trust it, put it into config.toml: "
            '[serve] hosts = ["tower.example"]',
        )


def demand_known_method(asked: Asked) -> None:
    is_disguised = any(asked.all(name) for name in ("x-http-method-override", "x-http-method", "x-method-override"))
    is_endless = asked.method == "HEAD" and asked.path == "/live"
    if asked.method not in _METHODS or is_disguised or is_endless:
        raise RefusalError(405, "that method is not answered here", (("allow", ", ".join(sorted(_METHODS))),))


def demand_plain_path(asked: Asked) -> None:
    if _UNSAFE_PATH.search(asked.raw_path) or not asked.path.isprintable():
        raise RefusalError(400, "that path is not answered here")


def demand_no_secret_in_address(asked: Asked) -> None:
    """Refuse secrets where browsers, proxies and logs keep them."""
    if _SECRETS.intersection(name.lower() for name in names_in(asked.query)):
        raise RefusalError(400, "secrets do not belong into the address; send the header 'Authorization: Bearer TOKEN'")


def demand_own_origin(asked: Asked, hosts: Hosts) -> None:
    """Refuse what a foreign page made a browser send, by what browsers tell of it (Origin, Sec-Fetch-Site)."""
    if asked.is_safe:
        return
    origin, site = asked.header("origin"), asked.header("sec-fetch-site")
    if (origin and not hosts.is_own_page(origin, asked.header("host"))) or site not in {"", "same-origin", "none"}:
        raise RefusalError(
            403, "that request came from another page than this dashboard's own; a proxy in between must pass Host on"
        )


def demand_known_content(asked: Asked, body: bytes) -> None:
    if body and asked.content_type not in {FORM, JSON}:
        raise RefusalError(415, f"send {JSON}, or {FORM} from a form")
    if body and asked.is_for_programs and asked.content_type != JSON:
        raise RefusalError(415, f"send {JSON}")


def demand_csrf(asked: Asked, sent: str, expected: str) -> None:
    """Refuse a change that no page of ours asked for: only those know the session's token."""
    if not asked.is_safe and not hmac.compare_digest(sent.encode(errors="replace"), expected.encode()):
        raise RefusalError(403, "the page is older than the session; load it again and repeat what you did")


FIRST: Sequence[Callable[[Asked], None]] = (
    demand_clear_framing,
    demand_known_method,
    demand_plain_path,
    demand_no_secret_in_address,
)
