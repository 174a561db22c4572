"""What stays where it was, and why: one thing goes wrong per test, the source is intact and the rest moves."""

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lab
from acceptance.sample_lab import Scene, marks, spread, write_folders
from lab import MakeDisk, RunProgram, StartProgram
from lab.aftermath import look
from lab.disks import unmount

SLOW = "--bandwidth-limit=6MB/s"
COMMAND = Path("/proc/self/comm").read_text().strip()


def reason(scene: Scene, path: str) -> str:
    """Return why a path was left, of the only path that was."""
    left = scene.record["left"]
    assert [item["path"] for item in left] == [path]
    return str(left[0]["reason"])


def assert_partly_done(scene: Scene, summary: str, told: str, *, left: int = 1) -> None:
    """The record and the words agree that something stayed, that the rest moved, and why."""
    record = scene.record
    assert (record["status"], record["exit_code"], record["cause"]) == ("completed", 1, "left")
    assert record["files_left"] == left
    assert record["files_moved"] > 0
    assert told in record["error_message"]
    assert told in summary
    assert all(item["path"] in summary for item in record["left"][:10])


def test_files_that_somebody_writes_stay_and_the_others_move(scene: Scene) -> None:
    held = [path.open("r+b") for path in scene.roots[0].glob("media/*/part 0.mkv")]

    summary = scene.run(exit_code=1)
    for file in held:
        file.close()

    left = [item["path"] for item in scene.record["left"]]
    assert_partly_done(scene, summary, f"in use: open for writing by {COMMAND}, pid {os.getpid()}", left=len(left))
    assert all(path.endswith("part 0.mkv") for path in left)
    assert scene.record["files_moved"] == len(left)
    assert scene.changes() == []


def test_a_file_opened_after_the_plan_was_made_stays(scene: Scene) -> None:
    first, *others = scene.plan()["moves"]
    held = scene.place(first, "part 0.mkv")

    with held.open("r+b") as file:
        summary = scene.run("--plan", scene.plan_file, exit_code=1)
        file.write(b"after the run")

    assert "in use" in reason(scene, f"{first['path']}/part 0.mkv")
    assert_partly_done(scene, summary, "in use")
    assert held.read_bytes().startswith(b"after the run")
    assert all(map(scene.is_moved, others))
    assert len(scene.changes()) == 2  # its content and its time


def test_a_file_edited_during_its_copy_is_given_up_at_once_and_keeps_the_edit(scene: Scene) -> None:
    moves = scene.plan()["moves"]
    running = scene.start("--plan", scene.plan_file, SLOW)
    source, destination = scene.copying()

    start = time.monotonic()
    with (source / "part 0.mkv").open("r+b") as file:
        waited = time.monotonic() - start
        file.write(b"edited")
    summary = running.communicate(timeout=60)[0].decode()

    assert running.returncode == 1
    assert waited < 1
    assert_partly_done(scene, summary, "in use")
    assert (source / "part 0.mkv").read_bytes().startswith(b"edited")
    assert not (destination / "part 0.mkv").exists()
    assert all(scene.is_moved(move) for move in moves if move["path"] != f"media/{source.name}")
    assert len(scene.changes()) == 2


def test_a_file_that_appears_in_a_folder_being_moved_stays_and_is_named(scene: Scene) -> None:
    moves = scene.plan()["moves"]
    running = scene.start("--plan", scene.plan_file, SLOW)
    source, _ = scene.copying()

    (source / "new subtitles.srt").write_bytes(b"just downloaded")
    summary = running.communicate(timeout=60)[0].decode()

    path = f"media/{source.name}/new subtitles.srt"
    assert running.returncode == 1
    assert reason(scene, path) == "it appeared while its folder was moved"
    assert_partly_done(scene, summary, "it appeared while its folder was moved")
    assert (source / "new subtitles.srt").read_bytes() == b"just downloaded"
    assert all(scene.is_moved(move) for move in moves if move["path"] != f"media/{source.name}")
    assert scene.changes() == [f"{path.encode()!r} appeared"]


def test_two_files_of_one_name_are_both_kept(scene: Scene) -> None:
    first, *others = scene.plan()["moves"]
    source, other = scene.place(first, "part 0.mkv"), scene.place(first, "part 0.mkv", at="destination")
    content = source.read_bytes()
    other.parent.mkdir(parents=True)
    other.write_bytes(b"somebody else's")

    summary = scene.run("--plan", scene.plan_file, exit_code=1)

    assert "stands at the destination" in reason(scene, f"{first['path']}/part 0.mkv")
    assert_partly_done(scene, summary, "stands at the destination")
    assert (source.read_bytes(), other.read_bytes()) == (content, b"somebody else's")
    assert all(map(scene.is_moved, others))
    assert marks(scene.roots) == []


def test_what_a_rival_left_no_room_for_stays(scene: Scene) -> None:
    moves = scene.plan()["moves"]
    lab.fill(scene.root("disk2"), 96, name="rival/rival.bin")

    summary = scene.run("--plan", scene.plan_file, exit_code=1)

    refused = [move for move in moves if move["destination"] == "disk2"]
    assert sorted(item["path"] for item in scene.record["left"]) == sorted(move["path"] for move in refused)
    assert_partly_done(scene, summary, "disk2 has no room: 4.2", left=len(refused))
    assert all(scene.is_moved(move) for move in moves if move["destination"] == "disk3")
    assert scene.changes() == ["b'rival' appeared", "b'rival/rival.bin' appeared"]


def test_a_disk_that_fails_during_the_run_costs_only_its_own_moves(scene: Scene) -> None:
    moves = scene.plan()["moves"]
    running = scene.start("--plan", scene.plan_file, SLOW)
    _, destination = scene.copying()
    failed, other = _disk_of(destination, scene), "disk3" if _disk_of(destination, scene) == "disk2" else "disk2"
    _break(scene.root(failed))

    summary = running.communicate(timeout=60)[0].decode()

    assert running.returncode == 1
    assert_partly_done(scene, summary, failed, left=scene.record["files_left"])
    assert all(scene.is_moved(move) for move in moves if move["destination"] == other)
    _repair(scene.root(failed))  # until then it shows what is in its cache, which may be what it never wrote
    found = look(scene.roots, scene.before)
    assert (found.lost, found.only_hidden, found.halves) == ([], [], [])


@pytest.mark.needs_tool("xfs_io")
@pytest.mark.parametrize("gone", ["disk1", "disk2"])
def test_what_a_vanished_disk_held_back_is_moved_once_it_is_back(
    make_disk: MakeDisk, run_program: RunProgram, start_program: StartProgram, state: Path, gone: str
) -> None:
    roots = [make_disk("xfs", 300, name) for name in ("disk1", "disk2")]
    write_folders(roots[0], 8, size=10 * 2**20)
    scene = Scene(roots, state, run_program, start_program)
    running = scene.start("--bandwidth-limit=20MB/s")
    scene.copying()

    # from here on every call for that file system is answered with EIO, as when its controller is gone
    subprocess.run(["xfs_io", "-x", "-c", "shutdown -f", scene.root(gone)], check=True, capture_output=True)
    assert running.wait(60) == 1
    assert "input/output error" in str(scene.record["left"])
    for root in roots:
        unmount(root)
        subprocess.run(["mount", "-o", "loop,noatime", root.with_name(f"{root.name}.img"), root], check=True)
    scene.run(exit_code=0)

    assert scene.changes() == []
    assert spread(roots) < 5


def test_after_a_failed_disk_was_repaired_the_next_run_finishes(scene: Scene) -> None:
    scene.plan()
    running = scene.start("--plan", scene.plan_file, SLOW)
    _, destination = scene.copying()
    failed = scene.root(_disk_of(destination, scene))
    _break(failed)
    running.communicate(timeout=60)
    _repair(failed)

    scene.run(exit_code=0)

    assert scene.changes() == []


def test_a_disk_that_is_read_only_gets_nothing_and_the_rest_moves(scene: Scene) -> None:
    lab.remount_read_only(scene.root("disk2"))

    scene.run(exit_code=0)

    assert scene.record["files_moved"] > 0
    assert lab.snapshot(scene.root("disk2")) == {}
    assert scene.changes() == []


@pytest.mark.parametrize("accident", [lab.remount_read_only, unmount])
def test_a_disk_that_became_unusable_after_the_plan_costs_only_its_own_moves(scene: Scene, accident: Any) -> None:
    moves = scene.plan()["moves"]
    accident(scene.root("disk2"))

    summary = scene.run("--plan", scene.plan_file, exit_code=1)

    refused = [move for move in moves if move["destination"] == "disk2"]
    assert refused
    assert sorted(item["path"] for item in scene.record["left"]) == sorted(move["path"] for move in refused)
    assert_partly_done(scene, summary, "disk2", left=len(refused))
    assert all(scene.is_moved(move) for move in moves if move["destination"] == "disk3")
    assert os.listdir(scene.root("disk2")) in ([], ["lost+found"])
    assert scene.changes() == []


def test_two_disks_that_are_gone_are_not_taken_for_one(scene: Scene, make_disk: MakeDisk) -> None:
    scene = replace(scene, roots=[*scene.roots, make_disk("ext4", 48, "disk4")])
    moves = scene.plan()["moves"]
    for name in ("disk3", "disk4"):
        unmount(scene.root(name))
        scene.root(name).rmdir()  # as udisks removes the mount points that it made

    scene.run("--plan", scene.plan_file, exit_code=1)

    assert {move["destination"] for move in moves} == {"disk2", "disk3", "disk4"}
    assert all(scene.is_moved(move) for move in moves if move["destination"] == "disk2")


def test_a_plan_of_which_no_disk_can_be_used_any_more_is_refused_with_a_sentence(scene: Scene) -> None:
    scene.plan()
    unmount(scene.root("disk1"))

    ran = scene.run_program("run", "--yes", *scene.disks, "--plan", scene.plan_file, exit_code=4)

    assert "disk1" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_what_a_person_reads_and_what_a_program_reads_is_the_record_itself(scene: Scene) -> None:
    document = scene.run_program("run", "--yes", "--json", *scene.disks, exit_code=0).document

    assert document == scene.record


def _disk_of(folder: Path, scene: Scene) -> str:
    return next(root.name for root in scene.roots if folder.is_relative_to(root))


def _repair(root: Path) -> None:
    """Mount a disk anew, as a person would: its journal is replayed and its cache forgotten."""
    unmount(root)
    options = "loop,noatime,errors=remount-ro"
    subprocess.run(["mount", "-o", options, root.with_name(f"{root.name}.img"), root], check=True)


def _break(root: Path) -> None:
    """Let the kernel find an error on an ext4 file system, which turns it read-only in the middle of everything."""
    device = subprocess.run(
        ["findmnt", "--noheadings", "--output", "SOURCE", root], check=True, capture_output=True, text=True
    ).stdout
    Path("/sys/fs/ext4", Path(device.strip()).name, "trigger_fs_error").write_text("1")
