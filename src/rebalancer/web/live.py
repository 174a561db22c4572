"""What changes while people look: one look for all of them, and only while somebody looks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from rebalancer.web.rules import RefusalError

MOST = 50  # listeners
MOST_OF_ONE = 5  # of one session, or of one peer
EVERY = 1.0  # seconds between two looks
HEARTBEAT = 15.0  # seconds; a proxy cuts what is silent for longer

Pieces = Mapping[str, str]  # the id of a part of the page -> its HTML


@dataclass(eq=False)
class _Listener:
    key: str
    pending: dict[str, str] = field(default_factory=dict)  # the newest of each piece: a slow reader costs no more
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def give(self, pieces: Pieces) -> None:
        self.pending.update(pieces)
        self.news.set()


@dataclass(eq=False)
class Broadcaster:
    """Looks once a second, in a thread, while anybody listens; sends each listener the pieces that changed."""

    look: Callable[[], Pieces]
    _listeners: set[_Listener] = field(default_factory=set)
    _shown: dict[str, str] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None
    _is_closing: bool = False

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def demand_room(self, key: str) -> None:
        """Raise RefusalError when there are too many listeners, in all or of this session."""
        if len(self._listeners) >= MOST or sum(one.key == key for one in self._listeners) >= MOST_OF_ONE:
            raise RefusalError(503, "too many pages are being kept up to date; close some")

    async def events(self, key: str) -> AsyncIterator[bytes]:
        """Yield server-sent events (HTML living standard, 9.2) until the listener goes or the server ends."""
        listener = _Listener(key)
        self._listeners.add(listener)
        try:
            if self._task is None:
                self._task = asyncio.create_task(self._keep_looking())
            else:
                listener.give(self._shown)
            yield b"retry: 2000\n\n"
            while not self._is_closing:
                try:
                    await asyncio.wait_for(listener.news.wait(), HEARTBEAT)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                listener.news.clear()
                pieces, listener.pending = listener.pending, {}
                for name, html in pieces.items():
                    yield f"event: piece\ndata: {json.dumps({'id': name, 'html': html})}\n\n".encode()
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """End all streams: the server is going."""
        self._is_closing = True
        for listener in self._listeners:
            listener.news.set()

    async def _keep_looking(self) -> None:
        try:
            while self._listeners and not self._is_closing:
                pieces = await asyncio.to_thread(self.look)
                gone = dict.fromkeys(self._shown.keys() - pieces.keys(), "")
                changed = {name: html for name, html in pieces.items() if self._shown.get(name) != html}
                self._shown = dict(pieces)
                for listener in self._listeners if changed or gone else ():
                    listener.give({**gone, **changed})
                await asyncio.sleep(EVERY)
        finally:
            self._task, self._shown = None, {}
