"""What each command prints and how it ends."""

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from msgspec import structs

from rebalancer import records
from rebalancer.cli import run
from rebalancer.errors import CancelledError, NotNowError, RefusedError
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.guards.options import GuardOptions
from rebalancer.planning.plan import Plan
from rebalancer.planning.selection import Selection, Strategy, Verification

Ask = Callable[..., Any]
MISSING = "/nowhere/at/all.json"


def test_disks_in_a_pipe_are_aligned_text_without_bars(ask: Ask) -> None:
    answer = ask("disks")

    assert answer.exit_code == 0
    assert answer.out.splitlines()[0].split() == ["disk", "fill", "used", "free", "size", "type", "status"]
    assert "75.0 %" in answer.out
    assert "█" not in answer.out
    assert "disk3: nothing is mounted at /mnt/disk3" in answer.out


def test_disks_as_json_have_the_fields_of_the_design(ask: Ask) -> None:
    first, *_others, last = json.loads(ask("disks", "--json").out)

    assert first == {
        "name": "disk1", "path": "/mnt/disk1", "filesystem": "xfs", "size_bytes": 4 * 10**12, "used_bytes": 3 * 10**12,
        "free_bytes": 10**12, "used_percent": 75.0, "status": "ok", "reason": "",
    }  # fmt: skip
    assert (last["used_percent"], last["status"]) == (0.0, "not mounted")


def test_a_scan_counts_units_files_and_what_is_left_alone(ask: Ask) -> None:
    answer = ask("scan")

    assert answer.out.splitlines()[1].split() == ["disk1", "2", "4", "1.00", "TB", "1"]
    assert "2 left alone; -v lists them" in answer.out
    assert "special file" not in answer.out


def test_a_verbose_scan_lists_what_is_left_alone_with_the_reason(ask: Ask) -> None:
    out = ask("scan", "-v").out

    assert "movies/pipe" in out
    assert "special file" in out
    assert "in use by qemu" in out


def test_a_saved_scan_can_be_planned_from(ask: Ask, tmp_path: Path) -> None:
    saved = tmp_path / "array.json"

    assert ask("scan", "--save", str(saved), "--quiet").out == ""
    answer = ask("plan", "--inventory", str(saved), "--json")

    assert answer.exit_code == 0
    assert json.loads(answer.out)["strategy"] == "even"


def test_the_json_of_a_scan_is_the_inventory(ask: Ask) -> None:
    document = json.loads(ask("scan", "--json").out)

    assert document["disks"][0]["name"] == "disk1"
    assert {"disk", "share", "path", "size_bytes", "files"} <= set(document["units"][0])


def test_a_plan_shows_twenty_moves_and_ten_left_behind_unless_asked_for_all(ask: Ask) -> None:
    short, full = ask("plan").out, ask("plan", "-v").out

    assert "25 moves, 1.00 TB (1.0 % above the least possible)\nspread: 70.0 → 5.0 percentage points\n" in short
    assert short.count("movies/film") == 20
    assert "… and 5 more moves" in short
    assert short.count("in use") == 10
    assert full.count("movies/film") == 25
    assert full.count("in use") == 12


def test_the_json_of_a_plan_has_the_fields_of_the_design_and_can_be_carried_out(
    ask: Ask, engine: Any, tmp_path: Path
) -> None:
    printed = ask("plan", "--json").out
    document = json.loads(printed)
    file = tmp_path / "plan.json"
    file.write_text(printed)

    assert {
        "strategy", "disks", "moves", "bytes_to_move", "lower_bound_bytes", "spread_before", "spread_after",
        "left_behind",
    } <= set(document)  # fmt: skip
    assert {"name", "path", "size_bytes", "used_bytes", "planned_used_bytes"} <= set(document["disks"][0])
    assert {"share", "path", "size_bytes", "files", "source", "destination"} <= set(document["moves"][0])
    assert {"disk", "path", "reason"} <= set(document["left_behind"][0])
    assert ask("run", "--plan", str(file)).exit_code == 0
    assert engine.carried_out == [engine.made_plan]


def test_a_run_is_told_which_guards_may_hold_it(ask: Ask, engine: Any) -> None:
    ask("run", "--ignore-guard", "mover", "--ignore-guard", "backups", "--max-temperature", "42 °C", "--max-cpu", "50%")
    ask("run")

    assert engine.guards == [
        GuardOptions(ignored=("mover", "backups"), max_temperature=42, max_cpu=50.0),
        GuardOptions(),
    ]


def test_what_holds_a_run_is_its_answer_before_anything_is_read(ask: Ask, engine: Any) -> None:
    engine.held = NotNowError("the mover runs (pid 7)")

    answer = ask("run")

    assert (answer.exit_code, answer.err) == (75, "unraid-rebalancer: the mover runs (pid 7)\n")
    assert engine.selections == []


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--ignore-guard", "mice", "--ignore-guard: 'mice' is no guard; there are array-state, disk-errors"),
        ("--max-temperature", "4", "--max-temperature: allowed is 20 °C to 90 °C"),
        ("--cool-down", "-1", "--cool-down: '-1' is not a number"),
        ("--max-cpu", "0", "--max-cpu: allowed is 1 % to 100 %"),
        ("--min-memory", "much", "--min-memory: 'much' is not a size"),
    ],
)
def test_a_guard_option_that_cannot_be_is_refused(ask: Ask, option: str, value: str, sentence: str) -> None:
    answer = ask("run", option, value)

    assert answer.exit_code == 2
    assert sentence in answer.err


def test_shells_complete_the_names_of_guards() -> None:
    parameter = next(one for one in run.command.params if one.name == "ignored")

    found = parameter.shell_complete(click.Context(run.command), "m")

    assert "mover" in [item.value for item in found]
    assert all(item.value.startswith("m") for item in found)


def test_a_run_without_a_terminal_goes_on_without_asking(ask: Ask, engine: Any) -> None:
    answer = ask("run")

    assert answer.exit_code == 0
    assert engine.carried_out == [engine.made_plan]
    assert "completed\n25 of 25 moves, 75 files, 1.00 TB in 1 min 40 s (10.0 GB/s)" in answer.out


def test_a_run_prints_only_its_record_as_json(ask: Ask) -> None:
    record = json.loads(ask("run", "--json").out)

    assert record["execution_id"] == "20261123T080000Z-manual-abc"
    assert (record["status"], record["exit_code"], record["files_moved"]) == ("completed", 0, 75)


def test_a_quiet_run_prints_nothing(ask: Ask) -> None:
    answer = ask("--quiet", "run")

    assert (answer.out, answer.err, answer.exit_code) == ("", "", 0)


@pytest.mark.parametrize("code", [0, 1, 75, 130])
def test_a_run_ends_with_the_exit_code_of_its_record(ask: Ask, engine: Any, code: int) -> None:
    engine.execution = dataclasses.replace(engine.execution, exit_code=code)

    assert ask("run").exit_code == code


def test_a_run_names_what_it_left_and_why(ask: Ask, engine: Any, left_execution: ScheduleExecution) -> None:
    engine.execution = left_execution

    answer = ask("run")

    assert answer.exit_code == 1
    assert "left where it was: 3" in answer.out
    assert answer.out.count("in use") >= 3


@pytest.mark.parametrize("command", [["disks"], ["scan", "-v"], ["plan", "-v"], ["run", "-v"]])
def test_names_with_escape_sequences_do_not_reach_the_terminal(
    ask: Ask, engine: Any, left_execution: ScheduleExecution, command: list[str]
) -> None:
    engine.execution = left_execution

    answer = ask(*command)

    assert "\x1b" not in answer.out + answer.err
    assert "\x07" not in answer.out + answer.err


@pytest.mark.parametrize(
    ("error", "code"), [(RefusedError("not ours"), 4), (NotNowError("the array is locked by 12"), 75), (CancelledError("stopped"), 130)]
)  # fmt: skip
def test_an_error_of_ours_is_one_sentence_and_its_exit_code(ask: Ask, engine: Any, error: Exception, code: int) -> None:
    def fail() -> None:
        raise error

    engine.while_moving = fail

    answer = ask("run")

    assert answer.exit_code == code
    assert answer.err == f"unraid-rebalancer: {error}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_a_run_asks_it_to_stop_and_says_so_each_time(ask: Ask, engine: Any, number: int) -> None:
    def interrupt_twice() -> None:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)

    engine.while_moving = interrupt_twice

    answer = ask("run")

    assert answer.exit_code == 130
    assert answer.err.splitlines() == ["stopping after the current chunk…"] * 2


@pytest.mark.parametrize("command", ["scan", "plan"])
def test_ctrl_c_during_a_scan_ends_with_130(ask: Ask, engine: Any, command: str) -> None:
    engine.while_reading = lambda: os.kill(os.getpid(), signal.SIGINT)

    answer = ask(command)

    assert answer.exit_code == 130
    assert answer.err == "unraid-rebalancer: cancelled by Ctrl-C\n"


def test_after_a_command_signals_mean_what_they_meant_before(ask: Ask) -> None:
    before = signal.getsignal(signal.SIGTERM)

    ask("run")

    assert signal.getsignal(signal.SIGTERM) is before


def test_global_options_mean_the_same_before_and_after_the_command(ask: Ask, tmp_path: Path) -> None:
    options = ["--disk", "a", "--config-dir", str(tmp_path), "--root", str(tmp_path), "--json", "-v"]

    before, after = ask(*options, "disks").session, ask("disks", *options).session
    mixed = ask(*options[:4], "disks", *options[4:]).session

    assert before.disks == after.disks == mixed.disks == ["a"]
    for session in (before, after, mixed):
        assert (session.config_dir, session.root) == (tmp_path, tmp_path)
        assert session.is_json
        assert session.is_verbose


def test_disks_named_before_and_after_the_command_are_all_meant(ask: Ask) -> None:
    assert ask("--disk", "a", "disks", "--disk", "b", "--disk", "c").session.disks == ["a", "b", "c"]


def test_every_selection_option_reaches_the_engine(ask: Ask, engine: Any) -> None:
    ask(
        "plan", "--strategy", "target", "--target-percent", "75%", "--tolerance", "0.5", "--from", "disk1", "--from", "disk2",
        "--to", "/mnt/disk3", "--share", "movies", "--exclude-share", "appdata", "--exclude", "*.tmp", "--unit-depth", "2",
        "--min-unit-size", "1M", "--max-unit-size", "1TB", "--min-age", "1h30m", "--reserve", "5%", "--max-bytes", "2TB",
        "--max-runtime", "6h", "--bandwidth-limit", "50MB/s", "--verify", "fast",
    )  # fmt: skip

    assert engine.selections[-1] == Selection(
        strategy=Strategy.TARGET, target_percent=75.0, tolerance=0.5, from_disks=("disk1", "disk2"),
        to_disks=("/mnt/disk3",), shares=("movies",), exclude_shares=("appdata",), exclude=("*.tmp",), unit_depth=2,
        min_unit_size=10**6, max_unit_size=10**12, min_age=5400, reserve="5%", max_bytes=2 * 10**12, max_runtime=21600,
        bandwidth_limit=50 * 10**6, verify=Verification.FAST,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "selection"),
    [
        (["--strategy", "evacuate", "--from", "disk1"], Selection(strategy=Strategy.EVACUATE, from_disks=("disk1",))),
        (
            ["--strategy", "gather", "--path", "/tv/Some Series/", "--path", "music"],
            Selection(strategy=Strategy.GATHER, paths=("tv/Some Series", "music")),
        ),
        (["--strategy", "pack"], Selection(strategy=Strategy.PACK)),
        (["--strategy", "repair"], Selection(strategy=Strategy.REPAIR)),
    ],
)
def test_every_strategy_can_be_chosen(ask: Ask, engine: Any, arguments: list[str], selection: Selection) -> None:
    assert ask("plan", *arguments).exit_code == 0
    assert engine.selections[-1] == selection


def test_an_explained_plan_tells_every_disk_and_every_reason_in_words(ask: Ask, engine: Any) -> None:
    engine.made_plan = structs.replace(
        engine.made_plan,
        excess_percent=1.01,
        coarseness="5.00 points is the best found: the units are too coarse for less",
    )

    answer = ask("plan", "--explain")

    assert "If units were divisible, 990 GB would have to move: the plan is 1.01 % above that." in answer.out
    assert "disk1 was 75.0 % full, gives 25 units (1.00 TB), and ends 50.0 % full." in answer.out
    assert "disk2 was 5.0 % full, receives 25 units (1.00 TB), and ends 55.0 % full." in answer.out
    assert "x/3 stays: in use." in answer.out
    assert "The tolerance is missed: 5.00 points is the best found" in answer.out
    assert "If units" not in ask("plan").out


def test_the_json_of_a_plan_says_how_far_it_is_from_the_best(ask: Ask) -> None:
    document = json.loads(ask("plan", "--explain", "--json").out)

    assert {"excess_percent", "best_spread", "coarseness", "lower_bound_bytes"} <= set(document)


def test_without_options_the_selection_is_the_default_one(ask: Ask, engine: Any) -> None:
    ask("plan")

    assert engine.selections[-1] == Selection()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["plan", "--tolerance", "NaN"], 2, "--tolerance: 'NaN' is not a number of percentage points"),
        (["plan", "--tolerance", "1e999"], 2, "--tolerance"),
        (["plan", "--tolerance", "-1"], 2, "--tolerance"),
        (["plan", "--strategy", "target", "--target-percent", "0"], 2, "--target-percent: '0' is not a percentage"),
        (["plan", "--strategy", "target", "--target-percent", "nan"], 2, "--target-percent"),
        (["plan", "--strategy", "target", "--target-percent", "1e999"], 2, "--target-percent"),
        (["plan", "--strategy", "target", "--target-percent", "101"], 2, "--target-percent"),
        (["plan", "--target-percent", "80"], 2, "--target-percent: only --strategy target has a target"),
        (["plan", "--strategy", "magic"], 2, "--strategy"),
        (["plan", "--strategy", "evacuate"], 2, "--strategy evacuate: name the disks that should end empty with --from"),
        (["plan", "--strategy", "gather"], 2, "--strategy gather: name the folders that should come together with --path"),
        (["plan", "--path", "tv/x"], 2, "--path: only --strategy gather brings folders together"),
        (["plan", "--strategy", "gather", "--path", "../x"], 2, "--path: '../x' is not a folder below the disks"),
        (["plan", "--strategy", "gather", "--path", ""], 2, "--path"),
        (["plan", "--strategy", "gather", "--path", "/"], 2, "--path"),
        (["plan", "--unit-depth", "-1"], 2, "--unit-depth"),
        (["plan", "--unit-depth", "9" * 5000], 2, "--unit-depth"),
        (["plan", "--min-unit-size", "ten"], 2, "--min-unit-size: 'ten' is not a size"),
        (["plan", "--max-unit-size", "0"], 2, "--max-unit-size"),
        (["plan", "--min-unit-size", "2G", "--max-unit-size", "1G"], 2, "smaller than --min-unit-size"),
        (["plan", "--min-age", "yesterday"], 2, "--min-age"),
        (["plan", "--reserve", "101%"], 2, "--reserve"),
        (["plan", "--reserve", "-1"], 2, "--reserve"),
        (["plan", "--max-bytes", "0"], 2, "--max-bytes"),
        (["run", "--max-runtime", "0s"], 2, "--max-runtime"),
        (["run", "--bandwidth-limit", "0"], 2, "--bandwidth-limit"),
        (["run", "--verify", "maybe"], 2, "--verify"),
        (["plan", "--share", "a/b"], 2, "--share: 'a/b' is not a share"),
        (["plan", "--share", ""], 2, "--share"),
        (["plan", "--share", "a", "--exclude-share", "a"], 2, "--exclude-share: 'a' is also named by --share"),
        (["plan", "--exclude", ""], 2, "--exclude"),
        (["plan", "--from", " "], 2, "--from"),
        (["--disk", "", "disks"], 2, "--disk"),
        (["--disk", "\udcff", "disks"], 2, "--disk"),
        (["--root", MISSING, "disks"], 2, "--root"),
        (["--config-dir", "", "disks"], 2, "--config-dir"),
        (["disks", "--log-file", MISSING], 2, "--log-file: /nowhere/at/all.json cannot be written"),
        (["plan", "--inventory", MISSING], 3, "there is no file /nowhere/at/all.json"),
        (["plan", "--inventory", "/dev/null"], 4, "not a regular file"),
        (["plan", "--inventory", "x", "--unit-depth", "2"], 2, "--unit-depth: is decided when the disks are scanned"),
        (["run", "--plan", MISSING], 3, "there is no file /nowhere/at/all.json"),
        (["run", "--plan", "x", "--share", "a"], 2, "--share: is decided when a plan is made"),
        (["scan", "--save", MISSING], 3, "there is no folder /nowhere/at"),
        (["scan", "--save", "/dev/null"], 4, "/dev/null is not a regular file"),
        (["scan", "--save", "/tmp"], 4, "/tmp is not a regular file"),
        (["frobnicate"], 2, "no such command 'frobnicate'"),
        (["plan", "--frobnicate"], 2, "no such option"),
        (["plan", "extra"], 2, "extra"),
        (["plan", "--share"], 2, "--share"),
        ([], 2, "no command was named"),
        (["completion", "tcsh"], 2, "tcsh"),
    ],
)  # fmt: skip
def test_bad_input_is_answered_with_one_sentence_and_the_exit_code(
    ask: Ask, arguments: list[str], code: int, words: str
) -> None:
    answer = ask(*arguments)

    first = answer.err.splitlines()[0]
    assert answer.exit_code == code, answer
    assert first.startswith("unraid-rebalancer: ")
    assert words in first
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1 or arguments == []


def test_wrong_usage_points_at_the_help_of_the_command(ask: Ask) -> None:
    assert ask("plan", "--frobnicate").err.strip().endswith("see unraid-rebalancer plan --help")


def test_a_damaged_plan_is_refused_with_the_field_that_is_wrong(ask: Ask, engine: Any, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text('{"strategy": 5}')

    answer = ask("run", "--plan", str(file))

    assert answer.exit_code == 4
    assert "$.strategy" in answer.err
    assert engine.carried_out == []


def test_a_plan_that_leaves_its_disk_is_not_carried_out(ask: Ask, engine: Any, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    document = records.to_builtins(engine.made_plan)
    document["moves"][0]["path"] = "../../etc/shadow"
    file.write_text(json.dumps(document))

    answer = ask("run", "--plan", str(file))

    assert answer.exit_code == 2
    assert "does not stay inside the disk" in answer.err
    assert engine.carried_out == []


def test_saving_a_plan_replaces_the_older_one_whole(ask: Ask, engine: Any, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text("old")

    ask("plan", "--save", str(file))

    assert records.read(file, Plan) == engine.made_plan
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_a_share_whose_name_is_not_utf8_is_chosen_the_way_inventories_write_it(ask: Ask, engine: Any) -> None:
    ask("plan", "--share", "caf\udce9")

    assert engine.selections[-1].shares == ("caf\\xe9",)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_each_shell_asks_the_program(ask: Ask, shell: str) -> None:
    answer = ask("completion", shell)

    assert answer.exit_code == 0
    assert f"_UNRAID_REBALANCER_COMPLETE={shell}_complete" in answer.out


@pytest.mark.parametrize("command", ["disks", "scan", "plan", "run", "demo", "completion"])
def test_the_help_of_every_command_has_an_example(ask: Ask, command: str) -> None:
    answer = ask(command, "--help")

    assert answer.exit_code == 0
    assert f"  unraid-rebalancer {command}" in answer.out


def test_the_help_of_the_program_names_every_exit_code_and_command(ask: Ask) -> None:
    out = ask("--help").out

    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "75 ", "130 "):
        assert f"\n    {code}" in out
    for command in ("disks", "scan", "plan", "run", "demo", "completion"):
        assert f"\n  {command} " in out


def test_the_log_file_gets_a_line_per_event(
    ask: Ask, engine: Any, left_execution: ScheduleExecution, tmp_path: Path
) -> None:
    engine.execution = left_execution
    log = tmp_path / "log"

    ask("run", "--log-file", str(log))
    ask("plan", "--log-file", str(log), "--inventory", MISSING)

    lines = log.read_text().splitlines()
    assert [line.split()[2] for line in lines] == ["INFO", *["WARNING"] * 3, "INFO", "ERROR"]
    assert "left disk=disk1 path=movies/0 \\x1b]0;owned\\x07 reason=in use" in lines[1]
    assert "status=completed exit_code=1 files_moved=75" in lines[4]
