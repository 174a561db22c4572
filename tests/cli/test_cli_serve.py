"""``serve`` as a user runs it: one per state folder, ended by the signals that end daemons."""

import signal
import time
from pathlib import Path

import pytest

from lab import RunProgram, StartProgram


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
