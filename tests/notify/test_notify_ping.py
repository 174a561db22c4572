"""Pings, to a real server on this machine."""

import time

import pytest

import lab
from rebalancer.notify import ping
from rebalancer.notify.errand import NotDeliveredError, Ping, Signal


def send(address: str, signal: Signal = Signal.SUCCESS) -> None:
    ping.deliver(Ping(name="nightly", addresses=(address,), signal=signal, text="4 files, 4.19 MB moved"), address)


def test_each_signal_has_its_path_and_brings_the_text(receiver: lab.Receiver) -> None:
    for signal in Signal:
        send(f"http://{receiver.address}/t0k3n", signal)

    assert receiver.paths == ["/t0k3n/start", "/t0k3n", "/t0k3n/fail"]
    assert {one.body for one in receiver.heard} == {"4 files, 4.19 MB moved"}


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("https://a.org/ping/1", "https://a.org/ping/1/fail"),
        ("https://a.org/ping/1/", "https://a.org/ping/1/fail"),
        ("https://a.org/ping/1?create=1", "https://a.org/ping/1/fail?create=1"),
    ],
)
def test_what_follows_a_question_mark_stays_behind_it(address: str, wanted: str) -> None:
    assert ping.address_of(address, Signal.FAIL) == wanted
    assert ping.address_of(address, Signal.SUCCESS) == address


def test_a_server_in_trouble_is_asked_three_times(receiver: lab.Receiver) -> None:
    receiver.answers["/"] = 503

    with pytest.raises(NotDeliveredError) as raised:
        send(f"http://{receiver.address}/t0k3n")

    assert str(raised.value) == "the server answered 503 Service Unavailable"
    assert len(receiver.heard) == 3


def test_an_address_that_is_not_known_there_is_asked_once(receiver: lab.Receiver) -> None:
    receiver.answers["/"] = 404

    with pytest.raises(NotDeliveredError) as raised:
        send(f"http://{receiver.address}/t0k3n")

    assert str(raised.value) == "the server answered 404 Not Found"
    assert len(receiver.heard) == 1


def test_a_server_that_refuses_or_hangs_is_given_up_soon(receiver: lab.Receiver) -> None:
    receiver.answers["/hangs"] = lab.HANGS
    begun = time.monotonic()

    with pytest.raises(NotDeliveredError, match=r"^connection refused$"):
        send("http://127.0.0.1:1/t0k3n")
    with pytest.raises(NotDeliveredError, match=r"^no answer in 2.5 seconds$"):
        send(f"http://{receiver.address}/hangs/t0k3n")

    assert time.monotonic() - begun < 10
    assert len(receiver.heard) == 3


@pytest.mark.parametrize("address", ["https://{}/t0k3n", "http://t0k3n.invalid/t0k3n"])
def test_what_goes_wrong_is_said_without_the_address(receiver: lab.Receiver, address: str) -> None:
    with pytest.raises(NotDeliveredError) as raised:
        send(address.format(receiver.address))

    assert "t0k3n" not in str(raised.value)
    assert "127.0.0.1" not in str(raised.value)
