"""Every request goes through here first: judged by the rules, its sender known, its answer kept by nobody."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from rebalancer.errors import RebalancerError
from rebalancer.web import rules
from rebalancer.web.asked import FORM, Asked, fields_of
from rebalancer.web.credentials import CredentialStore
from rebalancer.web.hosts import Hosts
from rebalancer.web.rules import LARGEST_BODY, RefusalError
from rebalancer.web.sessions import Session, Sessions

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

BODY_WITHIN = 10.0  # seconds for the whole body
LOGIN = "/login"
_OPEN_TO_ALL = frozenset({LOGIN, "/healthz"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request that was let in; ``actor`` is the name that records and the audit log give him."""

    actor: str
    can_write: bool
    csrf: str = ""  # what the forms of a page for him carry
    session: Session | None = None
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """An ASGI application around another one, which finds the `Caller` in ``scope["state"]["caller"]``."""

    app: App
    hosts: Hosts
    credentials: CredentialStore
    sessions: Sessions
    needs_login: bool
    open_csrf: str  # the token of all forms where nobody has to log in
    body_within: float = BODY_WITHIN

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        asked, sending = Asked.of(scope), _unstored(send)
        try:
            for rule in rules.FIRST:
                rule(asked)
            rules.demand_known_host(asked, self.hosts)
            rules.demand_own_origin(asked, self.hosts)
            body = await _body_of(asked, receive, within=self.body_within)
            rules.demand_known_content(asked, body)
            scope.setdefault("state", {})["caller"] = self._admit(asked, body)
        except RefusalError as refusal:
            await _answer(refusal, asked, sending)
            return
        if asked.method == "HEAD":  # answered like GET; the server leaves the body out
            scope = {**scope, "method": "GET"}
        await self.app(scope, _replayed(body, receive), sending)

    def _admit(self, asked: Asked, body: bytes) -> Caller:
        """Return who asks; raises RefusalError when nobody is let in, or not for this."""
        if asked.bearer:
            return self._program(asked)
        if asked.header("authorization"):
            raise RefusalError(401, "send the header 'Authorization: Bearer TOKEN'", _CHALLENGE)
        caller = self._person(asked)
        if caller is None:
            if asked.path in _OPEN_TO_ALL or asked.path.startswith("/static/"):
                return Caller(actor="", can_write=False, peer=asked.peer)
            raise _stranger(asked)
        if asked.path != LOGIN:  # an old page may still ask for the password: giving it needs nothing else
            rules.demand_csrf(asked, _csrf_sent(asked, body), caller.csrf)
        return caller

    def _program(self, asked: Asked) -> Caller:
        token = self.credentials.token(asked.bearer)
        if token is None:
            raise RefusalError(401, "that token does not count here, or no longer", _CHALLENGE)
        if not asked.is_for_programs:
            raise RefusalError(403, "a token opens /api/v1, /metrics and /healthz, not the pages")
        if not (asked.is_safe or token.can_write):
            raise RefusalError(403, f"the token {token.name} may only read")
        return Caller(actor=f"token {token.name}", can_write=token.can_write, peer=asked.peer)

    def _person(self, asked: Asked) -> Caller | None:
        if not self.needs_login:
            return Caller(actor=f"dashboard ({asked.peer})", can_write=True, csrf=self.open_csrf, peer=asked.peer)
        if not asked.cookie:
            return None
        try:
            era = self.credentials.load().era
        except RebalancerError:  # nobody is let in by a file that cannot be believed
            return None
        session = self.sessions.find(asked.cookie, era=era)
        if session is None:
            return None
        actor = f"dashboard ({asked.peer})"
        return Caller(actor=actor, can_write=True, csrf=session.csrf, session=session, peer=asked.peer)


_CHALLENGE = (("www-authenticate", 'Bearer realm="unraid-rebalancer"'),)


def _stranger(asked: Asked) -> RefusalError:
    if asked.is_for_programs:
        return RefusalError(401, "log in, or send the header 'Authorization: Bearer TOKEN'", _CHALLENGE)
    if not asked.is_safe:
        return RefusalError(401, "the session is over; log in again")
    target = asked.path + (f"?{asked.query.decode('latin-1')}" if asked.query else "")
    is_page = asked.path not in {"/", "/live"}
    return RefusalError(303, "log in first", (("location", f"{LOGIN}?next={quote(target)}" if is_page else LOGIN),))


def _csrf_sent(asked: Asked, body: bytes) -> str:
    if header := asked.header("x-csrf-token"):
        return header
    if asked.content_type != FORM:
        return ""
    try:
        return fields_of(body).get("csrf", [""])[0]
    except ValueError as error:
        raise RefusalError(400, "that form cannot be read") from error


async def _body_of(asked: Asked, receive: Receive, *, within: float) -> bytes:
    """Return the whole body; raises RefusalError for one that is too large or takes too long."""
    length = asked.header("content-length")
    if length and not (length.isascii() and length.isdecimal() and len(length) < 20):
        raise RefusalError(400, "Content-Length is not a number")
    if int(length or 0) > LARGEST_BODY:
        raise RefusalError(413, f"at most {LARGEST_BODY // 1024} KiB are read")
    try:
        return await asyncio.wait_for(_read(receive), within)
    except TimeoutError as error:
        raise RefusalError(408, "the rest of the request did not come") from error


async def _read(receive: Receive) -> bytes:
    body, is_more = b"", True
    while is_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusalError(400, "the connection was closed within the request")
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise RefusalError(413, f"at most {LARGEST_BODY // 1024} KiB are read")
        is_more = message.get("more_body", False)
    return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body once more, and then what the connection says."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


def _unstored(send: Send) -> Send:
    """Return what sends an answer that browsers and proxies do not keep, unless it says that they may."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"cache-control" for name, _ in headers):
                message = {**message, "headers": [*headers, (b"cache-control", b"no-store")]}
        await send(message)

    return sending


async def _answer(refusal: RefusalError, asked: Asked, send: Send) -> None:
    if asked.is_for_programs:
        kind, text = b"application/json", json.dumps({"error": refusal.sentence})
    else:
        kind, text = b"text/plain; charset=utf-8", f"{refusal.sentence}\n"
    body = b"" if asked.method == "HEAD" else text.encode()
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in refusal.headers]
    headers += [(b"content-type", kind), (b"content-length", str(len(text.encode())).encode())]
    if refusal.status in {400, 408}:  # what follows on this connection cannot be told from the rest of this request
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
