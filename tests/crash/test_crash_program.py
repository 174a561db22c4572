"""The real processes, started as always and killed by strace at their changes: worker, supervisor, and recoveries."""

import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import lab
import rebalancer
from crash import strace
from crash.conftest import SetStage
from crash.figures import Figures
from crash.scenarios import SCENARIOS, Scenario
from crash.stage import STARTS, Stage, clear, count
from lab import MakeDisk
from lab.aftermath import look, own_names

pytestmark = [pytest.mark.needs_tool("strace"), pytest.mark.needs_loop_disks("ext4")]

VARIABLES = {"PYTHONPATH": str(Path(rebalancer.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}


def worker(stage: Stage, *flags: str) -> list[str]:
    return [sys.executable, "-m", "rebalancer.transfer.worker", *flags, str(stage.operation)]


def points_of(stage: Stage, command: Sequence[str]) -> list[strace.Point]:
    stage.set_up()
    return strace.points(command, stage.folder / "trace", variables=VARIABLES)


@pytest.mark.parametrize("scenario", [SCENARIOS[1], SCENARIOS[2]], ids=str)
def test_the_real_worker_killed_at_each_change_loses_nothing(set_stage: SetStage, scenario: Scenario) -> None:
    stage, figures = set_stage(scenario, "ext4"), Figures("Q2", "the real worker killed by strace", "ext4")

    for point in points_of(stage, worker(stage)):
        stage.set_up()
        figures.points += 1
        figures.fired += strace.kill_at(point, worker(stage), variables=VARIABLES)
        stage.judge(figures)
        stage.judge_recovery(figures)

    figures.publish()


@pytest.mark.long
@pytest.mark.parametrize("medium", ["ext4", "xfs"])
def test_the_real_recovery_killed_too_converges(set_stage: SetStage, medium: str) -> None:
    seed = os.environ.get("REBALANCER_CRASH_SEED") or str(time.time_ns())
    chance = random.Random(seed)  # noqa: S311 - moments, no secrets
    stage = set_stage(SCENARIOS[2], medium)
    figures = Figures("L6", "the real worker killed by strace, and its recovery too", medium, seed=seed)
    firsts = points_of(stage, worker(stage))

    while figures.points < 100:
        stage.set_up()
        assert strace.kill_at(chance.choice(firsts), worker(stage), variables=VARIABLES)
        seconds = chance.choice(["fchmod", "renameat2", "linkat", "unlinkat", "fsync", "syncfs", "utimensat"])
        was_killed = strace.kill_at(
            strace.Point(seconds, chance.randint(1, 4)), worker(stage, "--only-begun"), variables=VARIABLES
        )
        if not was_killed:
            figures.note("recovery was over before")
            continue
        figures.points += 1
        figures.fired += was_killed
        stage.judge(figures)
        stage.judge_recovery(figures)

    figures.publish()


@pytest.mark.long
def test_the_real_supervisor_killed_at_each_change_loses_nothing(make_disk: MakeDisk, state: Path) -> None:
    disks = make_disk("ext4", 32, "disk1"), make_disk("tmpfs", 32, "disk2")
    SCENARIOS[10].write(*disks)
    originals, figures = (
        lab.snapshot_array(disks),
        Figures("L1", "the real supervisor killed by strace", "ext4 -> tmpfs"),
    )
    run = lab.command_line(f"--disk={disks[0]}", f"--disk={disks[1]}", "run", "--yes")
    points = strace.points(run, state / "trace", variables=_fresh(state / "dry"), below=state)

    for number, point in enumerate(points):
        for root in disks:
            clear(root)
        SCENARIOS[10].write(*disks)
        own_state = state / str(number)
        if not strace.kill_at(point, run, variables=_fresh(own_state)):
            figures.note("the run was over before")  # how often progress is told depends on the time it takes
            continue
        figures.points += 1
        figures.fired += 1
        _wait_for_orphans(own_state)
        count(figures, look(disks, originals))
        figures.unrecovered += not _finishes(disks, own_state)

    assert figures.points > 0.9 * len(points)
    figures.publish()


def _fresh(state: Path) -> dict[str, str]:
    state.mkdir(mode=0o700)
    return lab.environment(state) | {"PYTHONDONTWRITEBYTECODE": "1"}


def _wait_for_orphans(state: Path) -> None:
    """A worker whose supervisor was killed ends by itself; the next run would wait for it."""
    deadline = time.monotonic() + 10
    while any(_is_worker(pid, state) for pid in os.listdir("/proc") if pid.isdigit()):
        assert time.monotonic() < deadline, "the worker lives on"
        time.sleep(0.02)


def _is_worker(pid: str, state: Path) -> bool:
    try:
        is_worker = b"rebalancer.transfer.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        return is_worker and os.fsencode(state) in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it ended meanwhile
        return False


def _finishes(disks: tuple[Path, Path], state: Path) -> bool:
    """Run until it ends well, at most `STARTS` times, and look whether records, journal and disks are in order."""
    for _ in range(STARTS):
        if lab.run(f"--disk={disks[0]}", f"--disk={disks[1]}", "run", "--yes", state=state).exit_code == 0:
            break
    else:
        return False
    history = lab.run("--execution-history", "--json", state=state, exit_code=0).document
    is_settled = all(record["status"] not in {"running", "pending"} for record in history)
    has_journal = any((state / "config/operations").glob("[!.]*"))
    return is_settled and not has_journal and own_names(disks) == []
