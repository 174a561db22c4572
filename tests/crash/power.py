"""Power cuts: what each disk may hold when the power goes, whatever the other one holds.

A disk in memory that is cut holds what was flushed to its image. How much more it holds is luck, so three levels are
looked at: nothing more; the journal as an unrelated flush commits it, without the data of others; everything. Two
disks have their luck apart from each other, which is worse than one machine that stops.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import product
from pathlib import Path

from crash.conftest import SIZES
from crash.figures import Figures
from crash.scenarios import Scenario
from crash.stage import OWN, Stage, count
from lab import disk, snapshot
from lab.aftermath import judge
from lab.disks import copy_image, mounted
from lab.originals import Originals
from rebalancer import linux


class Level(Enum):
    """How much of what was written a disk holds when the power goes."""

    FLUSHED = "min"
    JOURNAL = "mid"
    EVERYTHING = "max"


def cut(at: Path) -> dict[Level, Path]:
    """Return images of what a mounted disk may hold if the power went now; by and by it is flushed by this."""
    images = {}
    root = os.open(at, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for level in Level:
            if level is Level.JOURNAL:
                with (at / ".flushed").open("wb") as other:
                    os.fsync(other.fileno())
            if level is Level.EVERYTHING:
                linux.sync_file_system(root)
            images[level] = copy_image(at.with_suffix(".img"), at.with_name(f"{at.name}-{level.value}.img"))
    finally:
        os.close(root)
    return images


@dataclass(frozen=True, slots=True)
class Medium:
    """The file systems of source and destination, and how they are mounted."""

    source: str
    destination: str
    options: str = "noatime"

    def __str__(self) -> str:
        kind = self.source if self.source == self.destination else f"{self.source} -> {self.destination}"
        return kind if self.options == "noatime" else f"{kind} ({self.options.removeprefix('noatime,')})"


@dataclass(eq=False)
class PowerLab:
    """Makes one scenario's disks anew for every cut, and judges every combination of what they may hold."""

    ram: Path  # a folder in memory, for images and mounts
    medium: Medium
    scenario: Scenario
    stage: Stage = field(init=False)
    known: set[str] = field(default_factory=set)  # states from which recovery was tried

    def __post_init__(self) -> None:
        with ExitStack() as disks:
            for number, file_system in self._kinds:
                disks.enter_context(disk(self._golden(number), file_system, SIZES[file_system]))
            self.stage = Stage(self.ram / "stage", self._golden(1), self._golden(2), self.scenario)
        self.stage.source, self.stage.destination = self._at(1), self._at(2)

    def calls(self) -> int:
        """Return how many changes an undisturbed move makes."""
        with self._disks():
            self.stage.recover()  # what Python compiles at the first use is no part of the work
        with self._disks():
            made = len(self.stage.run().calls)
            assert self.stage.problems() == []
        return made

    def cut_at(self, number: int, figures: Figures, *, recover: bool) -> None:
        """Cut the power before the n-th change; judge what the disks may hold, and recover from it if wanted."""
        images: dict[tuple[int, Level], Path] = {}
        with self._disks():
            figures.points += 1
            figures.fired += self.stage.run(at=[number]).was_killed
            for disk_number, _ in self._kinds:
                images |= {(disk_number, level): image for level, image in cut(self._at(disk_number)).items()}
        held = {key: self._snapshot(image, key[0]) for key, image in images.items()}
        for pair in product(Level, Level):
            here, there = held[1, pair[0]], held[2, pair[1]]
            count(figures, judge([here, there], self.stage.originals))
            if recover and (state := repr((here, there))) not in self.known:
                self.known.add(state)
                self._recover(images[1, pair[0]], images[2, pair[1]], figures)
        for image in images.values():
            image.unlink()

    @property
    def _kinds(self) -> tuple[tuple[int, str], tuple[int, str]]:
        return (1, self.medium.source), (2, self.medium.destination)

    def _at(self, number: int) -> Path:
        return self.ram / f"disk{number}"

    def _golden(self, number: int) -> Path:
        return self.ram / f"golden{number}"

    @contextmanager
    def _disks(self, images: tuple[Path, Path] | None = None) -> Iterator[None]:
        """Mount copies of these images, or of the disks before the move, and plan for them."""
        with ExitStack() as disks:
            for number, file_system in self._kinds:
                image = images[number - 1] if images else self._golden(number).with_suffix(".img")
                copy = copy_image(image, self._at(number).with_suffix(".img"))
                disks.enter_context(mounted(copy, self._at(number), file_system, options=self.medium.options))
            self.stage.plan()
            yield

    def _snapshot(self, image: Path, number: int) -> Originals:
        with mounted(image, self.ram / "look", self._kinds[number - 1][1]) as at:
            return snapshot(at, ignore=OWN)

    def _recover(self, source: Path, destination: Path, figures: Figures) -> None:
        with self._disks((source, destination)):
            figures.note("states recovered from")
            self.stage.judge_recovery(figures)
