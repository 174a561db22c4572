"""One connection of uvicorn's, with an end to waiting: for a request that comes by drops, for a reader who never reads."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_WITHIN = 10.0  # seconds from the first byte, or from the connection, to the end of the headers
READ_WITHIN = 20.0  # seconds in which a full buffer must be read by its receiver
LARGEST_HEADERS = 16 * 1024  # bytes
BUFFER = 256 * 1024  # bytes that wait for a slow reader; then nothing more is written
MOST_CONNECTIONS = 200


class Connection(H11Protocol):
    """Closes itself when its other end holds it without using it."""

    headers_within = HEADERS_WITHIN
    read_within = READ_WITHIN
    most = MOST_CONNECTIONS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting: asyncio.TimerHandle | None = None
        self._full: asyncio.TimerHandle | None = None
        self.idle_since = 0.0  # by the clock of the loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=BUFFER)
        self.idle_since = self.loop.time()
        self._await_headers()
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._await_headers()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:  # its headers are complete
            self._headers_came()

    def on_response_complete(self) -> None:
        self._headers_came()
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._full is None:
            self._full = self.loop.call_later(self.read_within, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._full is not None:
            self._full.cancel()
            self._full = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - what uvicorn would say
        """Answer what is no HTTP; only close where an answer is under way already, or was given."""
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            headers = [
                *self.server_state.default_headers,
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"cache-control", b"no-store"),
                (b"connection", b"close"),
            ]
            for event in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=b"that is no request in HTTP/1.1\n"),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def is_answered(self) -> bool:
        """Whether a request came in full and its answer is under way."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _make_room(self) -> None:
        """Close, of too many, the one that has waited longest: nobody keeps others out by connections that only wait."""
        all_of_ours = [one for one in self.connections if isinstance(one, Connection)]
        living = [one for one in all_of_ours if not one.transport.is_closing()]
        if len(living) > self.most:
            waiting = [one for one in living if not one.is_answered]
            min(waiting, key=lambda one: one.idle_since, default=self).transport.abort()

    def _await_headers(self) -> None:
        """Begin to count, unless that goes on already: every drop would begin it anew."""
        if self._waiting is None:
            self._waiting = self.loop.call_later(self.headers_within, self.transport.abort)

    def _headers_came(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _forget(self) -> None:
        self._headers_came()
        if self._full is not None:
            self._full.cancel()
            self._full = None
