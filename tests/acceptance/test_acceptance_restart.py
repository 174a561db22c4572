"""After kill -9 of anything, or a reboot, the first command that looks tells the truth, and the next run finishes."""

import os
import signal
import subprocess
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lab
from acceptance.sample_lab import marks, write_folders
from lab import RunProgram, StartProgram
from lab.cron import bind

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LOOKS = (["--execution-history", "nightly"], ["execution", "history"], ["--list-executions"])


@pytest.fixture
def disks(tmp_path: Path, run_program: RunProgram) -> list[Path]:
    roots = [tmp_path / "disk1", tmp_path / "disk2"]
    write_folders(roots[0], 6, size=4 * 2**20)
    roots[1].mkdir()
    named = [f"--disk={root},size=40MB" for root in roots]
    run_program(
        "schedule", "create", "nightly", "--cron", "0 3 1 1 *", "--bandwidth-limit", "3MB/s", *named, exit_code=0
    )
    return roots


@dataclass(frozen=True, slots=True)
class AtWork:
    """An execution that is at work and has moved something, and what its disks held before."""

    execution: dict[str, Any]
    supervisor: lab.Running
    disks: list[Path]
    originals: dict[bytes, lab.Entry]

    def kill(self, *victims: str) -> None:
        for victim in victims:
            os.kill(self.execution[victim]["pid"], signal.SIGKILL)
        self.supervisor.wait(5)
        _wait_for_end(self.execution["worker"]["pid"])

    def record(self, run_program: RunProgram) -> Any:
        return run_program("execution", "show", self.execution["execution_id"], "--json", exit_code=0).document


@pytest.fixture
def at_work(disks: list[Path], run_program: RunProgram, start_program: StartProgram) -> AtWork:
    originals = lab.snapshot_array(disks)
    supervisor = start_program("schedule", "run", "nightly")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = run_program("--list-executions", "--json", exit_code=0).document
        if found and found[0]["files_moved"]:
            return AtWork(found[0], supervisor, disks, originals)
        time.sleep(0.1)
    return pytest.fail("nothing was moved in 20 s")


@pytest.mark.parametrize("look", LOOKS, ids=" ".join)
@pytest.mark.parametrize("victims", [("process",), ("process", "worker")], ids=["supervisor", "both"])
def test_a_killed_execution_is_told_at_once_and_finished_by_the_next(
    at_work: AtWork, run_program: RunProgram, look: list[str], victims: tuple[str, ...]
) -> None:
    at_work.kill(*victims)

    began = time.monotonic()
    run_program(*look, exit_code=0)
    seconds = time.monotonic() - began

    record = at_work.record(run_program)
    assert seconds < 1
    assert (record["status"], record["cause"]) == ("failed", "lost")
    assert "its supervisor was killed" in record["error_message"]
    assert record["files_moved"] >= at_work.execution["files_moved"]
    assert run_program("--list-executions", "--json").document == []
    _finish(run_program, at_work)


def test_a_killed_worker_is_in_the_record_that_its_supervisor_writes(at_work: AtWork, run_program: RunProgram) -> None:
    at_work.kill("worker")

    record = at_work.record(run_program)
    assert at_work.supervisor.returncode == 1
    assert (record["status"], record["cause"]) == ("failed", "lost")
    assert "SIGKILL" in record["error_message"]
    _finish(run_program, at_work)


@pytest.mark.needs_mounts
@pytest.mark.xdist_group("boot id")
def test_a_reboot_is_told_from_a_kill(
    at_work: AtWork, run_program: RunProgram, state: Path, tmp_path: Path, mounts: ExitStack
) -> None:
    at_work.kill("process", "worker")
    (tmp_path / "boot_id").write_text(f"{uuid.uuid4()}\n")
    bind(tmp_path / "boot_id", BOOT_ID, mounts)
    (state / "runtime").rename(state / "runtime of the last boot")

    record = at_work.record(run_program)
    cancelled = run_program("--cancel-execution", at_work.execution["execution_id"])

    assert (record["status"], record["error_message"]) == ("failed", "lost: the machine was restarted")
    assert "was not running" in cancelled.stdout
    _finish(run_program, at_work)


def test_suspending_stops_what_runs_and_resuming_lets_it_fire_again(at_work: AtWork, run_program: RunProgram) -> None:
    run_program("--suspend-schedule", "nightly", "--suspend-reason", "Maintenance window", exit_code=0)

    assert at_work.supervisor.wait(5) == 130
    record = at_work.record(run_program)
    skipped = run_program("schedule", "run", "nightly", "--json", exit_code=75).document
    run_program("--resume-schedule", "nightly", exit_code=0)
    assert (record["status"], record["error_message"]) == ("suspended", "Maintenance window")
    assert (skipped["status"], skipped["cause"]) == ("suspended", "suspended")
    assert "Maintenance window" in skipped["error_message"]
    _finish(run_program, at_work)


def _finish(run_program: RunProgram, at_work: AtWork) -> None:
    """Run the schedule again: what was in flight is finished, nothing is lost and nothing is twice."""
    run_program("schedule", "edit", "nightly", "--bandwidth-limit", "1GB/s", exit_code=0)
    run_program("schedule", "run", "nightly", exit_code=0)
    assert marks(at_work.disks) == []
    assert lab.difference(at_work.originals, lab.snapshot_array(at_work.disks), ignore_folder_times=True) == []


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists(), subprocess.run(["ps", "-fp", str(pid)], capture_output=True, check=False)
