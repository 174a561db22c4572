"""Control over real runs of the real program, from other processes."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from lab import RunProgram, StartProgram
from lab.processes import is_there, state_of, wait_until
from rebalancer.executions import request
from rebalancer.executions.request import StopAction, StopRequest
from rebalancer.state import StateFolders

SETTINGS = """
[[disk]]
path = "{0}/disk1"
name = "disk1"
size = "60MB"
[[disk]]
path = "{0}/disk2"
name = "disk2"
size = "60MB"
"""
SLOWLY = ("--bandwidth-limit", "300kB/s", "--reserve", "1MB")


@pytest.fixture
def array(state: Path, tmp_path: Path) -> Path:
    """Two folders as disks, one of them full of files that take a while to move."""
    (state / "config").mkdir(mode=0o700)
    settings = state / "config" / "config.toml"
    settings.write_text(SETTINGS.format(tmp_path))
    settings.chmod(0o600)
    (tmp_path / "disk2").mkdir()
    for number in range(12):
        folder = tmp_path / "disk1" / "movies" / f"film {number}"
        folder.mkdir(parents=True)
        (folder / "film.mkv").write_bytes(os.urandom(3_000_000))
    return tmp_path


def running(run_program: RunProgram) -> dict[str, Any]:
    """Wait until another process sees the execution at work, and return its record."""
    found: list[dict[str, Any]] = []

    def is_listed() -> bool:
        found[:] = run_program("--list-executions", "--json", exit_code=0).document
        return bool(found) and found[0]["worker"] is not None

    wait_until(is_listed)
    return found[0]


def files_of(array: Path) -> dict[str, list[str]]:
    """Return on which disks each film is, under whatever name."""
    found: dict[str, list[str]] = {}
    for path in array.glob("disk*/movies/*/*"):
        found.setdefault(path.parent.name, []).append(path.name)
    return found


def test_a_run_is_cancelled_by_another_process_with_true_counts(
    run_program: RunProgram, start_program: StartProgram, array: Path
) -> None:
    run = start_program("run", "--yes", *SLOWLY)
    execution_id = running(run_program)["execution_id"]

    begun = time.monotonic()
    cancelled = run_program("execution", "cancel", execution_id, "--reason", "movie night", "--json", exit_code=0)
    took = time.monotonic() - begun

    assert cancelled.document["verdict"] == "stopped"
    assert took < 2
    assert run.wait(5) == 130
    (record,) = run_program("--execution-history", "--json", exit_code=0).document
    assert (record["status"], record["error_message"], record["exit_code"]) == ("cancelled", "movie night", 130)
    assert record["files_moved"] == len(list((array / "disk2").glob("movies/*/film.mkv")))
    assert files_of(array) == {f"film {number}": ["film.mkv"] for number in range(12)}


def test_an_emergency_stop_needs_neither_the_record_nor_a_supervisor_that_answers(
    run_program: RunProgram, start_program: StartProgram, array: Path, state: Path
) -> None:
    run = start_program("run", "--yes", *SLOWLY)
    record = running(run_program)
    worker = record["worker"]["pid"]
    os.kill(run.pid, signal.SIGSTOP)
    wait_until(lambda: state_of(run.pid) == "T")
    os.kill(worker, signal.SIGSTOP)
    (state / "config" / "executions" / f"{record['execution_id']}.json").write_text("torn")

    begun = time.monotonic()
    (verdict,) = run_program("--emergency-stop", "--json", exit_code=0).document
    took = time.monotonic() - begun

    assert (verdict["execution_id"], verdict["verdict"]) == (record["execution_id"], "stopped")
    assert took < 3
    assert not is_there(worker)
    run.wait(5)
    assert set(files_of(array)) == {f"film {number}" for number in range(12)}


def test_a_stop_that_reaches_the_worker_before_its_supervisor_is_no_failure(
    run_program: RunProgram, start_program: StartProgram, array: Path, state: Path
) -> None:
    run = start_program("run", "--yes", *SLOWLY)
    record = running(run_program)
    folders = StateFolders(config=state / "config", runtime_root=state / "runtime")
    request.write(folders, record["execution_id"], StopRequest(action=StopAction.EMERGENCY, reason="smoke"))

    os.kill(record["worker"]["pid"], signal.SIGKILL)

    assert run.wait(10) == 130
    (found,) = run_program("--execution-history", "--json", exit_code=0).document
    assert (found["status"], found["cause"], found["error_message"]) == ("cancelled", "emergency stop", "smoke")


def test_after_a_killed_supervisor_the_next_look_tells_the_truth(
    run_program: RunProgram, start_program: StartProgram, array: Path
) -> None:
    run = start_program("run", "--yes", *SLOWLY)
    record = running(run_program)

    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    wait_until(lambda: not is_there(record["worker"]["pid"]))

    assert run_program("--list-executions", exit_code=0).stdout == "nothing is running\n"
    (found,) = run_program("--execution-history", "--json", exit_code=0).document
    assert (found["status"], found["cause"]) == ("failed", "lost")
    assert "was not running" in run_program("--cancel-execution", record["execution_id"], exit_code=0).stdout
    explained = run_program("execution", "explain", record["execution_id"], exit_code=0).stdout
    assert "its supervisor was killed" in explained


def test_a_run_that_is_paused_by_hand_waits_until_it_may_go_on(
    run_program: RunProgram, start_program: StartProgram, array: Path
) -> None:
    run = start_program("run", "--yes", *SLOWLY)
    execution_id = running(run_program)["execution_id"]

    run_program("execution", "pause", execution_id, "--reason", "movie night", exit_code=0)
    wait_until(lambda: _last_event(run_program) == "paused")
    moved = _bytes(array)
    time.sleep(1)
    still = _bytes(array)
    told = run_program("--list-executions", exit_code=0).stdout
    again = run_program("execution", "continue", execution_id, exit_code=0)
    wait_until(lambda: _bytes(array) > still)
    nothing = run_program("execution", "continue", execution_id, exit_code=0)
    run_program("execution", "cancel", execution_id, exit_code=0)
    ended = run_program("execution", "pause", execution_id, exit_code=4)
    run_program("execution", "pause", "20260101T000000Z-manual-abcdef", exit_code=3)

    assert moved == still
    assert "movie night" in told
    assert "goes on" in again.stdout
    assert "was not paused by hand" in nothing.stdout
    assert "has ended (cancelled)" in ended.stderr
    assert run.wait(10) == 130
    record = run_program("execution", "show", execution_id, "--json", exit_code=0).document
    assert [event["what"] for event in record["timeline"]].count("went on") == 1
    assert record["held_seconds"] > 1


def _last_event(run_program: RunProgram) -> str:
    (found,) = run_program("--list-executions", "--json", exit_code=0).document
    return str(found["timeline"][-1]["what"])


def _bytes(array: Path) -> int:
    return sum(path.stat().st_blocks for path in (array / "disk2").rglob("*") if path.is_file())
