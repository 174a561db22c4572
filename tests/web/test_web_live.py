"""The stream of what changes: one look for all, nothing for who has gone, and an end to everything."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import httpx
import pytest

from lab.dashboard import Dashboard
from lab.standing import standing
from rebalancer.web.live import EVERY, HEARTBEAT, MOST, MOST_OF_ONE, Broadcaster
from rebalancer.web.rules import RefusalError


class Looking:
    """Counts the looks; ``pieces`` is what they find, an error is raised."""

    def __init__(self) -> None:
        self.looks = 0
        self.pieces: dict[str, str] | Exception = {"a": "1"}

    def __call__(self) -> dict[str, str]:
        self.looks += 1
        if isinstance(self.pieces, Exception):
            raise self.pieces
        return self.pieces


def playing(scene: Callable[[Broadcaster, Looking], Coroutine[Any, Any, None]]) -> None:
    looking = Looking()
    asyncio.run(asyncio.wait_for(scene(Broadcaster(looking, every=0.02, heartbeat=0.1, begun_within=0.1), looking), 20))


def events_of(
    broadcaster: Broadcaster, key: str = "one", until: Callable[[], bool] = lambda: False
) -> AsyncIterator[bytes]:
    return broadcaster.events(broadcaster.join(key), until=until)


async def piece_of(events: AsyncIterator[bytes]) -> tuple[str, str]:
    """Return the next piece; whatever else is sent is passed over."""
    async for event in events:
        if event.startswith(b"event: piece\n"):
            found = json.loads(event.partition(b"data: ")[2])
            return found["id"], found["html"]
    raise AssertionError("the stream has ended")


def test_the_limits_are_those_that_are_promised() -> None:
    assert (MOST, MOST_OF_ONE, EVERY, HEARTBEAT) == (50, 5, 1.0, 15.0)


def test_nobody_listening_nothing_is_looked_at() -> None:
    async def scene(broadcaster: Broadcaster, looking: Looking) -> None:
        await asyncio.sleep(0.1)
        assert looking.looks == 0
        events = events_of(broadcaster)
        assert await piece_of(events) == ("a", "1")
        await events.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(0.1)
        before = looking.looks
        await asyncio.sleep(0.1)
        assert (looking.looks, broadcaster.listeners) == (before, 0)

    playing(scene)


def test_many_listeners_cost_one_look_and_late_ones_are_told_everything() -> None:
    async def scene(broadcaster: Broadcaster, looking: Looking) -> None:
        streams = [events_of(broadcaster, str(number)) for number in range(20)]
        for stream in streams:
            assert await piece_of(stream) == ("a", "1")
        assert looking.looks <= 10
        looking.pieces = {"a": "1", "b": "2"}
        for stream in streams:
            assert await piece_of(stream) == ("b", "2")

    playing(scene)


def test_a_piece_that_is_gone_is_sent_empty_and_one_that_stays_is_not_sent_again() -> None:
    async def scene(broadcaster: Broadcaster, looking: Looking) -> None:
        events = events_of(broadcaster)
        assert await piece_of(events) == ("a", "1")
        looking.pieces = {"b": "2"}
        assert {await piece_of(events), await piece_of(events)} == {("a", ""), ("b", "2")}
        assert [await anext(events) for _ in range(2)] == [b": still here\n\n"] * 2

    playing(scene)


def test_a_slow_reader_gets_the_newest_and_holds_no_more_than_that() -> None:
    async def scene(broadcaster: Broadcaster, looking: Looking) -> None:
        listener = broadcaster.join("one")
        events = broadcaster.events(listener, until=lambda: False)
        assert await piece_of(events) == ("a", "1")
        for number in range(10):
            looking.pieces = {"a": f"new {number}"}
            await asyncio.sleep(0.05)
        assert listener.pending == {"a": "new 9"}
        assert await piece_of(events) == ("a", "new 9")

    playing(scene)


def test_a_look_that_fails_ends_nothing_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(broadcaster: Broadcaster, looking: Looking) -> None:
        events = events_of(broadcaster)
        assert await piece_of(events) == ("a", "1")
        looking.pieces = ZeroDivisionError("a mistake of ours")
        before = looking.looks
        while looking.looks < before + 5:
            await asyncio.sleep(0.01)
        looking.pieces = {"a": "better"}
        assert await piece_of(events) == ("a", "better")

    playing(scene)
    assert [record.message for record in caplog.records].count("cannot keep pages up to date") == 1


def test_who_has_logged_out_hears_nothing_more() -> None:
    async def scene(broadcaster: Broadcaster, looking: Looking) -> None:
        has_left = threading.Event()
        events = events_of(broadcaster, until=has_left.is_set)
        assert await piece_of(events) == ("a", "1")
        has_left.set()
        looking.pieces = {"a": "a secret"}
        assert [event async for event in events] in ([], [b": still here\n\n"])
        assert broadcaster.listeners == 0

    playing(scene)


def test_places_are_limited_and_one_that_was_never_used_is_given_back() -> None:
    async def scene(broadcaster: Broadcaster, looking: Looking) -> None:
        for _ in range(MOST_OF_ONE):
            broadcaster.join("greedy")
        with pytest.raises(RefusalError):
            broadcaster.join("greedy")
        for number in range(MOST - MOST_OF_ONE):
            broadcaster.join(f"{number}")
        with pytest.raises(RefusalError) as refusal:
            broadcaster.join("late")
        assert refusal.value.status == 503
        await asyncio.sleep(0.3)  # longer than a place is kept for a browser that does not come
        assert broadcaster.listeners == 0
        assert await piece_of(events_of(broadcaster, "late")) == ("a", "1")

    playing(scene)


def test_the_end_of_the_server_ends_every_stream_at_once() -> None:
    async def scene(broadcaster: Broadcaster, looking: Looking) -> None:
        streams = [events_of(broadcaster, str(number)) for number in range(10)]
        for stream in streams:
            await piece_of(stream)
        broadcaster.close()
        assert [[event async for event in stream] for stream in streams] == [[]] * 10

    playing(scene)


# -- the real one ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with standing(tmp_path_factory.mktemp("live")) as serving:
        yield serving


def test_logging_out_ends_the_streams_of_that_session(house: Dashboard) -> None:
    with house.person() as one, house.person() as other, one.stream("GET", "/live") as stream:
        heard = stream.iter_text()
        next(heard)
        one.post("/logout")
        new_schedule(house, other)

        rest = "".join(heard)
    assert "unheard-of" not in rest


def new_schedule(house: Dashboard, watching: httpx.Client) -> None:
    """Make something new appear on the first page, and wait until it is seen there by another session."""
    from lab import run

    with watching.stream("GET", "/live") as stream:
        heard = stream.iter_text()
        next(heard)
        run("schedule", "create", "unheard-of", "--cron", "* * * * *", state=house.state, exit_code=0)
        for text in heard:
            if "unheard-of" in text:
                return
    raise AssertionError("the change was not shown")
