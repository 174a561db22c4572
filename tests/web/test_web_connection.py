"""Connections that are held without being used, against uvicorn itself with shorter limits."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from lab import wire
from rebalancer.web import connection
from rebalancer.web.connection import Connection
from rebalancer.web.server import listening

SOON = 0.4  # seconds
LATER = 3.0


class Impatient(Connection):
    headers_within = SOON
    read_within = SOON
    most = 20


@dataclass
class Counting:
    """Answers everything with "yes"; ``/endless`` sends until its reader is gone, ``/slow`` takes a second, ``/large`` is a MiB."""

    gone: threading.Event = field(default_factory=threading.Event)
    sent: int = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/endless":
            asked = asyncio.create_task(self._until_gone(receive))
            while not asked.done():
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                self.sent += 65536
                await asyncio.sleep(0)
            self.gone.set()
            return
        if scope["path"] == "/slow":
            await asyncio.sleep(1)
        await send({"type": "http.response.body", "body": b"x" * 2**20 if scope["path"] == "/large" else b"yes"})

    async def _until_gone(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


@dataclass
class Served:
    port: int
    app: Counting


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    app, listener = Counting(), listening("127.0.0.1", 0)
    port = listener.getsockname()[1]
    config = uvicorn.Config(app, http=Impatient, ws="none", lifespan="off", log_config=None, timeout_keep_alive=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    yield Served(port, app)
    server.should_exit = server.force_exit = True
    thread.join()


def test_the_limits_are_those_that_are_promised() -> None:
    assert connection.HEADERS_WITHIN == Connection.headers_within == 10
    assert connection.READ_WITHIN == Connection.read_within == 20
    assert Connection.most == 200


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.0\r\nA: b\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_headers_that_come_by_drops_end_the_connection(served: Served, begun: bytes) -> None:
    begin = time.monotonic()
    with wire.connect(served.port) as slow:
        slow.sendall(begun)
        is_over = False
        while not is_over and time.monotonic() - begin < LATER:
            try:
                slow.sendall(b"x")  # each drop would keep a limit for silence from ever being reached
            except (BrokenPipeError, ConnectionResetError):
                is_over = True
            is_over = is_over or wire.is_closed(slow, within=0.05)
        took = time.monotonic() - begin

    assert is_over
    assert SOON * 0.9 < took < LATER


def test_the_second_request_of_a_connection_is_given_no_more_time(served: Served) -> None:
    with wire.connect(served.port) as slow:
        slow.sendall(wire.request("GET", "/"))
        assert wire.answer_of(slow).text == "yes"
        slow.sendall(b"GET / HT")

        assert wire.is_closed(slow, within=LATER)


def test_an_answer_that_takes_long_is_no_slow_request(served: Served) -> None:
    with wire.connect(served.port) as patient:
        patient.sendall(wire.request("GET", "/slow"))

        assert wire.answer_of(patient).text == "yes"


def test_a_connection_that_asks_for_nothing_more_is_closed(served: Served) -> None:
    with wire.connect(served.port) as idle:
        idle.sendall(wire.request("GET", "/"))
        wire.answer_of(idle)

        assert wire.is_closed(idle, within=LATER)


def test_a_reader_who_never_reads_is_dropped_and_costs_little_memory(served: Served) -> None:
    begin = time.monotonic()
    with wire.connect(served.port, receive_buffer=4096) as deaf:
        deaf.sendall(wire.request("GET", "/endless"))
        is_gone = served.app.gone.wait(LATER)
        took = time.monotonic() - begin

    assert is_gone
    assert took > SOON * 0.9
    assert served.app.sent < 4 * 2**20


def test_answers_that_nobody_reads_end_the_connection_too(served: Served) -> None:
    with wire.connect(served.port, receive_buffer=4096) as deaf:
        deaf.sendall(wire.request("GET", "/large") * 20)
        deadline, is_dropped = time.monotonic() + 10, False
        while not is_dropped and time.monotonic() < deadline:
            time.sleep(0.02)
            try:
                deaf.send(b"x")  # nothing is ever read here; that the other end has closed is told to who sends
            except (BrokenPipeError, ConnectionResetError):
                is_dropped = True

    assert is_dropped


def test_too_many_connections_make_room_for_a_new_one_by_closing_the_oldest_that_waits(served: Served) -> None:
    with ExitStack() as stack:
        working = stack.enter_context(wire.connect(served.port))
        working.sendall(wire.request("GET", "/slow"))
        working.recv(1, socket.MSG_PEEK)  # its answer has begun
        waiting = [stack.enter_context(wire.connect(served.port)) for _ in range(Impatient.most)]
        half = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"
        for one in waiting[:10]:
            one.sendall(half)
        later = [wire.ask(served.port, wire.request("GET", "/")).text for _ in range(5)]

        assert wire.is_closed(waiting[0], within=LATER)
        assert wire.answer_of(working).text == "yes"
    assert later == ["yes"] * 5


def test_a_body_that_turns_into_nonsense_after_its_answer_closes_without_a_word(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    begun = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with wire.connect(served.port) as odd:
        odd.sendall(begun)
        assert wire.answer_of(odd).text == "yes"
        odd.sendall(b"nonsense\r\n")

        assert wire.is_closed(odd, within=0.3)
    assert "Traceback" not in capfd.readouterr().err
