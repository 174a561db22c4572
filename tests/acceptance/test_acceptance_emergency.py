"""The red button: three real executions on three arrays, each hard to stop in a way of its own, ended by one command."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lab
from acceptance.sample_lab import marks, write_folders
from lab import RunProgram, StartProgram

LIMIT = 3.5  # seconds for the whole command; the verdicts themselves come within 3
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)"
DETACHED = """\
import os, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
os.close(1)
time.sleep(300)
"""


@pytest.fixture
def arrays(tmp_path: Path, run_program: RunProgram) -> list[list[Path]]:
    """Three arrays of two folder disks each, with a slow schedule of its own."""
    made = []
    for name in ("one", "two", "three"):
        disks = [tmp_path / name / "disk1", tmp_path / name / "disk2"]
        write_folders(disks[0], 6, size=4 * 2**20)
        disks[1].mkdir()
        named = [f"--disk={disk},size=40MB" for disk in disks]
        run_program(
            "schedule", "create", name, "--cron", "0 3 1 1 *", "--bandwidth-limit", "1MB/s", *named, exit_code=0
        )
        made.append(disks)
    return made


@pytest.fixture
def originals(arrays: list[list[Path]]) -> list[dict[bytes, lab.Entry]]:
    return [lab.snapshot_array(disks) for disks in arrays]


@pytest.fixture
def running(
    originals: list[dict[bytes, lab.Entry]], run_program: RunProgram, start_program: StartProgram
) -> list[dict[str, Any]]:
    """Their executions, all at work."""
    for name in ("one", "two", "three"):
        start_program("schedule", "run", name)
    found: list[dict[str, Any]] = _until(lambda: _at_work(run_program, 3))
    return found


def test_emergency_stop_ends_three_executions_that_are_hard_to_stop(
    running: list[dict[str, Any]],
    arrays: list[list[Path]],
    originals: list[dict[bytes, lab.Entry]],
    run_program: RunProgram,
) -> None:
    stopped, deaf, detached = running
    for process in (stopped["process"], stopped["worker"]):
        os.kill(process["pid"], signal.SIGSTOP)
    ignoring = _child(deaf, DEAF)
    grandchild = int(_child(detached, DETACHED)[1])

    began = time.monotonic()
    answer = run_program("--emergency-stop", "--json", exit_code=0)
    seconds = time.monotonic() - began

    verdicts = {one["execution_id"]: one["verdict"] for one in _verdicts(answer.document)}
    assert verdicts == {one["execution_id"]: "stopped" for one in running}
    assert seconds < LIMIT
    assert not [pid for one in running for pid in (one["process"]["pid"], one["worker"]["pid"]) if _lives(pid)]
    assert not _lives(ignoring[0].pid)
    assert not _lives(grandchild)
    for one in running:
        record = run_program("execution", "show", one["execution_id"], "--json", exit_code=0).document
        assert (record["status"], record["exit_code"], record["cause"]) == ("cancelled", 130, "emergency stop")
    print(f"emergency stop of three: {seconds:.2f} s")  # noqa: T201 - a figure for the log
    for name in ("one", "two", "three"):
        run_program("schedule", "edit", name, "--bandwidth-limit", "1GB/s", exit_code=0)
        run_program("schedule", "run", name, exit_code=0)
    for disks, before in zip(arrays, originals, strict=True):
        assert marks(disks) == []
        assert lab.difference(before, lab.snapshot_array(disks), ignore_folder_times=True) == []


def test_a_hold_lets_nothing_start_until_it_is_released(arrays: list[list[Path]], run_program: RunProgram) -> None:
    named = [f"--disk={disk},size=40MB" for disk in arrays[0]]

    run_program("emergency-stop", "--hold", "swapping a disk", exit_code=0)
    scheduled = run_program("schedule", "run", "one", "--json", exit_code=75)
    by_hand = run_program("run", "--yes", *named, exit_code=75)
    run_program("emergency-stop", "release", exit_code=0)
    released = run_program("schedule", "run", "two", "--json", exit_code=None)

    assert scheduled.document["cause"] == "emergency hold"
    assert "emergency-stop release" in by_hand.stderr
    assert released.document["status"] == "completed"
    assert not list(arrays[0][1].iterdir())


def _child(execution: dict[str, Any], code: str) -> tuple[subprocess.Popen[bytes], bytes]:
    """Start a process as if the worker had: it carries the execution's token. Returns it with what it said first."""
    environment = {"REBALANCER_EXECUTION_TOKEN": execution["worker"]["token"], "PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment, start_new_session=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in {b"Z", b"X"}


def _verdicts(document: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["verdicts"] if isinstance(document, dict) else document
    return found


def _at_work(run_program: RunProgram, count: int) -> list[dict[str, Any]]:
    found = run_program("--list-executions", "--json", exit_code=0).document
    at_work = [one for one in found if one["status"] == "running" and one["worker"]]
    return sorted(at_work, key=lambda one: str(one["schedule_id"])) if len(at_work) == count else []


def _until(what: Callable[[], Any], *, patience: float = 20) -> Any:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.1)
    return pytest.fail("it did not happen in time")
