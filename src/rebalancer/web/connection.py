"""One connection of uvicorn's, with an end to waiting: for a request that comes by drops, for a reader who never reads."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_WITHIN = 10.0  # seconds from the first byte, or from the connection, to the end of the headers
READ_WITHIN = 20.0  # seconds in which a full buffer must be read by its receiver
LARGEST_HEADERS = 16 * 1024  # bytes
BUFFER = 256 * 1024  # bytes that wait for a slow reader; then nothing more is written


class Connection(H11Protocol):
    """Closes itself when its other end holds it without using it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting: asyncio.TimerHandle | None = None
        self._full: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=BUFFER)
        self._await_headers()

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
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._full is None:
            self._full = self.loop.call_later(READ_WITHIN, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._full is not None:
            self._full.cancel()
            self._full = None

    def _await_headers(self) -> None:
        """Begin to count, unless that goes on already: every drop would begin it anew."""
        if self._waiting is None:
            self._waiting = self.loop.call_later(HEADERS_WITHIN, self.transport.abort)

    def _headers_came(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _forget(self) -> None:
        self._headers_came()
        if self._full is not None:
            self._full.cancel()
            self._full = None
