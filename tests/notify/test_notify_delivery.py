"""A delivery by a process of its own, through all channels at once."""

import os
import time
from pathlib import Path

import lab
from lab.processes import wait_until
from rebalancer.notify import delivery
from rebalancer.notify.errand import Errand, Level, Notification, Ping, Signal

ONE = Notification(level=Level.ALERT, title="Rebalance nightly failed", summary="disk3 is full", details=("More: …",))


def errand(root: Path, **fields: object) -> Errand:
    wanted: dict[str, object] = {"root": str(root), "turns": str(root / "turn"), "log": str(root / "log"), **fields}
    return Errand(notification=ONE, **wanted)  # type: ignore[arg-type]


def ping(*addresses: str) -> Ping:
    return Ping(name="nightly", addresses=addresses, signal=Signal.FAIL, text="it failed")


def test_every_channel_is_used_and_says_what_came_of_it(tmp_path: Path, receiver: lab.Receiver) -> None:
    lab.put_script(tmp_path)
    here = receiver.address
    wanted = errand(
        tmp_path, to_unraid=True, services=(f"json://u:geheim@{here}/hook",), pings=(ping(f"http://{here}/t0k3n"),)
    )

    said = delivery.start(wanted).wait(10)

    assert sorted((one.channel, one.ok) for one in said) == [
        ("apprise 1 (json)", True),
        ("ping nightly", True),
        ("unraid", True),
    ]
    assert sorted(receiver.paths) == ["/hook", "/t0k3n/fail"]
    (service,) = [one.body for one in receiver.heard if one.path == "/hook"]
    assert '"Alert [TOWER] - Rebalance nightly failed"' in service
    assert '"disk3 is full\\nMore: ' in service
    assert lab.calls_of(tmp_path)[0].value_of("-i") == "alert"
    assert not (tmp_path / "log").exists()


def test_what_fails_is_noted_without_any_address(tmp_path: Path, receiver: lab.Receiver) -> None:
    receiver.answers["/"] = 404
    services = (f"json://anna:geheim@{receiver.address}/t0k3n", "json://127.0.0.1:1/t0k3n", "nosuch://t0k3n", "t0k3n")

    said = delivery.start(errand(tmp_path, services=services, to_unraid=True)).wait(10)

    log = (tmp_path / "log").read_text()
    assert {one.ok for one in said} == {False}
    assert len(said) == 5
    assert log.count("notification not delivered: ") == 5
    assert "apprise 1 (json): failed to send" in log
    assert "apprise 3 (nosuch): this is no address that Apprise understands" in log
    assert not any(secret in log + repr(said) for secret in ("t0k3n", "anna", "geheim", receiver.address))


def test_a_channel_that_hangs_keeps_no_other_one_from_being_used(tmp_path: Path, receiver: lab.Receiver) -> None:
    receiver.answers["/hangs"] = lab.HANGS
    here = receiver.address
    wanted = errand(
        tmp_path, services=(f"json://{here}/hangs?rto=300",), pings=(ping(f"http://{here}/ok", f"http://{here}/hangs"),)
    )
    begun = time.monotonic()

    said = {one.channel: one for one in delivery.start(wanted).wait(12)}

    assert time.monotonic() - begun < 11
    assert said["ping nightly 1"].ok
    assert not said["ping nightly 2"].ok
    assert not said["apprise 1 (json)"].ok


def test_nobody_has_to_wait_for_it(tmp_path: Path, receiver: lab.Receiver) -> None:
    receiver.answers["/hangs"] = lab.HANGS
    begun = time.monotonic()

    hurried = delivery.start(errand(tmp_path, pings=(ping(f"http://{receiver.address}/hangs"),)))
    said = hurried.wait(10, unless=lambda: True)

    assert said == []
    assert time.monotonic() - begun < 1
    wait_until(lambda: receiver.paths == ["/hangs/fail"])


def test_its_process_is_nobodys_child_and_shows_no_address(tmp_path: Path, receiver: lab.Receiver) -> None:
    receiver.answers["/hangs"] = lab.HANGS
    under_way = delivery.start(errand(tmp_path, pings=(ping(f"http://{receiver.address}/hangs/t0k3n"),)))
    wait_until(lambda: bool(receiver.heard))

    couriers = [path for path in Path("/proc").glob("[0-9]*") if b"notify.courier" in _read(path / "cmdline")]

    assert couriers
    assert not any(f"\nPPid:\t{os.getpid()}\n".encode() in _read(path / "status") for path in couriers)
    assert not any(b"t0k3n" in _read(path / "cmdline") + _read(path / "environ") for path in couriers)
    assert under_way.wait(10)[0].detail == "no answer in 2.5 seconds"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
