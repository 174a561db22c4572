"""``serve`` as a user runs it: one per state folder, ended by the signals that end daemons."""

import json
import re
import signal
import time
from pathlib import Path

import pytest

from lab import Running, RunProgram, StartProgram, wire


def lock_below(state: Path) -> Path:
    deadline = time.monotonic() + 30
    while not (found := list((state / "runtime").glob("*/clock.lock"))):
        assert time.monotonic() < deadline, "the clock does not start"
        time.sleep(0.05)
    return found[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_once_per_state_folder_until_it_is_asked_to_stop(
    run_program: RunProgram, start_program: StartProgram, state: Path, number: signal.Signals
) -> None:
    serving = start_program("serve", "--no-dashboard")
    lock_below(state)
    time.sleep(0.2)

    second = run_program("serve", "--no-dashboard", exit_code=75)
    still_runs = serving.poll() is None
    serving.send_signal(number)
    out, err = serving.communicate(timeout=10)

    assert "runs already in another process" in second.stderr
    assert still_runs
    assert (serving.returncode, err) == (0, b"")
    assert out.startswith(b"the clock is running for 0 schedules in ")


def test_its_help_says_how_to_begin(run_program: RunProgram) -> None:
    out = run_program("serve", "--help", exit_code=0).stdout

    assert "  unraid-rebalancer serve --listen 0.0.0.0:8477 --host tower.lan" in out
    assert "The first start prints a password, once" in " ".join(out.split())


def first_lines(serving: Running, count: int) -> list[str]:
    assert serving.stdout is not None
    return [serving.stdout.readline().decode() for _ in range(count)]


def test_it_says_where_it_listens_and_the_first_password_once(start_program: StartProgram) -> None:
    words = ("serve", "--listen", "127.0.0.1:0")
    first = start_program(*words)
    clock, dashboard, password = first_lines(first, 3)
    first.terminate()
    rest, err = first.communicate(timeout=10)
    second = start_program(*words, "--no-clock", "--json")
    document = json.loads(first_lines(second, 1)[0])
    second.terminate()
    beyond, _ = second.communicate(timeout=10)

    assert clock.startswith("the clock is running for 0 schedules in ")
    assert re.fullmatch(r"dashboard: http://127\.0\.0\.1:\d+/\n", dashboard)
    assert re.fullmatch(r"password: (?:[a-z2-9]{5}-){3}[a-z2-9]{5}  \(shown this once; .*\)\n", password)
    assert (rest, err, first.returncode) == (b"", b"", 0)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", document["dashboard"])
    assert document["password"] is None
    assert (beyond, second.returncode) == (b"", 0)


def test_the_first_password_is_said_also_when_nothing_else_is(start_program: StartProgram) -> None:
    quiet = start_program("serve", "--listen", "127.0.0.1:0", "--quiet")

    assert first_lines(quiet, 1)[0].startswith("password: ")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ("--listen", "tower:80"),
            2,
            "--listen: 'tower:80' is not an address to listen on; write it like 127.0.0.1:8477",
        ),
        (("--listen", "127.0.0.1:99999"), 2, "names no port from 0 to 65535"),
        (("--listen", "127.0.0.1:0", "--host", "a b"), 2, "serve: hosts: 'a b' is not the name of a host"),
        (
            ("--listen", "192.0.2.1:0", "--no-clock"),
            4,
            "nothing can listen on 192.0.2.1:0: cannot assign requested address",
        ),
    ],
    ids=repr,
)
def test_a_place_where_it_cannot_listen_is_told_in_a_sentence(
    run_program: RunProgram, state: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    refused = run_program("serve", *words, exit_code=code)

    assert said in refused.stderr
    assert refused.stdout == ""
    assert not (state / "config" / "dashboard.json").exists()


def test_another_name_is_let_in_when_it_was_typed(start_program: StartProgram) -> None:
    serving = start_program("serve", "--no-clock", "--listen", "127.0.0.1:0", "--host", "NAS.example", "--json")
    port = int(json.loads(first_lines(serving, 1)[0])["dashboard"].rstrip("/").rpartition(":")[2])
    asked = [
        wire.ask(port, wire.request("GET", "/healthz", host=host)).status for host in ("nas.example:1", "evil.example")
    ]

    assert asked == [200, 421]
