"""The server of the dashboard, and the clock beside it: both until they are asked to stop."""

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from rebalancer.cancel import Cancel
from rebalancer.errors import NotNowError, RefusedError
from rebalancer.web.app import application
from rebalancer.web.connection import LARGEST_HEADERS, Connection
from rebalancer.web.safe_headers import SAFE_HEADERS
from rebalancer.web.site import Site

_MOST_WAITING = 128  # connections that the kernel has taken and we have not; each costs a file
_SEND_BUFFER = 256 * 1024  # bytes that the kernel keeps for a reader who is slow
_UNHEARD = 60_000  # milliseconds until somebody who acknowledges nothing counts as gone (TCP_USER_TIMEOUT, tcp(7))
_LAST_ANSWERS = 2  # seconds for what is being answered when the server ends
_IDLE_CONNECTION = 15  # seconds


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; ``::`` is every address, those of IPv4 too.

    Raises NotNowError when another program does, RefusedError when nobody may.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_MOST_WAITING, dualstack_ipv6=host == "::")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        kind = NotNowError if error.errno == errno.EADDRINUSE else RefusedError
        raise kind(f"nothing can listen on {address_of(host, port)}: {reason}") from error
    # all of them hold for the connections that are accepted there (tcp(7)); asyncio sets the first only where the
    # socket names its protocol, which this one does not
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD)
    return listener


def address_of(host: str, port: int) -> str:
    """Return host and port as addresses in browsers have them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def serve(
    site: Site, listener: socket.socket, cancel: Cancel, *, clock: Callable[[Cancel], None] | None = None
) -> None:
    """Answer until asked to stop, with the clock in a thread beside it; raises what the clock raised."""
    for name in ("uvicorn", "asyncio"):  # what strangers send, and when they leave, is no news: it would fill the log
        logging.getLogger(name).setLevel(logging.ERROR)
    config = uvicorn.Config(
        site.gate(application(site)),
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=list(SAFE_HEADERS),
        backlog=_MOST_WAITING,
        proxy_headers=False,
        h11_max_incomplete_event_size=LARGEST_HEADERS,
        timeout_keep_alive=_IDLE_CONNECTION,
        timeout_graceful_shutdown=_LAST_ANSWERS,
    )
    beside = _Beside(clock, cancel) if clock is not None else None
    try:
        asyncio.run(_Server(config, site, cancel).serve(sockets=[listener]))
    finally:
        cancel.request("the server has ended")
        site.sessions.keep()
        if beside is not None:
            beside.conclude()


class _Server(uvicorn.Server):
    """Ends when it is asked to by the token: signals are heard where the program begins."""

    def __init__(self, config: uvicorn.Config, site: Site, cancel: Cancel) -> None:
        super().__init__(config)
        self._site, self._cancel = site, cancel

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        if self._cancel.is_requested:
            self._site.live.close()
            logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # who is cut off now is cut off on purpose
            return True
        return await super().on_tick(counter)


class _Beside:
    """The clock in a thread of its own; when it ends, so does the server."""

    def __init__(self, clock: Callable[[Cancel], None], cancel: Cancel) -> None:
        self._clock, self._cancel = clock, cancel
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="clock")
        self._thread.start()

    def conclude(self) -> None:
        """Wait for its end; raises what ended it."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._clock(self._cancel)
        except Exception as error:  # noqa: BLE001 - told where it is waited for
            self._error = error
        finally:
            self._cancel.request("the clock has ended")
