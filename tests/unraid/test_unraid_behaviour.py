"""How a good citizen of an Unraid server behaves: points of the checklist that concern moving, stopping and traces left."""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import lab
from lab import disks as lab_disks
from lab.needs import PLACES
from unraid import stopping_lab
from unraid.stopping_lab import Stage

TESTS = Path(__file__).parents[1]

#: what older tests prove already, by the number of the point
PROVEN = {
    11: (
        "test_a_change_that_no_lease_tells_of_is_seen_all_the_same",
        "test_a_write_that_only_claims_to_have_written_is_found",
    ),
    12: (
        "test_a_different_file_at_the_destination_is_a_conflict_and_both_stay",
        "test_anything_that_differs_is_a_conflict_and_both_stay",
    ),
    13: (
        "test_a_hard_link_group_with_a_name_outside_the_unit_stays_whole",
        "test_members_tied_by_hard_links_move_as_one_unit",
    ),
    14: (
        "test_whoever_lists_the_view_during_a_run_meets_no_refusal_and_no_folder_of_root_alone",
        "test_a_share_folder_that_stood_at_the_destination_keeps_its_times",
    ),
    18: (
        "test_the_disks_can_be_unmounted_soon_after_the_array_began_to_stop",
        "test_stopping_returns_at_once_and_ends_what_runs",
        "test_unmounting_disks_returns_when_nothing_of_ours_lives_any_more",
    ),
    23: (
        "test_an_execution_puts_two_records_and_its_plan_on_the_flash_and_takes_the_plan_away_again",
        "test_a_worker_killed_at_thirty_random_moments_loses_nothing_and_doubles_nothing",
        "test_parts_of_this_operation_go_and_those_of_another_one_stay",
    ),
    24: ("test_disks_mounted_gives_cron_the_lines_that_a_restart_took",),
    25: ("test_nothing_is_left_at_the_source_but_the_shares_top_folder_with_its_times",),
}
pytestmark = [pytest.mark.needs_loop_disks("ext4"), pytest.mark.needs_tool("strace")]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stopping_lab.stage(tmp_path) as made:
        yield made


def test_what_older_tests_prove_is_still_there() -> None:
    defined = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), flags=re.M)
    }

    assert set(PROVEN) == {11, 12, 13, 14, 18, 23, 24, 25}
    assert {name for names in PROVEN.values() for name in names} - defined == set()


def test_11_a_file_goes_by_a_hidden_copy_that_is_flushed_and_read_again_before_it_gets_the_name(
    stage: Stage, tmp_path: Path
) -> None:
    stopping_lab.write_film(stage.disks[0])
    log = tmp_path / "log"

    subprocess.run(
        ["strace", "-ff", "-y", "-qq", "-o", log, "-e", "trace=openat2,fsync,syncfs,fchown,fchmod,renameat2,unlinkat,preadv2,utimensat",
         *lab.command_line("run", "--yes", "--quiet", "--root", stage.server.root)],
        env=lab.environment(stage.state) | {"PATH": f"{stage.state / 'bin'}:{PLACES}"}, check=True, cwd="/",
    )  # fmt: skip

    # the film is one of two: which one moves is for the planner to say
    wanted = (
        r'openat2\(.*"\.rebalancer-\S+\.part".*O_EXCL',
        r"utimensat\(\d+<\S*\.part>",
        r"fsync\(\d+<\S*\.part>",
        r"preadv2\(\d+<\S*disk1/films/\S+\.mkv>",  # the source once more, from its medium
        r"preadv2\(\d+<\S*\.part>",
        r'renameat2\(.*\.part", .*\.mkv", RENAME_NOREPLACE\) = 0',
        r"fsync\(\d+<\S*disk2/films/\w+>|syncfs\(\d+<\S*disk2",
        r'renameat2\(.*\.mkv", .*\.hidden>, .*\.mkv", RENAME_NOREPLACE\) = 0',
        r"unlinkat\(\d+<\S*disk1\S*\.hidden>",
    )
    (of_worker,) = (text for each in tmp_path.glob("log.*") if ".part" in (text := each.read_text()))
    _demand_in_order(of_worker.splitlines(), wanted)


def test_18_nobody_of_ours_stands_on_a_disk_and_what_waits_has_nothing_open_there(stage: Stage) -> None:
    stopping_lab.pending(stage)  # started by somebody who stands on the first disk

    assert {os.readlink(f"/proc/{pid}/cwd") for pid in stage.pids()} == {"/"}
    assert not stage.is_anything_open()


def test_18_a_signal_to_end_is_enough_for_the_disks_to_be_unmounted(stage: Stage) -> None:
    stopping_lab.copying(stage)

    stage.running[0].terminate()
    stage.running[0].wait(timeout=10)

    for disk in stage.disks:
        lab_disks.call("umount", str(disk))
    (record,) = stage.records()
    assert (record["status"], record["exit_code"]) == ("cancelled", 130)


def test_18_what_the_stop_cut_short_is_finished_by_the_next_run(stage: Stage) -> None:
    stopping_lab.copying(stage)
    before = lab.snapshot_array(stage.disks)
    unfinished = {path: entry for path, entry in before.items() if b".rebalancer-" not in path}

    stage.stop_array()
    stage.start_array()
    stage.run("schedule", "edit", "nightly", "--reset", "bandwidth-limit")
    stage.run("schedule", "run", "nightly")

    assert [record["status"] for record in stage.records()] == ["cancelled", "completed"]
    assert lab.difference(unfinished, lab.snapshot_array(stage.disks), ignore_folder_times=True) == []
    assert list((stage.disks[1] / "films").rglob("*.mkv"))


def test_24_the_lines_are_a_file_of_the_plugin_and_collected_through_bash(stage: Stage) -> None:
    for name, when in (("nightly", "15 4 * * *"), ("monthly", "30 5 1 * *"), ("weekly", "45 5 * * sun")):
        stage.run("schedule", "create", name, "--cron", when)

    text = (stage.server.config / "unraid-rebalancer.cron").read_bytes()
    first, *lines, last, nothing = text.decode("ascii").split("\n")
    assert (first[0], last, nothing) == ("#", "", "")
    assert b"\r" not in text
    assert len(lines) == 3
    for line in lines:
        minute, hour, day, _month, weekday, program = line.split(maxsplit=6)[:6]
        assert (minute + hour).isdecimal()
        assert "*" in {day, weekday}  # dcron 4.5 fires on more days than both together say
        assert program.startswith("/") or "=/" in program
        assert len(line) <= 1024
    assert stage.server.calls.count("update_cron ") + stage.server.calls.count("update_cron") == 3
    assert set(lines) <= set((stage.server.root / "etc/cron.d/root").read_text().split("\n"))


def test_23_and_25_a_run_changes_nothing_of_the_server_but_the_files_that_it_moves(stage: Stage) -> None:
    stopping_lab.write_film(stage.disks[0])
    settings = stage.server.root / "boot/config/shares/films.cfg"
    settings.write_text(
        '# Generated settings:\r\nshareInclude=""\r\nshareExclude=""\r\nshareUseCache="no"\r\n'
        'shareSplitLevel="1"\r\nshareFloor="0"\r\n'
    )
    stage.schedule()
    before, calls = _outside_the_disks(stage), stage.server.calls

    stage.run("schedule", "run", "nightly")

    assert stage.records()[0]["moves_done"] == 1
    assert lab.difference(before, _outside_the_disks(stage)) == []
    assert stage.server.calls == calls  # mdcmd, mover and notify were not called, nor was cron told again
    assert (stage.disks[0] / "films").is_dir()


def test_25_planning_is_what_one_gets_without_asking_for_more(stage: Stage) -> None:
    stopping_lab.write_film(stage.disks[0])
    before = lab.snapshot_array(stage.disks)

    planned = stage.run("plan", "--json").document

    assert len(planned["moves"]) == 1
    assert lab.difference(before, lab.snapshot_array(stage.disks)) == []
    assert stage.records() == ()


def _outside_the_disks(stage: Stage) -> Any:
    return {
        path: entry for path, entry in lab.snapshot(stage.server.root, ignore=(b"mnt",)).items() if path != b"calls"
    }


def _demand_in_order(lines: list[str], wanted: Sequence[str]) -> None:
    rest = iter(lines)
    for pattern in wanted:
        assert any(re.search(pattern, line) for line in rest), f"not found, or not in its place: {pattern}"
