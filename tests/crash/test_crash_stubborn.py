"""Q6: a run that is stormed with signals, and one whose disk does not answer: what is said is true, no file suffers."""

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lab
from lab import MakeDisk, RunProgram, StartProgram
from lab.processes import children_of
from rebalancer.executions.family import stop_family
from rebalancer.executions.process import TOKEN, identity_of
from rebalancer.executions.process_table import token_of

FILES = 30
LIMIT = (
    15.0  # seconds for an emergency stop as a whole command; how fast it is when nothing else runs is told elsewhere
)

pytestmark = pytest.mark.needs_loop_disks("ext4")


@pytest.fixture
def disks(make_disk: MakeDisk) -> tuple[Path, Path]:
    made = make_disk("ext4", 128, "disk1"), make_disk("ext4", 128, "disk2")
    for number in range(FILES):
        path = made[0] / f"media/film {number}/film"
        path.parent.mkdir(parents=True)
        path.write_bytes(os.urandom(1_500_000))
    return made


def run_command(disks: tuple[Path, Path], *more: str) -> list[str | Path]:
    return ["--disk", disks[0], "--disk", disks[1], "run", "--yes", "--reserve", "1MB", *more]


def wait_for_worker(supervisor: lab.Running, copying_to: Path) -> int:
    """Return its worker's number once something is being copied."""
    deadline = time.monotonic() + 60
    while True:
        assert supervisor.poll() is None, "it ended before"
        assert time.monotonic() < deadline, "nothing was copied"
        children = children_of(supervisor.pid)
        if children and any(copying_to.rglob(".rebalancer-*.part")):
            return children[0]
        time.sleep(0.005)


def finish(disks: tuple[Path, Path], run_program: RunProgram) -> lab.Ran:
    """Run again; the worker of before may need a moment to end."""
    deadline = time.monotonic() + 60
    while (ran := run_program(*run_command(disks))).exit_code == 75:
        assert time.monotonic() < deadline, "the worker lives on"
        time.sleep(0.1)
    return ran


def is_whole(before: dict[bytes, lab.Entry], disks: tuple[Path, Path]) -> bool:
    after = lab.snapshot_array(disks)
    return lab.difference(before, after, ignore_folder_times=True) == [] and not [
        path for root in disks for path in root.rglob(".rebalancer-*")
    ]


def test_a_storm_of_signals_is_one_stop_with_one_true_record(
    disks: tuple[Path, Path], start_program: StartProgram, run_program: RunProgram
) -> None:
    before = lab.snapshot_array(disks)
    run = start_program(*run_command(disks, "--bandwidth-limit", "4MB/s"))
    worker = os.pidfd_open(wait_for_worker(run, disks[1]))

    sent = 0
    while run.poll() is None and sent < 1_000:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
            run.send_signal(number)
            try:
                signal.pidfd_send_signal(worker, number)
            except ProcessLookupError:
                break
            sent += 1
    output, errors = run.communicate(timeout=90)
    os.close(worker)

    assert sent > 0
    assert run.returncode == 130, (output, errors)
    assert b"Traceback" not in errors
    (record,) = run_program("--execution-history", "--json", exit_code=0).document
    assert (record["status"], record["exit_code"]) == ("cancelled", 130)
    assert record["files_moved"] == len(list(disks[1].glob("media/*/film")))
    assert finish(disks, run_program).exit_code == 0
    assert is_whole(before, disks)


def test_an_emergency_stop_says_kill_pending_while_the_disk_does_not_answer(
    disks: tuple[Path, Path], start_program: StartProgram, run_program: RunProgram
) -> None:
    before = lab.snapshot_array(disks)
    run = start_program(*run_command(disks, "--bandwidth-limit", "4MB/s"))
    worker = wait_for_worker(run, disks[1])
    subprocess.run(["fsfreeze", "--freeze", disks[1]], check=True)
    try:
        state = wait_for_state(worker, "D")
        began = time.monotonic()
        answer = run_program("--emergency-stop", "--json")
        seconds = time.monotonic() - began
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", disks[1]], check=True)
    run.communicate(timeout=90)

    assert state == "D"
    assert seconds < LIMIT
    assert "kill pending" in answer.stdout
    assert finish(disks, run_program).exit_code == 0
    assert is_whole(before, disks)


# A process whose end takes a while: first its environment goes, then half a GiB is given back page by page.
LARGE = """
import mmap, sys
memory = mmap.mmap(-1, 2**29)
memory.madvise(mmap.MADV_NOHUGEPAGE)
memory[::4096] = bytes(2**17)
print("up", flush=True)
sys.stdin.read()
"""


def test_who_is_about_to_end_and_has_no_environment_any_more_is_not_refused() -> None:
    token = secrets.token_hex(16)
    with subprocess.Popen(
        [sys.executable, "-S", "-c", LARGE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {TOKEN: token},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        identity = identity_of(process.pid, token)
        process.kill()
        while token_of(process.pid):
            pass
        state = wait_for_state(process.pid, "R")
        stopped = stop_family(identity, grace=1, patience=10)

    assert state in "RD"
    assert (stopped.refused, stopped.pending) == ((), ())


def wait_for_state(pid: int, wanted: str) -> str:
    """Return the process's state once it is that, or what it is after a while."""
    deadline = time.monotonic() + 30
    while True:
        text = Path(f"/proc/{pid}/stat").read_text()
        found = text[text.rindex(")") + 2]
        if found == wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.01)
