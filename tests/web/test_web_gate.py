"""The gate without a server: what it lets the application see, and how it answers what it does not let in."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rebalancer.state import StateFolders
from rebalancer.web.credentials import CredentialStore
from rebalancer.web.gate import BODY_WITHIN, Gate
from rebalancer.web.hosts import Hosts
from rebalancer.web.rules import LARGEST_BODY
from rebalancer.web.sessions import Sessions


@dataclass
class Application:
    """Notes what reached it, reads the body twice, and says yes."""

    seen: list[tuple[str, str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.seen.append((scope["type"], scope.get("method", ""), scope.get("state", {}).get("caller")))
        if scope["type"] == "http":
            self.bodies.append((await receive())["body"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"yes"})


@dataclass
class Gated:
    gate: Gate
    app: Application
    sessions: Sessions
    era: str

    def ask(self, method: str, path: str, *messages: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
        """Return what was sent; when the messages are used up, nothing more ever comes."""
        said = {"host": "localhost", **headers}
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in said.items()]
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
                 "headers": named, "client": ("192.0.2.1", 1)}  # fmt: skip
        coming, sent = list(messages or [{"type": "http.request", "body": b""}]), list[dict[str, Any]]()

        async def receive() -> dict[str, Any]:
            if not coming:
                await asyncio.sleep(60)
            return coming.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.gate(scope, receive, send))
        return sent

    def log_in(self) -> dict[str, str]:
        """Return the headers of somebody who is logged in."""
        secret, session = self.sessions.open(self.era)
        return {"cookie": f"rebalancer_session={secret}", "x_csrf_token": session.csrf}


@pytest.fixture
def gated(tmp_path: Path) -> Gated:
    folders = StateFolders(tmp_path / "config", tmp_path / "runtime")
    credentials = CredentialStore(folders, clock=lambda: 1e9)
    credentials.first_password()
    sessions, app = Sessions(folders, clock=lambda: 1e9), Application()
    gate = Gate(
        app=app, hosts=Hosts.of("tower", []), credentials=credentials, sessions=sessions, needs_login=True, open_csrf="",
        body_within=0.1,
    )  # fmt: skip
    return Gated(gate, app, sessions, credentials.load().era)


def chunk(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_has_ten_seconds() -> None:
    assert BODY_WITHIN == 10


def test_a_body_that_does_not_come_is_given_up_and_the_connection_closed(gated: Gated) -> None:
    start, _ = gated.ask("POST", "/login", chunk(b"pass"), content_length="50")

    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    assert gated.app.seen == []


def test_a_body_that_grows_too_large_is_not_read_to_its_end(gated: Gated) -> None:
    start, _ = gated.ask("POST", "/login", *[chunk(b"x" * 30_000)] * 3, chunk(b"never read", more=False))

    assert start["status"] == 413
    assert gated.app.seen == []


def test_the_largest_body_arrives_whole_however_it_was_cut(gated: Gated) -> None:
    body = b"password=" + b"x" * (LARGEST_BODY - 9)
    kind = "application/x-www-form-urlencoded"

    gated.ask(
        "POST", "/login", chunk(body[:1]), chunk(body[1:40_000]), chunk(body[40_000:], more=False), content_type=kind
    )

    assert gated.app.bodies == [body]


def test_who_hangs_up_within_a_request_has_asked_for_nothing(gated: Gated) -> None:
    gated.ask("POST", "/login", chunk(b"pass"), {"type": "http.disconnect"}, content_length="50")

    assert gated.app.seen == []


def test_the_application_learns_who_asks_and_a_head_is_answered_like_a_get(gated: Gated) -> None:
    start, _ = gated.ask("HEAD", "/", **gated.log_in())
    kind, method, caller = gated.app.seen[0]

    assert (start["status"], kind, method) == (200, "http", "GET")
    assert (caller.actor, caller.can_write, caller.peer) == ("dashboard (192.0.2.1)", True, "192.0.2.1")
    assert (b"cache-control", b"no-store") in start["headers"]


def test_a_stranger_reaches_the_login_and_is_nobody_there(gated: Gated) -> None:
    gated.ask("GET", "/login")
    start, body = gated.ask("GET", "/executions")

    assert [(caller.actor, caller.can_write) for _, _, caller in gated.app.seen] == [("", False)]
    assert (start["status"], body["body"]) == (303, b"log in first\n")


def test_a_header_that_claims_to_be_somebody_else_is_not_believed(gated: Gated) -> None:
    gated.ask("GET", "/", **gated.log_in(), x_forwarded_for="10.0.0.1", forwarded="for=10.0.0.1", x_real_ip="10.0.0.1")

    assert gated.app.seen[0][2].peer == "192.0.2.1"


def test_nothing_but_http_and_the_server_s_own_start_and_end_gets_through(gated: Gated) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {}

    asyncio.run(gated.gate({"type": "websocket", "path": "/live"}, receive, send))
    asyncio.run(gated.gate({"type": "lifespan"}, receive, send))

    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert [kind for kind, _, _ in gated.app.seen] == ["lifespan"]
