"""Real runs over real disks, started by Debian's cron and by the built-in clock, listed and stopped by other processes."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import lab
from acceptance.sample_lab import marks, write_folders
from lab import MakeDisk, RunProgram, StartProgram
from lab.cron import own_daemon, own_spool

FILMS = 10
SIZE = 4 * 2**20  # bytes a film; moved at 2 MB/s, so that there is time to look

pytestmark = [
    pytest.mark.needs_mounts,
    pytest.mark.needs_tool("cron", "crontab"),
    pytest.mark.xdist_group("cron daemon"),
]


@pytest.fixture
def disks(make_disk: MakeDisk) -> list[Path]:
    roots = [make_disk("ext4", 96, "disk1"), make_disk("xfs", 320, "disk2")]
    write_folders(roots[0], FILMS, size=SIZE)
    return roots


@pytest.fixture
def spool(tmp_path: Path, mounts: ExitStack, state: Path) -> Path:
    (state / "bin/crontab").unlink()  # the machine's real one serves this spool
    return own_spool(tmp_path, mounts)


@pytest.fixture
def create(run_program: RunProgram, disks: list[Path], spool: Path) -> Callable[..., float]:
    """Return a function that makes a schedule for the next minute, and the time at which it is due."""

    def make(*options: str) -> float:
        due = (time.time() + 8) // 60 * 60 + 60  # the daemon looks at its spool at the beginning of a minute
        at = datetime.fromtimestamp(due).astimezone()
        named = [f"--disk={root}" for root in disks]
        run_program(
            "schedule", "create", "soon", "--cron", f"{at.minute} {at.hour} * * *", *named, *options, exit_code=0
        )
        return due

    return make


@pytest.fixture
def cron(tmp_path: Path, mounts: ExitStack, spool: Path) -> Iterator[subprocess.Popen[bytes]]:
    with own_daemon(tmp_path, mounts) as daemon:
        yield daemon


def test_a_run_that_cron_started_is_listed_by_one_process_and_cancelled_by_another(
    cron: subprocess.Popen[bytes], create: Callable[..., float], run_program: RunProgram, disks: list[Path]
) -> None:
    before = lab.snapshot_array(disks)
    due = create("--bandwidth-limit", "2MB/s")

    running = _wait_for(lambda: _running(run_program), until=due + 30)
    _wait_for(lambda: _running(run_program)["files_moved"], until=due + 45)
    verdict = run_program("--cancel-execution", running["execution_id"], exit_code=0)

    record = run_program("--execution-history", "soon", "--json", exit_code=0).document[0]
    assert cron.poll() is None
    assert "stopped" in verdict.stdout
    assert (record["status"], record["exit_code"], record["fired_by"]) == ("cancelled", 130, "cron")
    assert record["files_moved"] == len(list(disks[1].glob("media/*/*.mkv")))
    assert record["bytes_moved"] == sum(path.stat().st_size for path in disks[1].glob("media/*/*.mkv"))
    assert 0 <= record["start_time"] - due < 30
    assert run_program("--list-executions", "--json", exit_code=0).document == []
    assert lab.difference(before, lab.snapshot_array(disks), ignore_folder_times=True) == []
    assert marks(disks) == []


def test_a_run_that_the_clock_started_outlives_it_and_is_in_the_history_with_true_counts(
    create: Callable[..., float], run_program: RunProgram, start_program: StartProgram, disks: list[Path]
) -> None:
    before = lab.snapshot_array(disks)
    due = create("--bandwidth-limit", "4MB/s")
    clock = start_program("serve", "--listen", "127.0.0.1:0")

    running = _wait_for(lambda: _running(run_program), until=due + 40)
    clock.terminate()
    clock.wait(10)
    still = _running(run_program)
    again = start_program("serve", "--listen", "127.0.0.1:0")
    record = _wait_for(lambda: _ended(run_program), until=due + 90)
    again.terminate()

    history = run_program("--execution-history", "soon", "--json", exit_code=0).document
    statistics = run_program("--schedule-stats", "soon", "--json", exit_code=0).document
    assert still["execution_id"] == running["execution_id"] == record["execution_id"]
    assert [one["fired_by"] for one in history] == ["clock"]  # the second clock did not fire the slot again
    assert (record["status"], record["exit_code"], record["cause"]) == ("completed", 0, "done")
    moved = list(disks[1].glob("media/*/*.mkv"))
    assert record["files_moved"] == len(moved) > 0
    assert statistics["total_files_moved"] == len(moved)
    assert (statistics["total_executions"], statistics["success_rate"]) == (1, 100.0)
    assert lab.difference(before, lab.snapshot_array(disks)) == []


def test_both_at_once_fire_a_slot_once(
    cron: subprocess.Popen[bytes], create: Callable[..., float], run_program: RunProgram, start_program: StartProgram
) -> None:
    due = create()
    clock = start_program("serve", "--listen", "127.0.0.1:0")

    record = _wait_for(lambda: _ended(run_program), until=due + 60)
    time.sleep(max(0.0, due + 20 - time.time()))  # whoever was late has had its time
    clock.terminate()

    history = run_program("--execution-history", "soon", "--json", exit_code=0).document
    assert cron.poll() is None
    assert record["exit_code"] == 0
    assert [one["slot"] for one in history] == [record["slot"]]


def _running(run_program: RunProgram) -> dict[str, Any]:
    found = run_program("--list-executions", "--json", exit_code=0).document
    return next((one for one in found if one["status"] == "running"), {})


def _ended(run_program: RunProgram) -> dict[str, Any]:
    found = run_program("--execution-history", "soon", "--json", exit_code=0).document
    return next((one for one in found if one["end_time"] is not None), {})


def _wait_for(what: Callable[[], Any], *, until: float) -> Any:
    while time.time() < until:
        if found := what():
            return found
        time.sleep(0.3)
    return pytest.fail(f"it did not happen by {datetime.fromtimestamp(until).astimezone():%H:%M:%S}")
