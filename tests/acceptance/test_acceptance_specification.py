"""Every command of the specification as its document writes it, in an empty folder and with real executions behind it."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

import lab
import rebalancer
from acceptance.sample_lab import write_folders
from lab import RunProgram

ROOT = Path(__file__).parents[2]
EXECUTION_FIELDS = (
    "execution_id", "schedule_id", "start_time", "end_time", "status", "exit_code", "error_message", "operation_id",
    "files_moved", "bytes_moved", "duration_seconds", "pid",
)  # fmt: skip
STATISTICS_FIELDS = (
    "schedule_id", "total_executions", "successful_executions", "failed_executions", "cancelled_executions",
    "last_execution_time", "last_success_time", "last_failure_time", "average_duration_seconds", "total_files_moved",
    "total_bytes_moved",
)  # fmt: skip
STATUSES = {
    "PENDING": "pending", "RUNNING": "running", "COMPLETED": "completed", "FAILED": "failed", "CANCELLED": "cancelled",
    "SUSPENDED": "suspended",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """A line of the document; exit codes in a fresh folder and with executions of SCHEDULE_ID behind it."""

    line: str
    fresh: int
    used: int


COMMANDS = (
    Command("python unraid_rebalancer.py --list-executions", 0, 0),
    Command("python unraid_rebalancer.py --execution-history SCHEDULE_ID", 3, 0),
    Command("python unraid_rebalancer.py --execution-history", 0, 0),
    Command("python unraid_rebalancer.py --execution-history --limit 10", 0, 0),
    Command("python unraid_rebalancer.py --schedule-stats SCHEDULE_ID", 3, 0),
    Command("python unraid_rebalancer.py --cancel-execution EXECUTION_ID", 3, 0),
    Command('python unraid_rebalancer.py --suspend-schedule SCHEDULE_ID --suspend-reason "Maintenance window"', 3, 0),
    Command("python unraid_rebalancer.py --resume-schedule SCHEDULE_ID", 3, 0),
    Command("python unraid_rebalancer.py --cleanup-executions", 0, 0),
    Command("python unraid_rebalancer.py --cleanup-executions --cleanup-days 60", 0, 0),
    Command("python unraid_rebalancer.py --emergency-stop", 0, 0),
)
Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def typed(tmp_path: Path, state: Path) -> Typed:
    """Return a function that runs a line of the document through sh, in the checkout, as somebody would type it."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "python").symlink_to(sys.executable)

    def run(line: str, *more: str, **ids: str) -> "subprocess.CompletedProcess[str]":
        for name, value in ids.items():
            line = line.replace(name, shlex.quote(value))
        environment = lab.environment(state)
        environment["PATH"] = f"{bin_folder}:{environment['PATH']}"
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)  # the link is not in the environment of its packages
        command = " ".join([line, *more])
        answer = subprocess.run(
            ["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert "Traceback" not in answer.stderr, answer.stderr
        return answer

    return run


@pytest.fixture
def execution_id(tmp_path: Path, run_program: RunProgram) -> str:
    """A schedule ``nightly`` with two executions, one of which failed; the newest one's id."""
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    write_folders(disks[0], 6, size=2**20)
    disks[1].mkdir()
    named = [f"--disk={disk},size=16MB" for disk in disks]
    run_program("schedule", "create", "nightly", "--cron", "0 3 1 1 *", *named, exit_code=0)
    run_program("schedule", "run", "nightly", exit_code=0)
    run_program("schedule", "edit", "nightly", "--share", "nosuchshare", exit_code=0)
    record = run_program("schedule", "run", "nightly", "--json").document
    assert record["status"] == "failed"
    return str(record["execution_id"])


@pytest.mark.parametrize("command", COMMANDS, ids=[command.line.partition(".py ")[2] for command in COMMANDS])
@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
def test_a_command_of_the_specification_answers_in_a_fresh_folder(
    typed: Typed, command: Command, as_json: bool
) -> None:
    answer = typed(
        command.line, *["--json"] * as_json, SCHEDULE_ID="nightly", EXECUTION_ID="20260101T000000Z-nightly-abc123"
    )

    assert answer.returncode == command.fresh
    if command.fresh:
        assert answer.stdout == ""
        assert answer.stderr.startswith("unraid-rebalancer: there is no ")
        assert answer.stderr.count("\n") == 1
    elif as_json:
        json.loads(answer.stdout)
    else:
        assert answer.stdout.strip()


@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
def test_the_commands_of_the_specification_tell_of_real_executions(
    typed: Typed, execution_id: str, as_json: bool
) -> None:
    said = {}
    for command in COMMANDS:
        answer = typed(command.line, *["--json"] * as_json, SCHEDULE_ID="nightly", EXECUTION_ID=execution_id)
        assert answer.returncode == command.used, (command, answer.stderr)
        said[command.line.split()[2] + str(len(command.line.split()))] = answer.stdout

    if not as_json:
        assert execution_id in said["--execution-history4"]
        assert "50.0 %" in said["--schedule-stats4"]
        return
    history = json.loads(said["--execution-history4"])
    statistics = json.loads(said["--schedule-stats4"])
    assert [one["status"] for one in history] == ["failed", "completed"]
    assert list(history[0])[: len(EXECUTION_FIELDS)] == list(EXECUTION_FIELDS)
    assert list(statistics)[: len(STATISTICS_FIELDS)] == list(STATISTICS_FIELDS)
    assert (statistics["total_executions"], statistics["success_rate"]) == (2, 50.0)
    assert statistics["total_files_moved"] == history[1]["files_moved"] > 0


@pytest.mark.parametrize("wrong", ["nope", "a/b", "../nightly", "..", "x" * 300, "nightly\x1b[31m", "ÿ"])
@pytest.mark.parametrize(
    "flag", ["--execution-history", "--schedule-stats", "--cancel-execution", "--suspend-schedule", "--resume-schedule"]
)
def test_an_unknown_id_is_answered_with_a_sentence_and_exit_code_3(
    run_program: RunProgram, flag: str, wrong: str
) -> None:
    answer = run_program(flag, wrong, exit_code=3)

    assert answer.stdout == ""
    assert "\x1b" not in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_flags_may_stand_in_any_order_but_not_two_commands_at_once(run_program: RunProgram, execution_id: str) -> None:
    turned = run_program("--limit", "1", "--json", "--execution-history", "nightly", exit_code=0)
    run_program("--suspend-reason", "Maintenance window", "--suspend-schedule", "nightly", exit_code=0)
    both = run_program("--list-executions", "--emergency-stop", exit_code=2)

    schedule = run_program("schedule", "show", "nightly", "--json", exit_code=0).document
    assert [one["execution_id"] for one in turned.document] == [execution_id]
    assert schedule["suspension"]["reason"] == "Maintenance window"
    assert both.stdout == ""


def test_the_names_of_the_specification_can_be_imported_with_its_fields() -> None:
    assert (
        tuple(field.name for field in fields(rebalancer.ScheduleExecution))[: len(EXECUTION_FIELDS)] == EXECUTION_FIELDS
    )
    assert (
        tuple(field.name for field in fields(rebalancer.ScheduleStatistics))[: len(STATISTICS_FIELDS)]
        == STATISTICS_FIELDS
    )
    assert {status.name: status.value for status in rebalancer.ExecutionStatus} == STATUSES


def test_the_engine_of_the_specification_ties_its_parts_together(tmp_path: Path) -> None:
    engine = rebalancer.SchedulingEngine("/opt/unraid_rebalancer.py", config_dir=str(tmp_path / "schedules"))
    with subprocess.Popen(["sleep", "60"]) as process:
        started = engine.monitor.start_execution("nightly", process.pid)
        elsewhere = rebalancer.ScheduleMonitor(tmp_path / "schedules").get_running_executions()
        process.terminate()
    engine.monitor.complete_execution(started.execution_id, 0, 5, 1000, "")

    (record,) = engine.monitor.get_execution_history("nightly", 10)
    statistics = engine.monitor.get_schedule_statistics("nightly")
    assert [one.execution_id for one in elsewhere] == [started.execution_id]
    assert (record.status, record.files_moved, record.bytes_moved) == (rebalancer.ExecutionStatus.COMPLETED, 5, 1000)
    assert statistics.success_rate == 100.0
    assert isinstance(engine.schedule_manager, rebalancer.ScheduleManager)
    assert isinstance(engine.cron_manager, rebalancer.CronManager)


def test_what_is_read_can_be_read_from_a_state_folder_that_cannot_be_written(
    run_program: RunProgram, execution_id: str, state: Path, tmp_path: Path, mounts: Any
) -> None:
    subprocess.run(["mount", "--bind", state, state], check=True)
    mounts.callback(subprocess.run, ["umount", "--lazy", state], check=False)
    subprocess.run(["mount", "-o", "remount,bind,ro", state], check=True)

    run_program("--list-executions", exit_code=0)
    history = run_program("--execution-history", "nightly", "--json", exit_code=0).document
    statistics = run_program("--schedule-stats", "nightly", "--json", exit_code=0).document
    refused = run_program("--suspend-schedule", "nightly", exit_code=4)

    assert history[0]["execution_id"] == execution_id
    assert statistics["total_executions"] == 2
    assert refused.stderr.count("\n") == 1
