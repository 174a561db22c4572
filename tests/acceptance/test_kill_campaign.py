"""SIGKILL at random moments of a real run: nothing is lost, and the next run finishes what was begun.

``REBALANCER_KILL_SEED`` repeats a campaign. After a crash the times of folders may differ from the originals',
since nobody was left to put them back; everything else must be equal.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lab
from acceptance.kill_lab import (
    ATTEMPTS,
    MOMENTS,
    Array,
    Golden,
    Moment,
    Tally,
    array_copy,
    is_living,
    kill,
    wait_for_moment,
    wait_for_worker,
)
from lab import Entry, MakeDisk, needs
from lab.aftermath import look, own_names, split_units
from lab.processes import children_of

pytestmark = [
    pytest.mark.needs_loop_disks("ext4"),
    pytest.mark.needs_loop_disks("xfs"),
    pytest.mark.needs_loop_disks("btrfs"),
]

KILLS_PER_GROUP = 10
GROUPS = 5  # odd ones move from xfs to btrfs, the others from ext4 to xfs
VICTIMS = ("worker", "supervisor", "both")
MIB = 2**20
SECONDS_OF_AN_ORPHAN = 2.0
STRACE = ("strace", "-f", "-qq", "-o", "/dev/null", "-e")


@pytest.fixture(scope="module")
def goldens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Golden]]:
    """Two arrays to be copied for every kill, each measured by one run that nobody disturbs."""
    for file_system in ("ext4", "xfs", "btrfs"):
        needs.demand(needs.lacking_loop_disks(file_system))
    folder = tmp_path_factory.mktemp("golden")
    yield {
        0: _golden(folder / "0", "ext4", "xfs"),
        1: _golden(folder / "1", "xfs", "btrfs"),
        2: _golden(folder / "2", "ext4", "xfs", at_once=3),
    }
    for image in folder.glob("*/*.img"):
        image.unlink()


@pytest.mark.parametrize("group", range(GROUPS))
def test_after_a_kill_every_file_is_whole_and_the_next_run_finishes(
    goldens: dict[int, Golden], tmp_path: Path, group: int, record_property: Callable[[str, object], None]
) -> None:
    seed = os.environ.get("REBALANCER_KILL_SEED") or str(time.time_ns())
    chance = random.Random(f"{seed}-{group}")  # noqa: S311 - moments, no secrets
    golden, tally, began = goldens[group % 2], Tally(), time.monotonic()

    for number in range(KILLS_PER_GROUP):
        order = group * KILLS_PER_GROUP + number
        victim, moment = VICTIMS[order % 3], Moment(MOMENTS[order // 3 % len(MOMENTS)], chance)
        _one_kill(golden, tmp_path / str(number), tally, victim=victim, moment=moment)

    record_property("campaign", f"{tally}")
    print(f"seed {seed}: {tally}, {time.monotonic() - began:.0f} seconds")  # noqa: T201 - shown with a failure, and by -rP
    assert tally.hits.total() >= KILLS_PER_GROUP - 1


def test_after_a_kill_of_one_of_several_movers_every_file_is_whole_too(
    goldens: dict[int, Golden], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = os.environ.get("REBALANCER_KILL_SEED") or str(time.time_ns())
    chance, tally = random.Random(f"{seed}-lanes"), Tally()  # noqa: S311

    for number, name in enumerate(
        ("copying", "appeared", "hidden", "copying", "hidden", "copying", "appeared", "hidden")
    ):
        victim = (*VICTIMS, "lane")[number % 4]
        _one_kill(goldens[2], tmp_path / str(number), tally, victim=victim, moment=Moment(name, chance))

    record_property("campaign", f"{tally}")
    print(f"seed {seed}: {tally}")  # noqa: T201 - shown with a failure, and by -rP
    assert tally.hits.total() >= 7


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_recovery_that_is_killed_too_is_just_another_crash(
    goldens: dict[int, Golden], tmp_path: Path, victim: str
) -> None:
    golden, chance = goldens[0], random.Random(7)  # noqa: S311
    for attempt in range(ATTEMPTS):
        with array_copy(golden, tmp_path / str(attempt)) as array:
            for moment, haste in (("hidden", 0), ("time", 5), ("time", 5)):
                _strike(array, golden, victim, Moment(moment, chance, haste=haste))
                aftermath = look(array.disks, golden.originals)
                assert (aftermath.lost, aftermath.halves) == ([], [])
                if not array.operations:
                    break  # it came too late, or the supervisor finished with another worker: nothing is left to do
            killed = [path for path in array.records if json.loads(path.read_bytes())["status"] != "completed"]
            _finish(array, golden)
        if len(killed) > 1:
            return
    pytest.fail("no kill hit a recovery")


def test_while_the_worker_of_a_killed_supervisor_lives_the_next_run_waits_for_it(
    goldens: dict[int, Golden], tmp_path: Path
) -> None:
    golden = goldens[0]
    with array_copy(golden, tmp_path) as array:
        supervisor = lab.start(*array.arguments, state=array.state)
        worker = wait_for_worker(supervisor)
        wait_for_moment(Moment("copying", random.Random(1)), array, golden, worker)  # noqa: S311
        os.kill(worker, signal.SIGSTOP)  # as if it waited for a disk
        try:
            _end(supervisor)
            before = look(array.disks, golden.originals)

            lab.run(*array.arguments, state=array.state, exit_code=75)

            assert look(array.disks, golden.originals) == before
        finally:
            os.kill(worker, signal.SIGCONT)
        _wait_for_end(worker)
        _finish(array, golden)


@pytest.mark.needs_tool("strace")
@pytest.mark.parametrize(
    "call",
    [
        "mkdirat",
        "renameat2",
        "renameat2:2",
        "renameat2:9",
        "symlinkat",
        "linkat",
        "linkat:2",
        "unlinkat",
        "unlinkat:2",
        "syncfs",
        "syncfs:3",
    ],
)
def test_a_worker_killed_at_a_step_that_others_can_see_leaves_nothing_behind(
    make_disk: MakeDisk, state: Path, call: str
) -> None:
    disks = make_disk("ext4", 16, "disk1"), make_disk("tmpfs", 16, "disk2")
    _write_a_little_of_everything(disks[0])
    originals = lab.snapshot(disks[0])
    array = Array(disks, state)
    name, _, number = call.partition(":")
    inject = f"inject={name}:signal=KILL:when={number or 1}"  # counted in each process for itself; only the worker gets there
    plan = (
        state / "plan.json"
    )  # made beforehand: a scan lets the file systems write, and would be the one that is killed
    lab.run("plan", *[f"--disk={disk}" for disk in disks], "--save", plan, state=state, exit_code=0)

    killed = subprocess.run(
        [*STRACE, f"trace={name}", "-e", inject, *lab.command_line(*array.arguments, "--plan", plan)],
        check=False,
        capture_output=True,
        timeout=60,
        env=lab.environment(state),
    )

    assert killed.returncode == 1, killed
    assert json.loads(array.records[0].read_bytes())["cause"] == "lost"
    aftermath = look(disks, originals)
    assert (aftermath.lost, aftermath.halves) == ([], [])
    assert lab.run(*array.arguments, state=state).exit_code == 0
    _assert_all_is_done(array, originals)


# -- one kill -----------------------------------------------------------------------------------------------------


def _one_kill(golden: Golden, folder: Path, tally: Tally, *, victim: str, moment: Moment) -> None:
    for attempt in range(ATTEMPTS):
        with array_copy(golden, folder / str(attempt)) as array:
            if not _strike(array, golden, victim, replace(moment, haste=attempt)):
                tally.too_late += 1
                continue
            aftermath = look(array.disks, golden.originals)
            assert (aftermath.lost, aftermath.halves) == ([], [])
            tally.note(f"{victim}, {moment.name}", aftermath)
            tally.recoveries[_finish(array, golden)] += 1
            return


def _strike(array: Array, golden: Golden, victim: str, moment: Moment) -> bool:
    """Start a run and kill; return whether work was going on. What must hold of the processes is asserted."""
    known = set(array.records)
    supervisor = lab.start(*array.arguments, state=array.state)
    try:
        worker = wait_for_worker(supervisor)
        wait_for_moment(moment, array, golden, worker)
        lanes = children_of(worker)
        was_alive = kill(victim, supervisor, worker)
        if victim in {"worker", "lane"}:
            answer = _answer_of_the_supervisor(supervisor, array, known, victim)
            _wait_for_end(*lanes)
            return answer and was_alive
        _end(supervisor)
        began = time.monotonic()
        _wait_for_end(worker, *lanes)
        assert time.monotonic() - began < SECONDS_OF_AN_ORPHAN
        if not was_alive or supervisor.returncode != -signal.SIGKILL or not array.operations:
            return False
        if known == set(array.records):
            return False  # before its first record an execution's worker is idle: nothing of it was under way
        assert _new_record(array, known)["status"] in {"pending", "running"}
        return True
    finally:
        _end(supervisor)


def _answer_of_the_supervisor(supervisor: lab.Running, array: Array, known: set[Path], victim: str) -> bool:
    """Return False when the worker had said its last word before it was killed."""
    _output, errors = supervisor.communicate(timeout=30)
    assert b"Traceback" not in errors
    if supervisor.returncode == 0:
        return False
    record = _new_record(array, known)
    assert (supervisor.returncode, record["exit_code"]) == (1, 1)
    assert (record["status"], record["cause"]) == ("failed", "lost")
    assert ("SIGKILL" if victim == "worker" else "exit code 1") in record["error_message"]
    assert array.operations, "the journal of the lost work is gone"
    return True


def _finish(array: Array, golden: Golden) -> int:
    """Run until it ends well and assert that all is as it was; returns how many runs that took."""
    runs = 1
    while (ran := lab.run(*array.arguments, state=array.state)).exit_code != 0:
        runs += 1
        assert runs <= 3, str(ran)
    _assert_all_is_done(array, golden.originals)
    return runs


def _assert_all_is_done(array: Array, originals: Mapping[bytes, Entry]) -> None:
    assert own_names(array.disks) == []
    assert array.operations == []
    after = lab.snapshot_array(array.disks)  # raises when a file is on both disks
    assert lab.difference(originals, after, ignore_folder_times=True) == []
    assert split_units(array.disks) == []


def _new_record(array: Array, known: set[Path]) -> dict[str, Any]:
    """Return the record of the execution that was killed; it must be readable."""
    new = [path for path in array.records if path not in known]
    assert len(new) == 1
    record = json.loads(new[0].read_bytes())
    assert record["execution_id"] == new[0].stem
    assert isinstance(record, dict)
    return record


def _end(supervisor: lab.Running) -> None:
    if supervisor.poll() is None:
        supervisor.kill()
    supervisor.communicate()


def _wait_for_end(*processes: int) -> None:
    deadline = time.monotonic() + 30
    while any(map(is_living, processes)):
        assert time.monotonic() < deadline, "the worker lives on"
        time.sleep(0.005)


# -- the golden arrays ----------------------------------------------------------------------------------------------


def _golden(folder: Path, file_system: str, receiver: str, *, at_once: int = 1) -> Golden:
    folder.mkdir()
    with lab.disk(folder / "full", file_system, 350) as full:
        lab.write_tree(full, files=240, seed=3, total=24 * MIB)
        _write_large_and_linked(full)
        originals = lab.snapshot(full)
    golden = Golden(folder / "full.img", file_system, receiver, originals, duration=0, at_once=at_once)
    with array_copy(golden, folder / "measured") as array:
        supervisor = lab.start(*array.arguments, state=array.state)
        worker = wait_for_worker(supervisor)
        began = time.monotonic()
        _wait_for_end(worker)
        duration = time.monotonic() - began
        assert supervisor.wait(30) == 0, supervisor.communicate()
        supervisor.communicate()
    return replace(golden, duration=duration)


def _write_a_little_of_everything(root: Path) -> None:
    for number in range(4):
        unit = root / f"media/unit {number}"
        (unit / "deeper").mkdir(parents=True)
        for name in ("one", "two", "deeper/three"):
            (unit / name).write_bytes(os.urandom(300_000))
        (unit / "another name").hardlink_to(unit / "one")
        (unit / "link").symlink_to("two")


def _write_large_and_linked(root: Path) -> None:
    """Two large files, and files whose names are in several units."""
    for number in range(2):
        large = root / f"media/film {number}/film.mkv"
        large.parent.mkdir(parents=True)
        large.write_bytes(os.urandom(12 * MIB))
        os.utime(large, ns=(10**18 + number, 10**18 + number))
    for number in range(3):
        first = root / f"photos/album {number}/picture.raw"
        first.parent.mkdir(parents=True)
        first.write_bytes(os.urandom(MIB // 2))
        for other in ("documents/linked", "media/linked"):
            place = root / f"{other} {number}/the same.raw"
            place.parent.mkdir(parents=True)
            place.hardlink_to(first)
