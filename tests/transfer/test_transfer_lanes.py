"""Several moves at once: in processes of their own, one stop and one pause for all, nothing lost when one dies."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import lab
from lab import MakeDisk
from lab.processes import children_of
from rebalancer.executions.process_table import everybody
from rebalancer.transfer.messages import Finished, Progress
from transfer.bench import Bench, ended, own_names, wait_until

MIB = 2**20
LARGE = 48 * MIB


@pytest.fixture
def disks(make_disk: MakeDisk) -> list[Path]:
    """Four disks in memory, which have no heads: two with a large file each, and two that are empty."""
    made = [make_disk("tmpfs", 200, f"disk{number}") for number in (1, 2, 3, 4)]
    block = os.urandom(MIB)
    for number in (0, 2):
        folder = made[number] / "s" / f"u{number}"
        folder.mkdir(parents=True)
        with (folder / "large").open("wb") as file:
            for part in range(LARGE // MIB):
                file.write(part.to_bytes(4, "little") + block[4:])
    return made


@pytest.fixture
def operation(bench: Bench, disks: Sequence[Path]) -> Path:
    """An operation that moves both large files, each to a disk of its own, slowly and at once."""
    return bench.operation_of([("s/u0", disks[0], disks[1]), ("s/u2", disks[2], disks[3])], at_once=2, rate=20 * MIB)


def copies(disks: Sequence[Path]) -> list[Path]:
    return [path for disk in disks for path in disk.rglob("*.part") if path.is_file()]


def both_grow(disks: Sequence[Path]) -> bool:
    return len([path for path in copies(disks) if path.stat().st_size > MIB]) == 2


@contextmanager
def both_growing(bench: Bench, operation: Path, disks: Sequence[Path]) -> Iterator[subprocess.Popen[bytes]]:
    """Give a worker at the moment when it copies both files."""
    with bench.start(operation) as process:
        wait_until(lambda: both_grow(disks))
        yield process


def test_moves_on_disks_of_their_own_are_under_way_at_the_same_time(
    bench: Bench, disks: list[Path], operation: Path
) -> None:
    before = lab.snapshot_array(disks)

    with both_growing(bench, operation, disks) as process:
        worked = ended(process)

    assert worked.finished == Finished(files_moved=2, bytes_moved=2 * LARGE, files_left=0, moves_done=2, moves_total=2)
    assert lab.difference(before, lab.snapshot_array(disks)) == []
    assert [sorted(path.name for path in (disk / "s").iterdir()) for disk in disks] == [[], ["u0"], [], ["u2"]]
    told = [message for message in worked.messages if isinstance(message, Progress)]
    assert {message.beside for message in told} == {0, 1}
    moved = [message.bytes_moved for message in told]
    assert moved == sorted(moved)
    assert moved[-1] == 2 * LARGE


def test_units_between_the_same_disks_share_their_folders_and_these_keep_their_times(
    bench: Bench, make_disk: MakeDisk
) -> None:
    source, destination = make_disk("tmpfs", 100, "disk1"), make_disk("tmpfs", 100, "disk2")
    names = [f"shows/a/unit{number:02}" for number in range(40)]
    lab.write_tree(source / "shows/a", files=300, total=40 * MIB)
    for name in names:
        (source / name / "season").mkdir(parents=True)
        for number in range(20):
            (source / name / "season" / f"{number}").write_bytes(os.urandom(2000))
    for folder in (source / "shows", source / "shows/a"):
        os.utime(folder, ns=(1_500_000_000_123_456_789, 1_400_000_000_987_654_321))
    units = sorted(f"shows/a/{path.name}" for path in (source / "shows/a").iterdir() if path.is_dir())
    before = lab.snapshot_array([source, destination])

    worked = bench.work(bench.operation_of([(unit, source, destination) for unit in units], at_once=4))

    assert worked.finished.moves_done == worked.finished.moves_total == len(units)
    assert lab.difference(before, lab.snapshot_array([source, destination])) == []
    assert (source / "shows").stat().st_mtime_ns == 1_400_000_000_987_654_321
    assert not (source / "shows/a").exists() or (source / "shows/a").stat().st_mtime_ns == 1_400_000_000_987_654_321
    assert (destination / "shows/a").stat().st_mtime_ns == 1_400_000_000_987_654_321
    assert own_names(source, destination) == []


def test_a_stop_ends_all_of_them_at_once_and_leaves_nothing_half_done(
    bench: Bench, disks: list[Path], operation: Path
) -> None:
    before = lab.snapshot_array(disks)

    with both_growing(bench, operation, disks) as process:
        lanes, asked = children_of(process.pid), time.monotonic()
        process.send_signal(signal.SIGTERM)
        worked = ended(process)

    assert time.monotonic() - asked < 1
    assert (worked.exit_code, worked.finished.stopped, worked.finished.files_moved) == (0, "cancelled", 0)
    assert own_names(*disks) == []
    assert lab.difference(before, lab.snapshot_array(disks)) == []
    assert len(lanes) == 2
    assert everybody().keys().isdisjoint(lanes)


def test_a_pause_holds_all_of_them_and_going_on_finishes_both(bench: Bench, disks: list[Path], operation: Path) -> None:
    before = lab.snapshot_array(disks)

    with both_growing(bench, operation, disks) as process:
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.4)
        sizes = [[path.stat().st_size for path in copies(disks)]]
        time.sleep(0.4)
        sizes.append([path.stat().st_size for path in copies(disks)])
        process.send_signal(signal.SIGUSR2)
        worked = ended(process)

    assert sizes[0] == sizes[1]
    assert len(sizes[0]) == 2
    assert "paused" in {message.phase for message in worked.messages if isinstance(message, Progress)}
    assert (worked.left, worked.finished.files_moved) == ({}, 2)
    assert lab.difference(before, lab.snapshot_array(disks)) == []


def test_when_one_is_killed_the_others_stop_and_the_next_run_finishes_what_was_begun(
    bench: Bench, disks: list[Path], operation: Path
) -> None:
    before = lab.snapshot_array(disks)

    with both_growing(bench, operation, disks) as process:
        os.kill(children_of(process.pid)[0], signal.SIGKILL)
        output, errors = process.communicate(timeout=20)

    assert process.returncode == 1
    assert b"ended in the middle of a move" in errors
    assert b'"finished"' not in output  # nobody can say what happened, so nobody does
    assert len(own_names(*disks)) == 1  # of the one that was killed; the other one tidied up

    recovered = bench.work(operation, "--only-begun")

    assert recovered.finished.unfinished == ()
    assert own_names(*disks) == []
    assert lab.difference(before, lab.snapshot_array(disks)) == []


def test_when_the_worker_is_killed_its_processes_end_by_themselves(
    bench: Bench, disks: list[Path], operation: Path
) -> None:
    before = lab.snapshot_array(disks)

    with both_growing(bench, operation, disks) as process:
        lanes = children_of(process.pid)
        process.kill()
        process.communicate(timeout=20)
        wait_until(lambda: everybody().keys().isdisjoint(lanes), seconds=5)

    assert own_names(*disks) == []
    assert lab.difference(before, lab.snapshot_array(disks)) == []


@pytest.mark.needs_tool("strace")
def test_a_disk_that_failed_one_is_left_alone_by_all(bench: Bench, make_disk: MakeDisk, tmp_path: Path) -> None:
    disks = [make_disk("tmpfs", 20, f"disk{number}") for number in (1, 2, 3, 4)]
    moves = []
    for number in range(8):
        source, destination = (disks[0], disks[1]) if number % 2 else (disks[2], disks[3])
        (source / f"s/u{number}").mkdir(parents=True)
        (source / f"s/u{number}/file").write_bytes(b"content")
        moves.append((f"s/u{number}", source, destination))
    before = lab.snapshot_array(disks)
    strace = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", "trace=fsync", "-e", "inject=fsync:error=EIO"]

    worked = bench.work(bench.operation_of(moves, at_once=2), under=strace)

    assert len([reason for reason in worked.left.values() if "left alone since an earlier failure" in reason]) >= 4
    assert worked.finished.moves_done == 0
    assert lab.difference(before, lab.snapshot_array(disks)) == []
    assert own_names(*disks) == []
