"""Pings for monitors of the Healthchecks kind, which raise an alarm when one does not come in time.

The address itself means success, ``/start`` and ``/fail`` behind its path the rest (healthchecks.io/docs/http_api).
"""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit, urlunsplit

from rebalancer.notify.errand import NotDeliveredError, Ping, Signal
from rebalancer.version import VERSION

_TRIES = 3
_TIMEOUT = 2.5  # seconds for each answer
_BETWEEN = 0.3  # seconds between two tries
_LONGEST = 10_000  # bytes of text; Healthchecks keeps no more
_FINAL = {400, 401, 403, 404, 405, 410}  # answers that another try does not change


def deliver(ping: Ping, address: str) -> None:
    """Send one signal to one address, three times at most; raises NotDeliveredError."""
    request = urllib.request.Request(  # noqa: S310 - the settings allow http and https only
        address_of(address, ping.signal),
        data=ping.text.encode()[:_LONGEST],
        headers={"User-Agent": f"unraid-rebalancer/{VERSION}", "Content-Type": "text/plain; charset=utf-8"},
        method="POST",
    )
    for number in range(1, _TRIES + 1):
        reason, is_final = _try(request)
        if not reason:
            return
        if is_final or number == _TRIES:
            raise NotDeliveredError(reason)
        time.sleep(_BETWEEN)


def address_of(address: str, signal: Signal) -> str:
    """Return where a signal goes; what stands behind a question mark stays behind it."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + signal.value if signal.value else parts.path))


def _try(request: urllib.request.Request) -> tuple[str, bool]:
    """Return why it failed, nothing when it did not, and whether another try would be in vain."""
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            answer.read(1)
    except urllib.error.HTTPError as error:
        error.close()
        words = http.client.responses.get(error.code, "")
        return f"the server answered {error.code} {words}".strip(), error.code in _FINAL
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _sentence(error), False
    return "", False


def _sentence(error: Exception) -> str:
    """Say what went wrong without a word of the address, which messages of the library may hold."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer in {_TIMEOUT} seconds"
    if isinstance(cause, ssl.SSLError):
        return "the server's certificate cannot be verified, or it speaks no TLS"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror[:1].lower() + cause.strerror[1:]
    return f"no answer that can be understood ({type(cause).__name__})"
