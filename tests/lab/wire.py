"""Requests as bytes on a socket: what attackers send and no client library would."""

import http.client
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

PATIENCE = 20.0  # seconds

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` is 0 when the connection was closed without an answer."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return all values of a header, joined; empty when it was not sent."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    @property
    def text(self) -> str:
        return self.body.decode()


def connect(port: int, *, source: str = "127.0.0.1", receive_buffer: int = 0) -> socket.socket:
    """Return a connection from an address of this machine (127.0.0.0/8)."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(PATIENCE)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", port))
    return connection


def request(
    method: str, target: str, headers: Headers = (), body: bytes = b"", *, host: str = "localhost", version: str = "1.1"
) -> bytes:
    """Return a request; without a Host when that is empty, with Content-Length when there is a body."""
    named = [("Host", host)] if host else []
    says_so = any(name in {"Content-Length", "Transfer-Encoding"} for name, _ in headers)
    sized = [("Content-Length", str(len(body)))] if (body or method == "POST") and not says_so else []
    lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in [*named, *headers, *sized])]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answer_of(connection: socket.socket, *, method: str = "GET") -> Answer:
    """Read one answer, whole."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        return Answer(response.status, tuple(response.getheaders()), response.read())
    except (http.client.RemoteDisconnected, ConnectionResetError):
        return Answer(0)
    finally:
        response.close()


def ask(port: int, sent: bytes, *, source: str = "127.0.0.1", method: str = "GET") -> Answer:
    """Send bytes over a connection of their own and return the answer."""
    with connect(port, source=source) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # the answer came before all was sent
            connection.sendall(sent)
        return answer_of(connection, method=method)


def is_closed(connection: socket.socket, *, within: float) -> bool:
    """Return whether the other end closes in that time; what it says before is thrown away."""
    connection.settimeout(within)
    try:
        while connection.recv(65536):
            continue
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def abort(connection: socket.socket) -> None:
    """Close without a farewell (RST), as a machine does that lost its power."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
