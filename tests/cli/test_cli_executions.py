"""Every command of the specification, as the real program: right output, right exit code, also with ``--json``."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import RunProgram, StartProgram, register

RECORD = "20261123T000000Z-nightly-abcdef"
FIELDS = [
    "execution_id", "schedule_id", "start_time", "end_time", "status", "exit_code", "error_message", "operation_id",
    "files_moved", "bytes_moved", "duration_seconds", "pid",
]  # fmt: skip


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "70"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


EMPTY = [
    (["--list-executions"], 0, "nothing is running\n", "[]\n"),
    (["--execution-history"], 0, "no executions are recorded\n", "[]\n"),
    (["--execution-history", "--limit", "10"], 0, "no executions are recorded\n", "[]\n"),
    (["--limit", "10", "--execution-history"], 0, "no executions are recorded\n", "[]\n"),
    (["--cleanup-executions"], 0, "removed 0 records, 0 B\n", '{"removed":[],"set_aside":[],"bytes_freed":0}\n'),
    (["--cleanup-executions", "--cleanup-days", "60"], 0, "removed 0 records, 0 B\n", '{"removed":[],"set_aside":[],"bytes_freed":0}\n'),
    (["--emergency-stop"], 0, "nothing was running\n", "[]\n"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "exit_code", "text", "document"), EMPTY, ids=str)
def test_in_a_fresh_folder_every_command_answers(
    run_program: RunProgram, arguments: list[str], exit_code: int, text: str, document: str
) -> None:
    assert run_program(*arguments, exit_code=exit_code).stdout == text
    assert run_program("--json", *arguments, exit_code=exit_code).stdout == document
    assert run_program(*arguments, "--json", exit_code=exit_code).stdout == document


@pytest.mark.parametrize("unknown", ["nope", "a/b", "../../etc/passwd", "", "x" * 300])
@pytest.mark.parametrize(
    "flag",
    ["--execution-history", "--schedule-stats", "--cancel-execution", "--suspend-schedule", "--resume-schedule"],
)
def test_unknown_ids_end_with_3_and_one_sentence(run_program: RunProgram, flag: str, unknown: str) -> None:
    for ran in (run_program(flag, unknown, exit_code=3), run_program("--json", flag, unknown, exit_code=3)):
        assert ran.stdout == ""
        assert re.fullmatch(r"unraid-rebalancer: there is no (?:such )?(schedule|execution).*\n", ran.stderr)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--list-executions", "--emergency-stop"], "two commands"),
        (["--suspend-schedule", "a", "--resume-schedule", "a"], "two commands"),
        (["--limit", "3"], "belongs to --execution-history"),
        (["--suspend-reason", "x"], "belongs to --suspend-schedule"),
        (["--cleanup-days", "3", "--list-executions"], "belongs to --cleanup-executions"),
        (["--list-executions", "disks"], "one at a time"),
        (["--execution-history", "--limit", "0"], "less than 1"),
        (["--execution-history", "--limit", "ten"], "not a whole number"),
        (["--cleanup-executions", "--cleanup-days", "-1"], "not a whole number"),
    ],
)
def test_what_makes_no_sense_is_refused(run_program: RunProgram, arguments: list[str], complaint: str) -> None:
    ran = run_program(*arguments, exit_code=2)

    assert complaint in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_help_shows_every_flag(run_program: RunProgram) -> None:
    shown = run_program("--help", exit_code=0).stdout

    for flag in (
        "--list-executions", "--execution-history [ID]", "--limit N", "--schedule-stats ID", "--cancel-execution ID",
        "--suspend-schedule ID", "--suspend-reason", "--resume-schedule ID", "--cleanup-executions",
        "--cleanup-days N", "--emergency-stop",
    ):  # fmt: skip
        assert flag in shown


def test_a_running_execution_is_listed_cancelled_and_in_the_history(
    run_program: RunProgram, state: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    execution_id = register(state, "nightly", sleeper.pid)

    (listed,) = run_program("--list-executions", "--json", exit_code=0).document
    assert list(listed)[: len(FIELDS)] == FIELDS
    assert (listed["execution_id"], listed["status"], listed["pid"]) == (execution_id, "running", sleeper.pid)
    table = run_program("--list-executions", exit_code=0).stdout.splitlines()
    assert table[0].split() == ["execution", "schedule", "status", "started", "process", "done", "doing"]
    assert table[1].split()[:3] == [execution_id, "nightly", "running"]
    assert re.search(r"\(\d+ s ago\)", table[1])

    begun = time.monotonic()
    assert run_program("--cancel-execution", execution_id, exit_code=0).stdout.startswith(f"{execution_id}: stopped")
    assert time.monotonic() - begun < 4
    assert sleeper.wait(5) == -signal.SIGTERM

    (record,) = run_program("--execution-history", "nightly", "--json", exit_code=0).document
    assert (record["status"], record["exit_code"], record["pid"]) == ("cancelled", 130, None)
    assert "was not running" in run_program("--cancel-execution", execution_id, exit_code=0).stdout


def test_history_is_newest_first_filtered_and_limited(run_program: RunProgram, state: Path) -> None:
    ids = [register(state, "nightly", os.getpid(), code) for code in ("0", "1", "0")]
    register(state, "weekly", os.getpid(), "0")

    def listed(*arguments: str) -> list[str]:
        return [record["execution_id"] for record in run_program(*arguments, "--json", exit_code=0).document]

    assert len(listed("--execution-history")) == 4
    assert len(listed("--execution-history", "--limit", "2")) == 2
    assert sorted(listed("--execution-history", "nightly")) == sorted(ids)
    assert listed("execution", "history", "nightly", "--status", "failed") == [ids[1]]
    assert listed("execution", "history", "--since", "1h", "--status", "failed") == [ids[1]]
    assert listed("execution", "history", "--since", "2099-01-01") == []


def test_statistics_have_the_fields_of_the_specification(run_program: RunProgram, state: Path) -> None:
    for code in ("0", "0", "1"):
        register(state, "nightly", os.getpid(), code)

    statistics = run_program("--schedule-stats", "nightly", "--json", exit_code=0).document

    assert list(statistics)[:11] == [
        "schedule_id", "total_executions", "successful_executions", "failed_executions", "cancelled_executions",
        "last_execution_time", "last_success_time", "last_failure_time", "average_duration_seconds",
        "total_files_moved", "total_bytes_moved",
    ]  # fmt: skip
    assert (statistics["total_executions"], statistics["successful_executions"]) == (3, 2)
    assert statistics["total_files_moved"] == 12
    assert statistics["success_rate"] == pytest.approx(66.67, abs=0.01)


def test_a_schedule_is_suspended_with_its_reason_and_resumed(
    run_program: RunProgram, state: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    run_program("schedule", "create", "nightly", "--template", "nightly", exit_code=0)
    execution_id = register(state, "nightly", sleeper.pid)

    run_program("--suspend-reason", "Maintenance window", "--suspend-schedule", "nightly", exit_code=0)

    assert sleeper.wait(5) == -signal.SIGTERM
    record = run_program("execution", "show", execution_id, "--json", exit_code=0).document
    assert (record["status"], record["error_message"]) == ("suspended", "Maintenance window")
    schedule = run_program("schedule", "show", "nightly", "--json", exit_code=0).document
    assert schedule["suspension"]["reason"] == "Maintenance window"
    run_program("--resume-schedule", "nightly", exit_code=0)
    assert run_program("schedule", "show", "nightly", "--json", exit_code=0).document["suspension"] is None
    assert run_program("--schedule-stats", "nightly", "--json", exit_code=0).document["total_executions"] == 1


def test_a_schedule_that_never_ran_is_no_error(run_program: RunProgram) -> None:
    run_program("schedule", "create", "nightly", "--template", "nightly", exit_code=0)

    assert run_program("--schedule-stats", "nightly", "--json", exit_code=0).document["total_executions"] == 0
    assert run_program("--execution-history", "nightly", exit_code=0).stdout == "no executions are recorded\n"


def test_an_emergency_stop_prints_a_verdict_each_and_a_hold_stays(
    run_program: RunProgram, state: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    execution_id = register(state, "nightly", sleeper.pid)

    shown = run_program("--emergency-stop", exit_code=0).stdout.splitlines()

    assert shown[1].split()[:3] == [execution_id, "nightly", "stopped"]
    assert sleeper.wait(5) == -signal.SIGTERM
    run_program("emergency-stop", "--hold", "smoke", exit_code=0)
    assert (state / "config" / "hold.json").exists()
    assert run_program("emergency-stop", "release", "--json", exit_code=0).document == {"was_held": True}
    assert run_program("emergency-stop", "release", exit_code=0).stdout == "nothing was held\n"


def test_explain_and_show_tell_the_story(run_program: RunProgram, state: Path) -> None:
    execution_id = register(state, "nightly", os.getpid(), "1")

    story = run_program("execution", "explain", execution_id, "--json", exit_code=0).document
    assert [event["what"] for event in story["timeline"]] == ["started", "ended"]
    assert "started by another program" in run_program("execution", "explain", execution_id, exit_code=0).stdout
    assert "exit code" in run_program("execution", "show", execution_id, exit_code=0).stdout
    for command in ("show", "explain", "watch", "cancel"):
        run_program("execution", command, "nope", exit_code=3)


def test_watch_follows_to_the_end_and_ends_with_its_exit_code(
    run_program: RunProgram, start_program: StartProgram, state: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    execution_id = register(state, "nightly", sleeper.pid)
    watching = start_program("execution", "watch", execution_id, "--json")

    time.sleep(1)
    assert watching.poll() is None
    run_program("--cancel-execution", execution_id, exit_code=0)

    assert watching.wait(10) == 130


def test_a_damaged_record_is_named_and_hides_nothing(run_program: RunProgram, state: Path) -> None:
    execution_id = register(state, "nightly", os.getpid(), "0")
    (state / "config" / "executions" / f"{RECORD}.json").write_text("{torn")

    ran = run_program("--execution-history", "--json", exit_code=0)

    assert [record["execution_id"] for record in ran.document] == [execution_id]
    assert f"unreadable: {RECORD}.json" in ran.stderr
    run_program("execution", "show", RECORD, exit_code=4)
    run_program("--cancel-execution", RECORD, exit_code=4)
    assert run_program("--list-executions", exit_code=0).stdout == "nothing is running\n"
    cleaned = run_program("--cleanup-executions", "--json", exit_code=0).document
    assert [name for name, _ in cleaned["set_aside"]] == [f"{RECORD}.json"]


def test_cleanup_says_first_what_would_go(run_program: RunProgram, state: Path) -> None:
    ids = [register(state, "nightly", os.getpid(), "0") for _ in range(3)]
    for execution_id in ids:
        path = state / "config" / "executions" / f"{execution_id}.json"
        path.write_text(re.sub(r'"end_time":[0-9.]+', '"end_time":1000000.5', path.read_text()))

    foretold = run_program("execution", "cleanup", "--dry-run", "--json", exit_code=0).document
    assert len(run_program("--execution-history", "--json", exit_code=0).document) == 3
    cleaned = run_program("--cleanup-executions", "--json", exit_code=0).document

    assert foretold["removed"] == cleaned["removed"]
    assert len(cleaned["removed"]) == 2
    assert run_program("--schedule-stats", "nightly", "--json", exit_code=0).document["total_executions"] == 3


@pytest.mark.needs_mounts
def test_read_only_state_folders_still_list(run_program: RunProgram, state: Path) -> None:
    execution_id = register(state, "nightly", os.getpid(), "0")
    running = register(state, "weekly", os.getpid())
    subprocess.run(["mount", "--bind", str(state), str(state)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(state)], check=True)
        listed = run_program("--list-executions", "--json", exit_code=0).document
        history = run_program("--execution-history", "nightly", "--json", exit_code=0).document
        statistics = run_program("--schedule-stats", "nightly", "--json", exit_code=0).document
        stopped = run_program("--emergency-stop", "--json")
    finally:
        subprocess.run(["umount", str(state)], check=True)

    assert [record["execution_id"] for record in listed] == [running]
    assert [record["execution_id"] for record in history] == [execution_id]
    assert statistics["total_executions"] == 1
    assert stopped.exit_code == 4  # the process registered is an ancestor of the program: it is never signalled
    assert [verdict["verdict"] for verdict in stopped.document] == ["not ours, refused"]


def test_statistics_in_words_are_those_of_the_records_or_none_yet(state: Path, run_program: RunProgram) -> None:
    run_program("schedule", "create", "nightly", "--template", "nightly", exit_code=0)
    nothing = run_program("--schedule-stats", "nightly", exit_code=0)
    for exit_code in ("0", "0", "0", "1"):
        register(state, "gone", os.getpid(), exit_code)  # its schedule was deleted

    shown = run_program("--schedule-stats", "gone", exit_code=0).stdout

    assert nothing.stdout == "nightly: no executions yet\n"
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in shown.splitlines()[1:])
    assert rows["successful"] == "3 (75.0 %)"
    assert rows["failed"] == "1"
    assert rows["files moved"] == "16"
    assert re.fullmatch(r"\S+ \d\d:\d\d \(.* ago\)", rows["last failure"])
