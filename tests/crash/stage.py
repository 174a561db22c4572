"""Two disks with a scenario on them, the worker that moves it, and what must be true before, during and after."""

import io
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

import lab
from crash import tracing
from crash.figures import Figures
from crash.scenarios import Scenario
from crash.tracing import Ended
from lab.aftermath import Aftermath, look, own_names
from lab.originals import Originals
from rebalancer.planning.selection import Verification
from rebalancer.transfer import commit, undo, worker
from rebalancer.transfer.messages import Finished, Left, Message
from transfer.bench import Bench

STARTS = 3  # within so many starts everything must be as if nothing had happened
OWN = frozenset({b"lost+found", b".flushed"})  # names at the top of a disk that are not the scenario's


@dataclass(eq=False)
class Stage:
    """A scenario between two mounted disks; `work` is the real worker's whole life, for a child to live."""

    folder: Path  # for the operation and the worker's messages; never on one of the disks
    source: Path
    destination: Path
    scenario: Scenario
    verify: Verification = Verification.FULL
    change: Callable[[], object] = lambda: None  # plants a fault in the worker's own code, in the child only
    is_alone: bool = True  # nobody else uses the disks, so nobody is waited for
    operation: Path = field(init=False)
    before: tuple[Originals, Originals] = field(init=False)
    originals: Originals = field(init=False)
    contents: dict[bytes, bytes] = field(default_factory=dict)  # by path; where only content is compared

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.set_up()
        self.plan()
        self.before = self._snapshots()
        self.originals = self.before[1] | self.before[0]

    @property
    def disks(self) -> tuple[Path, Path]:
        return self.source, self.destination

    def set_up(self) -> None:
        """Put the scenario on the disks anew."""
        for root in self.disks:
            clear(root)
        self.scenario.write(*self.disks)

    def plan(self) -> None:
        """Write the operation, for the disks as they are mounted now."""
        bench = Bench(self.folder, verify=self.verify)
        self.operation = bench.operation(self.scenario.units, *self.disks)

    # -- the worker -------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Turn this process, which must be a child, into a worker: it does not come back as it was."""
        if self.is_alone:
            for module in (commit, undo):
                vars(module)["LOOK_AGAIN"] = 0.0
        self.change()
        output = os.open(self.folder / "messages", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        sys.stdout = io.TextIOWrapper(io.FileIO(output, "wb"), write_through=True)

    def work(self, *flags: str) -> int:
        """Live the worker's life, in a process that was prepared for it."""
        return worker.main([*flags, str(self.operation)])

    def run(self, *flags: str, **how: Any) -> Ended:
        """Run the worker in a child that is traced as `tracing.run` says."""
        return tracing.run(lambda: self.work(*flags), prepare=self.prepare, **how)

    def recover(self) -> None:
        """Start the worker as the next run does: what was begun is finished first, then comes the rest."""
        in_child(self.prepare, lambda: self.work("--only-begun"))
        in_child(self.prepare, self.work)

    def is_untouched(self) -> bool:
        """Return whether all is as it was set up."""
        pairs = zip(self.before, self._snapshots(), strict=True)
        return not any(lab.difference(before, now, ignore_folder_times=True) for before, now in pairs)

    def said(self) -> tuple[Finished | None, list[Left]]:
        """Return the last worker's closing message, if it lived to say it, and what it left."""
        finished, left = None, []
        for line in (self.folder / "messages").read_bytes().splitlines():
            with suppress(msgspec.DecodeError):  # a line that was cut short by a kill
                message = msgspec.json.decode(line, type=Message)
                finished = message if isinstance(message, Finished) else finished
                left += [message] if isinstance(message, Left) else []
        return finished, left

    # -- judging ----------------------------------------------------------------------------------------------------

    def judge(self, figures: Figures) -> Aftermath:
        """Count what is lost and half in the state that a fault left."""
        found = look(self.disks, self.originals)
        count(figures, found)
        return found

    def judge_recovery(self, figures: Figures) -> None:
        """Recover until all is as it must be; more starts than `STARTS` count as not recovered."""
        problems: list[str] = []
        for starts in range(1, STARTS + 1):
            self.recover()
            if not (problems := self.problems()):
                figures.note(f"recovered in {starts} starts", 1)
                return
        figures.unrecovered += 1
        print(f"{self.scenario}: {problems}")  # noqa: T201 - shown with the failure

    def problems(self) -> list[str]:
        """Return what is not as after an undisturbed run; nothing when all is."""
        found = [f"left over: {name!r}" for name in own_names(self.disks)]
        here = lab.snapshot(self.source, ignore=OWN)
        found += [f"still at the source: {path!r}" for path, entry in here.items() if entry.kind != "folder"]
        found += [f"still at the source: {unit}" for unit in self.scenario.units if (self.source / unit).exists()]
        if not found:
            together = lab.snapshot_array(self.disks, ignore=OWN)
            found += lab.difference(self.originals, together, ignore_folder_times=True)
        return found

    def _snapshots(self) -> tuple[Originals, Originals]:
        return lab.snapshot(self.source, ignore=OWN), lab.snapshot(self.destination, ignore=OWN)


def count(figures: Figures, found: Aftermath) -> None:
    """Add one judged state. A file that only a hidden folder holds counts as lost: nobody can see it."""
    figures.states += 1
    figures.lost += len(found.lost) + len(found.only_hidden)
    figures.half += len(found.halves)
    if found.lost or found.only_hidden or found.halves:
        print(f"lost {found.lost}, invisible {found.only_hidden}, half {found.halves}")  # noqa: T201 - shown with the failure


def in_child(prepare: Callable[[], object], work: Callable[[], object]) -> None:
    """Do something in a child of this process, and fail unless it went well."""
    child = os.fork()
    if child == 0:
        tracing.live(prepare, work)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the worker failed by itself: {status}"


def clear(root: Path) -> None:
    """Empty a disk of the test's own."""
    assert os.path.ismount(root)
    for path in root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
