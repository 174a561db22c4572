"""L7: thousands of steps of a mover that is stopped and killed, and of somebody who works on the same files meanwhile."""

import os
import random
import secrets
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import lab
from crash import mover
from crash.figures import Figures
from crash.soak import FILLER, Model, empty, units_on
from rebalancer.planning.selection import Selection
from rebalancer.state import StateFolders

RESERVES = ("0", "2MiB", "20%")
MUST_HAPPEN = ("runs to the end", "runs stopped", "runs killed", "deeds", "deeds while moving", "filled")
SLACK = 128 * 2**10  # folders and the file system's own books may take that much of a reserve

numbers = st.integers(0, 2**32 - 1)
endings = st.sampled_from((None, signal.SIGTERM, signal.SIGKILL))


@dataclass(eq=False)
class Ground:
    """What lasts from one sequence of steps to the next: the disks, and the figures."""

    disks: tuple[Path, ...]
    state: Path
    figures: Figures
    sequences: int = 0

    @property
    def folders(self) -> StateFolders:
        return StateFolders(self.state / "config", self.state / "runtime")


@dataclass(eq=False)
class Soak:
    """One sequence of steps."""

    ground: Ground
    model: Model
    reserve: str = "0"
    runs: int = 0
    is_settled: bool = True  # the last run ended by itself and left nothing unfinished
    seen: list[str] = field(default_factory=list)

    def run(self, chance: random.Random, *, killed_at: int = 0) -> mover.Run:
        self.runs += 1
        units = [units_on(root) for root in self.model.disks]
        return mover.Run(
            folders=self.ground.folders,
            disks=self.model.disks,
            operation_id=f"{self.ground.sequences}-{self.runs}",
            selection=Selection(exclude_shares=("filler",), reserve=self.reserve, tolerance=0.5, max_bytes=500_000),
            moves=None if chance.random() < 0.3 else mover.random_moves(chance, units),
            killed_at=killed_at,
        )

    def ended(self, code: int) -> None:
        assert code in {mover.DONE, mover.REST, mover.STOPPED, -signal.SIGKILL, -signal.SIGTERM}, code
        self.model.is_racing = code != mover.DONE
        self.is_settled = code == mover.DONE
        self.model.diary.append(f"{time.monotonic():.4f} a run ended with {code}")
        words = {mover.DONE: "runs to the end", mover.REST: "runs that left a rest", mover.STOPPED: "runs stopped"}
        self.ground.figures.note(words.get(code, "runs killed"))

    def judge(self) -> None:
        """Judge what is on the disks now; a file that is lost or half there ends the campaign."""
        figures, model = self.ground.figures, self.model
        visible, hidden = model.versions()
        lost, half = model.lost(visible, hidden), model.half(visible)
        figures.states += 1
        figures.lost += len(lost)
        figures.half += len(half)
        figures.note("files that waited in hidden folders", sum(map(len, hidden.values())))
        if lost or half:
            print("\n".join([*model.diary, *lost, *half]))  # noqa: T201 - hypothesis repeats the steps, and with them the chance
        assert (lost, half) == ([], [])
        if self.is_settled:
            strange = model.strange(visible)
            strange += [] if model.raced else model.own_names()
            figures.unrecovered += len(strange)
            assert strange == []
            model.reconcile()


class Machine(RuleBasedStateMachine):
    """What may happen; each rule is one step."""

    ground: Ground
    soak: Soak

    @initialize(number=numbers)
    def begin(self, number: int) -> None:
        empty(self.ground.disks)
        for root in self.ground.disks:
            (root / FILLER).parent.mkdir()
            (root / FILLER).with_name(f"on {root.name}").write_bytes(b"so that there is such a share")
        for folder in (self.ground.folders.operations, self.ground.folders.executions):
            for path in folder.glob("*") if folder.is_dir() else ():
                path.unlink()
        self.ground.sequences += 1
        self.soak = Soak(self.ground, Model(self.ground.disks))
        chance = _chance(number)
        for _ in range(25):
            self.soak.model.create(chance)
            self.soak.model.link(chance)

    @rule(number=numbers)
    def somebody_appends(self, number: int) -> None:
        self._do(self.soak.model.append, number, times=2)

    @rule(number=numbers)
    def somebody_edits(self, number: int) -> None:
        self._do(self.soak.model.edit, number, times=1)

    @rule(number=numbers)
    def somebody_deletes(self, number: int) -> None:
        self._do(self.soak.model.delete, number, times=1)

    @rule(number=numbers)
    def somebody_renames(self, number: int) -> None:
        self._do(self.soak.model.rename, number, times=1)

    @rule(number=numbers)
    def somebody_links(self, number: int) -> None:
        self._do(self.soak.model.link, number, times=1)

    @rule(number=numbers)
    def somebody_adds_files(self, number: int) -> None:
        self._do(self.soak.model.create, number, times=4)

    def _do(self, deed: Callable[[random.Random], None], number: int, *, times: int) -> None:
        chance = _chance(number)
        for _ in range(times):
            deed(chance)

    @rule(number=numbers, fill=st.booleans(), reserve=st.sampled_from(RESERVES))
    def space_changes(self, number: int, fill: bool, reserve: str) -> None:
        self.soak.reserve = reserve
        self.soak.model.free()
        if fill:
            self.soak.model.fill(_chance(number))

    @rule(number=numbers, ending=endings, after=st.floats(0, 0.15), killed_at=st.sampled_from((0, 0, 1, 2, 3, 4, 6, 8)))
    def a_run(self, number: int, ending: signal.Signals | None, after: float, killed_at: int) -> None:
        """Let it end, ask it to stop, or kill it: at some moment, or itself with its n-th message."""
        before = [_free(root) for root in self.ground.disks]
        run = self.soak.run(_chance(number), killed_at=killed_at if ending is signal.SIGKILL else 0)
        code = mover.end(mover.fork(run), send=ending, after=after)
        self.soak.ended(_fired(self.ground, code) if ending else code)
        if code == mover.REST:
            self.soak.model.resolve()
        for root, free in zip(self.ground.disks, before, strict=True):
            assert _free(root) >= min(free, _reserve(root, self.soak.reserve)) - SLACK

    @rule(number=numbers, deeds=st.integers(1, 40), ending=endings)
    def a_run_while_somebody_works(self, number: int, deeds: int, ending: signal.Signals | None) -> None:
        chance = _chance(number)
        pid = mover.fork(self.soak.run(chance))
        self.soak.model.is_racing = True
        for _ in range(deeds):
            self.soak.model.act(chance)
            time.sleep(chance.choice((0, 0, 0.002, 0.01)))
        self.soak.ended(_fired(self.ground, mover.end(pid, send=ending)) if ending else mover.end(pid))

    @precondition(lambda self: self.soak.runs % 6 == 5)
    @rule(kill=st.booleans(), after=st.floats(0.3, 1.2))
    def the_program(self, kill: bool, after: float) -> None:
        """The same by the command a person gives, whole or with its supervisor killed."""
        self.soak.runs += 1
        named = [word for root in self.ground.disks for word in ("--disk", root)]
        arguments = (*named, "run", "--yes", "--exclude-share", "filler", "--reserve", self.soak.reserve)
        process = lab.start(*arguments, state=self.ground.state)
        if kill:
            time.sleep(after)
            process.kill()
        process.communicate()
        _wait_for_locks(self.ground)
        is_settled = not any(self.ground.folders.operations.glob("[!.]*"))
        self.soak.ended(mover.DONE if is_settled and process.returncode >= 0 else mover.REST)
        self.ground.figures.note("runs of the whole program")

    @invariant()
    def every_file_is_there_and_whole(self) -> None:
        self.ground.figures.points += 1
        self.ground.figures.fired += 1
        self.soak.judge()

    def teardown(self) -> None:
        if hasattr(self, "soak"):
            for words, count in self.soak.model.counts.items():
                self.ground.figures.note(words, count)


def _chance(number: int) -> random.Random:
    return random.Random(number)  # noqa: S311 - no secret


def _fired(ground: Ground, code: int) -> int:
    """Count the signals that came in time."""
    ground.figures.note("signals that came in time", code in {mover.STOPPED, -signal.SIGKILL, -signal.SIGTERM})
    return code


def _free(root: Path) -> int:
    status = os.statvfs(root)
    return status.f_bfree * status.f_frsize


def _reserve(root: Path, words: str) -> int:
    status = os.statvfs(root)
    return {"0": 0, "2MiB": 2 * 2**20, "20%": status.f_blocks * status.f_frsize // 5}[words]


def _wait_for_locks(ground: Ground) -> None:
    """Wait until the worker of a killed supervisor has ended: it holds the locks of its disks until then."""
    run = mover.Run(ground.folders, ground.disks, "none", Selection(), moves=())
    deadline = time.monotonic() + 20
    while not mover.is_free(run):
        assert time.monotonic() < deadline, "a worker outlived its supervisor"
        time.sleep(0.02)


def soak(ground: Ground, *, steps: int) -> None:
    """Let the machine take steps until there were enough; now and then they begin with empty disks."""
    start = int(os.environ.get("REBALANCER_CRASH_SEED", "") or secrets.randbelow(2**31))
    figures = ground.figures
    figures.seed = str(start)
    print(f"REBALANCER_CRASH_SEED={start}")  # noqa: T201 - shown with a failure
    length = 50 if steps > 1_000 else 30
    while (figures.points < steps or _unseen(figures)) and figures.points < 20 * steps:
        machine = seed(start + ground.sequences)(type("Campaign", (Machine,), {"ground": ground}))
        how = settings(
            max_examples=max(1, (steps - figures.points) // length),
            stateful_step_count=length,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
            deadline=None,
            database=None,
        )
        run_state_machine_as_test(machine, settings=how)
    assert _unseen(figures) == [], figures.notes
    figures.publish()


def _unseen(figures: Figures) -> list[str]:
    return [words for words in MUST_HAPPEN if not figures.notes.get(words)]


@pytest.fixture
def ground(ram: Path, state: Path, mounts: ExitStack) -> Ground:
    kinds = (("disk1", "ext4", 40), ("disk2", "tmpfs", 32), ("disk3", "ext4", 32))
    disks = tuple(mounts.enter_context(lab.disk(ram / name, kind, size)) for name, kind, size in kinds)
    figures = Figures("L7", "steps of runs, stops, kills and of somebody at work, against a model", "ext4, tmpfs, ext4")
    return Ground(disks, state, figures)


@pytest.mark.needs_loop_disks("ext4")
def test_no_file_is_lost_or_half_there_in_three_hundred_steps(ground: Ground) -> None:
    soak(ground, steps=300)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.needs_loop_disks("ext4")
@pytest.mark.parametrize("part", [1, 2])
def test_no_file_is_lost_or_half_there_in_ten_thousand_steps(ground: Ground, part: int) -> None:
    """Two parts, so that two processes can take them; most of the time is waited, not worked."""
    soak(ground, steps=5_000)


def test_the_model_sees_what_is_lost_half_there_twice_or_back_again(tmp_path: Path) -> None:
    model = Model((tmp_path / "disk1", tmp_path / "disk2"))
    chance = _chance(1)
    for root in model.disks:
        root.mkdir()
    while len(model.live) < 4:
        model.create(chance)
    lost, short, twice, back = sorted(model.live)
    places = {path: next(root for root in model.disks if (root / path).exists()) for path in model.live}

    (places[lost] / lost).unlink()
    os.truncate(places[short] / short, 5)
    other = next(root for root in model.disks if root != places[twice])
    (other / twice).parent.mkdir(parents=True, exist_ok=True)
    (other / twice).write_bytes((places[twice] / twice).read_bytes())
    del model.live[back]
    visible, hidden = model.versions()

    assert [text.split()[0] for text in model.lost(visible, hidden)] == [lost, short]
    assert [text.split(":")[0] for text in model.half(visible)] == [str(places[short] / short)]
    assert model.strange(visible) == [f"{twice} is on 2 disks", f"{back} was deleted"]
