"""What changes while people look: one look for all of them, and only while somebody looks."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from rebalancer.web.rules import RefusalError

MOST = 50  # listeners
MOST_OF_ONE = 5  # of one session, or of one peer
EVERY = 1.0  # seconds between two looks
HEARTBEAT = 15.0  # seconds; a proxy cuts what is silent for longer
_BEGUN_WITHIN = (
    5.0  # seconds from taking a place to the first event; a browser that has gone meanwhile never asks for it
)

Pieces = Mapping[str, str]  # the id of a part of the page -> its HTML

_log = logging.getLogger("rebalancer.web")


@dataclass(eq=False)
class Listener:
    """One who has a place; ``key`` tells whose."""

    key: str
    has_begun: bool = False
    pending: dict[str, str] = field(default_factory=dict)  # the newest of each piece: a slow reader costs no more
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def give(self, pieces: Pieces) -> None:
        self.pending.update(pieces)
        self.news.set()


@dataclass(eq=False)
class Broadcaster:
    """Looks once a second, in a thread, while anybody listens; sends each listener the pieces that changed."""

    look: Callable[[], Pieces]
    every: float = EVERY
    heartbeat: float = HEARTBEAT
    begun_within: float = _BEGUN_WITHIN
    _listeners: set[Listener] = field(default_factory=set)
    _shown: dict[str, str] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None
    _is_closing: bool = False
    _complaint: str = ""  # the last one that was logged

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def join(self, key: str) -> Listener:
        """Take a place; raises RefusalError when there are too many listeners, in all or of this session."""
        if len(self._listeners) >= MOST or sum(one.key == key for one in self._listeners) >= MOST_OF_ONE:
            raise RefusalError(503, "too many pages are being kept up to date; close some")
        listener = Listener(key)
        self._listeners.add(listener)
        asyncio.get_running_loop().call_later(self.begun_within, self._leave_unbegun, listener)
        return listener

    async def events(self, listener: Listener, *, until: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Yield server-sent events (HTML living standard, 9.2) until the listener goes or the server ends.

        ``until`` is asked before each event: who has logged out meanwhile hears nothing more.
        """
        listener.has_begun = True
        try:
            if self._task is None:
                self._task = asyncio.create_task(self._keep_looking())
            else:
                listener.give(self._shown)
            yield b"retry: 2000\n\n"
            while not self._is_closing and not until():
                try:
                    await asyncio.wait_for(listener.news.wait(), self.heartbeat)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                listener.news.clear()
                pieces, listener.pending = listener.pending, {}
                if until():
                    return
                for name, html in pieces.items():
                    yield f"event: piece\ndata: {json.dumps({'id': name, 'html': html})}\n\n".encode()
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """End all streams: the server is going."""
        self._is_closing = True
        for listener in self._listeners:
            listener.news.set()

    def _leave_unbegun(self, listener: Listener) -> None:
        if not listener.has_begun:
            self._listeners.discard(listener)

    async def _keep_looking(self) -> None:
        try:
            while self._listeners and not self._is_closing:
                (found,) = await asyncio.gather(asyncio.to_thread(self.look), return_exceptions=True)
                if isinstance(found, BaseException):
                    self._complain(found)
                else:
                    self._show(found)
                await asyncio.sleep(self.every)
        finally:
            self._task, self._shown = None, {}

    def _show(self, pieces: Pieces) -> None:
        gone = dict.fromkeys(self._shown.keys() - pieces.keys(), "")
        changed = {name: html for name, html in pieces.items() if self._shown.get(name) != html}
        self._shown = dict(pieces)
        for listener in self._listeners if changed or gone else ():
            listener.give({**gone, **changed})

    def _complain(self, error: BaseException) -> None:
        """Log what kept us from looking, once; the next look may be better."""
        if (complaint := repr(error)) != self._complaint:
            self._complaint = complaint
            _log.error("cannot keep pages up to date", exc_info=error)
