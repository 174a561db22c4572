"""What each way of starting the program loads, told by real processes at their end: nothing that it does not need."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lab
from lab import RunProgram, register

SOURCE = str(Path(__file__).parents[2] / "src")
DRAWING, HASHING, SENDING = ["rich"], ["xxhash"], ["apprise", "rebalancer.notify.courier"]
DATABASE, CRON, PROCESSES = ["sqlite3"], ["cronsim"], ["psutil", "ctypes"]
LOGGING = ["logging", "secrets", "tempfile", "subprocess"]
WORK = [
    "rebalancer.planning.planner", "rebalancer.inventory.scan", "rebalancer.array.discovery", "rebalancer.guards.kinds",
    "rebalancer.executions.runner", "rebalancer.executions.worker_process", "rebalancer.transfer.worker",
]  # fmt: skip
NOTHING_BUT_WORDS = [
    *DRAWING, *HASHING, *SENDING, *DATABASE, *CRON, *PROCESSES, *LOGGING, *WORK, "msgspec", "rebalancer.engine",
]  # fmt: skip
RECORDS_ONLY = [name for name in NOTHING_BUT_WORDS if name not in {"msgspec", "sqlite3"}]

TOLD = """
import atexit, sys
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
"""
PROGRAM = TOLD + "from rebalancer.cli import main; main()"
WORKER = TOLD + "from rebalancer.transfer import worker; worker.main([])"  # as a program it ends without a last word


def loaded_by(state: Path, code: str, *arguments: str, exit_code: int = 0) -> set[str]:
    """Run a real process and return the modules that it had loaded when it ended."""
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env={**lab.environment(state), "PYTHONPATH": SOURCE},
    )
    assert ran.returncode == exit_code, ran.stderr[-2000:]
    return set(ran.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["completion", "fish"], ["schedule", "--help"]],
    ids=" ".join,
)
def test_help_version_and_completion_load_nothing_but_words(state: Path, arguments: list[str]) -> None:
    loaded = loaded_by(state, PROGRAM, *arguments)

    assert "rebalancer.cli" in loaded
    assert loaded & {*NOTHING_BUT_WORDS} == set()


@pytest.mark.parametrize("arguments", [["execution", "--help"], ["plan", "--help"], ["run", "--help"]], ids=" ".join)
def test_the_help_of_a_command_loads_no_more_than_its_options(state: Path, arguments: list[str]) -> None:
    loaded = loaded_by(state, PROGRAM, *arguments)

    assert loaded & {*DRAWING, *HASHING, *SENDING, *DATABASE, *PROCESSES, *WORK, "rebalancer.engine"} == set()


@pytest.mark.parametrize("arguments", [["--list-executions"], ["execution", "list", "--json"]], ids=" ".join)
def test_a_listing_loads_the_records_and_no_database(state: Path, arguments: list[str]) -> None:
    register(state, "nightly", os.getpid())

    loaded = loaded_by(state, PROGRAM, *arguments)

    assert "rebalancer.executions.monitor" in loaded
    assert loaded & {*RECORDS_ONLY, *DATABASE} == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--execution-history"],
        ["--execution-history", "nightly", "--limit", "10", "--json"],
        ["--schedule-stats", "nightly"],
        ["--schedule-stats", "nightly", "--json"],
    ],
    ids=" ".join,
)
def test_history_and_statistics_load_the_index_and_nothing_else(state: Path, arguments: list[str]) -> None:
    register(state, "nightly", os.getpid(), "0")

    loaded = loaded_by(state, PROGRAM, *arguments)

    assert "sqlite3" in loaded
    assert loaded & {*RECORDS_ONLY} == set()


def test_a_line_of_cron_that_is_not_due_loads_nothing_of_the_work(state: Path, run_program: RunProgram) -> None:
    run_program("schedule", "create", "yearly", "--cron", "0 3 1 1 *", exit_code=0)

    loaded = loaded_by(state, PROGRAM, "--quiet", "schedule", "run", "yearly", "--fired-by", "cron")

    assert "rebalancer.executions.taking" in loaded
    assert loaded & {*DRAWING, *HASHING, *SENDING, *PROCESSES, *WORK} == set()


def test_the_worker_loads_neither_the_command_line_nor_what_its_supervisor_needs(state: Path) -> None:
    loaded = loaded_by(state, WORKER)

    assert "rebalancer.transfer.unit" in loaded
    assert loaded & {"click", *DRAWING, *SENDING, *DATABASE, *CRON, "psutil"} == set()
    assert not [name for name in loaded if name.startswith(("rebalancer.cli", "rebalancer.executions"))]
