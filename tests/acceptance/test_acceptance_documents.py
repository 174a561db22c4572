"""What ``--json`` prints and ``--save`` writes, for programs that build on it; and plans made without any disk."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import lab
from acceptance.sample_lab import Scene
from lab import MakeDisk, MountPool, RunProgram
from lab.disks import unmount

DISK = {"name", "path", "filesystem", "size_bytes", "used_bytes", "free_bytes", "used_percent", "status"}
INVENTORY_DISK = {"name", "path", "size_bytes", "used_bytes"}
UNIT = {"disk", "share", "path", "size_bytes", "files"}
PLAN = {
    "strategy", "disks", "moves", "bytes_to_move", "lower_bound_bytes", "spread_before", "spread_after", "left_behind",
}  # fmt: skip
PLANNED_DISK = {"name", "path", "size_bytes", "used_bytes", "planned_used_bytes"}
MOVE = {"share", "path", "size_bytes", "files", "source", "destination"}
RECORD = {
    "execution_id", "schedule_id", "start_time", "end_time", "status", "exit_code", "error_message", "operation_id",
    "files_moved", "bytes_moved", "duration_seconds", "pid",
}  # fmt: skip


def test_disks_are_told_as_df_tells_them(scene: Scene) -> None:
    document = scene.run_program("disks", "--json", *scene.disks, exit_code=0).document

    assert [disk["name"] for disk in document] == ["disk1", "disk2", "disk3"]
    for disk, root in zip(document, scene.roots, strict=True):
        assert disk.keys() >= DISK
        assert disk["path"] == str(root)
        assert (disk["filesystem"], disk["status"]) == ("ext4", "ok")
        assert disk["used_percent"] == pytest.approx(lab.used_percent(root), abs=0.01)


def test_a_scan_names_every_unit_with_its_files_and_size(scene: Scene) -> None:
    document = scene.run_program("scan", "--json", *scene.disks, exit_code=0).document

    assert all(disk.keys() >= INVENTORY_DISK for disk in document["disks"])
    assert all(unit.keys() >= UNIT for unit in document["units"])
    assert {unit["path"] for unit in document["units"]} == {f"media/film {number}" for number in range(10)}
    assert {(unit["disk"], unit["share"], unit["files"]) for unit in document["units"]} == {("disk1", "media", 2)}
    assert all(4 * 2**20 <= unit["size_bytes"] < 4.1 * 2**20 for unit in document["units"])


def test_a_plan_says_what_goes_where_and_what_comes_of_it(scene: Scene) -> None:
    plan = scene.run_program("plan", "--json", *scene.disks, exit_code=0).document

    assert plan.keys() >= PLAN
    assert all(disk.keys() >= PLANNED_DISK for disk in plan["disks"])
    assert all(move.keys() >= MOVE for move in plan["moves"])
    assert all({"disk", "path", "reason"} <= left.keys() for left in plan["left_behind"])
    assert plan["bytes_to_move"] == sum(move["size_bytes"] for move in plan["moves"])
    assert plan["spread_before"] == pytest.approx(
        lab.used_percent(scene.roots[0]) - lab.used_percent(scene.roots[1]), abs=0.1
    )
    assert scene.changes() == []


def test_a_saved_plan_is_the_printed_plan_and_a_run_carries_out_exactly_that(scene: Scene) -> None:
    printed = scene.run_program("plan", "--json", *scene.disks, exit_code=0).document

    saved = scene.plan()
    record = scene.run_program("run", "--yes", "--json", "--plan", scene.plan_file, *scene.disks, exit_code=0).document

    assert saved == printed
    assert record.keys() >= RECORD
    assert record["schedule_id"] == "manual"
    assert all(map(scene.is_moved, saved["moves"]))
    assert (record["moves_done"], record["files_moved"]) == (len(saved["moves"]), 2 * len(saved["moves"]))


def test_a_plan_is_made_from_a_saved_inventory_when_the_disks_are_gone(scene: Scene) -> None:
    inventory = scene.state / "inventory.json"
    printed = scene.run_program("plan", "--json", *scene.disks, exit_code=0).document
    scene.run_program("scan", "--save", inventory, *scene.disks, exit_code=0)
    for root in scene.roots:
        unmount(root)

    planned = scene.run_program("plan", "--json", "--inventory", inventory, exit_code=0).document

    assert planned == printed
    assert planned["moves"]
    assert len(json.loads(inventory.read_bytes())["units"]) == 10


def test_a_folder_that_is_on_several_disks_keeps_its_time_when_one_of_its_parts_leaves(
    make_disk: MakeDisk, mount_pool: MountPool, run_program: RunProgram
) -> None:
    roots = [make_disk("ext4", 48, "disk1"), make_disk("xfs", 300, "disk2")]
    pool = mount_pool(roots, cache__attr="0", cache__entry="0")
    for root, size, age in zip(roots, (20_000_000, 100_000), (1, 2), strict=True):
        series = root / "media" / "series"
        series.mkdir(parents=True)
        (series / f"{root.name}.mkv").write_bytes(bytes(size))
        moment = 1_600_000_000 - age * 1_000_000
        for path in (series, series.parent):
            _set_time(path, moment)
    shown = _times(pool)

    moved = _run(run_program, roots)

    assert moved == 1
    assert (roots[1] / "media" / "series" / "disk1.mkv").exists()
    assert _times(pool) == shown


def _run(run_program: RunProgram, roots: list[Path]) -> int:
    record: Any = run_program("run", "--yes", "--json", *(f"--disk={root}" for root in roots), exit_code=0).document
    return int(record["files_moved"])


def _set_time(path: Path, moment: int) -> None:
    os.utime(path, (moment, moment))


def _times(pool: Path) -> list[int]:
    return [path.stat().st_mtime_ns for path in (pool / "media", pool / "media" / "series")]
