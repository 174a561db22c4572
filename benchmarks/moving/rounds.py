"""Rounds: everybody moves the same tree on the same disks in turn, each round in another order."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from moving import accounts, media
from moving.accounts import Account
from moving.contenders import Contender, Job
from moving.media import Medium
from moving.trees import SHARE, Tree


@dataclass(slots=True)
class Race:
    """One tree on one medium: the accounts of every contender, in the order of the rounds."""

    tree: Tree
    medium: Medium
    runs: dict[str, list[Account]] = field(default_factory=dict)
    shares: dict[str, int] = field(default_factory=dict)

    def seconds(self, name: str) -> list[float]:
        return [run.seconds * self.shares.get(name, 1) for run in self.runs[name]]

    def processor(self, name: str) -> float:
        """Median seconds of a processor."""
        return median(run.processor for run in self.runs[name]) * self.shares.get(name, 1)

    def ratios(self, name: str, ours: str) -> list[float]:
        """How many times longer a rival took than ours did, round by round."""
        return [theirs / own for theirs, own in zip(self.seconds(name), self.seconds(ours), strict=True)]


def race(
    folder: Path,
    tree: Tree,
    medium: Medium,
    contenders: Sequence[Contender],
    *,
    rounds: int,
    say: Callable[[str], None],
) -> Race:
    """Run all rounds; raises AssertionError when a contender did not do what it claims."""
    found = Race(tree, medium, shares={one.name: one.share for one in contenders})
    media.touch_memory(folder, 3 * tree.room)
    state = folder / "state"
    state.mkdir(exist_ok=True)
    try:
        with media.pair(folder, medium, tree.room) as pair:
            job = Job(pair, state)
            for number in range(rounds):
                turn = number % len(contenders)
                for one in [*contenders[turn:], *contenders[:turn]]:
                    account = trial(job, tree, one)
                    found.runs.setdefault(one.name, []).append(account)
                    say(f"{tree.name}, {medium.name}, round {number + 1}: {one.name} {account.seconds:.2f} s")
    finally:
        shutil.rmtree(state)
    return found


def trial(job: Job, tree: Tree, one: Contender) -> Account:
    """Let one contender move a fresh tree; raises AssertionError when it did not do what it claims."""
    ready(job, tree)
    command = one.prepare(job)
    media.drop_caches()
    with job.pair.limited():
        account = accounts.run(
            command,
            destination=job.destination if one.is_flushed else None,
            variables=job.variables,
        )
    _check(job, tree, one)
    return account


def ready(job: Job, tree: Tree) -> None:
    """Make both disks anew and fill the source."""
    job.pair.renew()
    tree.make(job.source)
    media.sync(job.source)


def _check(job: Job, tree: Tree, one: Contender) -> None:
    """Look whether a contender did what it claims; contents are the business of the tests."""
    if one.gives:
        assert weigh(job.destination) == (tree.files, tree.size), f"{one.name} did not bring everything"
    if one.takes:
        assert weigh(job.source) == (0, 0), f"{one.name} left something behind"


def weigh(root: Path) -> tuple[int, int]:
    """Return how many files and bytes the share has."""
    found = [
        os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(root / SHARE) for name in names
    ]
    return len(found), sum(found)
