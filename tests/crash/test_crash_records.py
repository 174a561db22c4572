"""Records and the journal over power cuts: the old one or the new one, and what was said to be durable is."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

import lab
from crash import tracing
from crash.conftest import SIZES
from crash.figures import Figures
from crash.mutants import record_not_flushed
from crash.power import Level, cut
from lab import disks, needs
from rebalancer import records
from rebalancer.errors import DamagedRecordError, NotFoundError

OLD: dict[str, object] = {"number": 1}
NEW: dict[str, object] = {"number": 2, "words": "x" * 3_000}
MEDIA = ("ext4", "xfs", "btrfs")


@dataclass(eq=False)
class RecordLab:
    """Writes one record on a disk that loses its power, and reads what is there afterwards."""

    ram: Path
    file_system: str
    old: dict[str, object] | None  # what stood there before; None when there was none
    change: Callable[[], None] = lambda: None  # plants a fault, in the child only

    def __post_init__(self) -> None:
        with lab.disk(self.ram / "golden", self.file_system, SIZES[self.file_system]) as at:
            (at / "state").mkdir()
            if self.old is not None:
                records.write(at / "state/record.json", self.old)

    def read_after_cut(self, number: int | None) -> tuple[bool, dict[Level, object]]:
        """Cut the power before the n-th change of the writing, or right after it returned; read at every level."""
        at, image = self.ram / "disk", self.ram / "golden.img"
        with ExitStack() as mounts:
            mounts.enter_context(lab.disk_copy(image, at, self.file_system))
            ended = tracing.run(
                lambda: records.write(at / "state/record.json", NEW), at=[number] if number else [], prepare=self.change
            )
            images = cut(at)
        return ended.was_killed, {level: self._read(held) for level, held in images.items()}

    def _read(self, image: Path) -> object:
        with disks.mounted(image, self.ram / "look", self.file_system) as at:
            try:
                return records.read(at / "state/record.json", dict)
            except NotFoundError:
                return None
            except DamagedRecordError as error:
                return str(error)


@pytest.mark.parametrize("old", [None, OLD], ids=["first", "replaced"])
@pytest.mark.parametrize("file_system", MEDIA)
def test_a_power_cut_leaves_the_old_record_or_the_new_one(
    ram: Path, file_system: str, old: dict[str, object] | None
) -> None:
    needs.demand(needs.lacking_loop_disks(file_system))
    record, figures = (
        RecordLab(ram, file_system, old),
        Figures("Q7", "power cut while a record is written", file_system),
    )

    number, was_killed = 1, True
    while was_killed:
        was_killed, found = record.read_after_cut(number)
        figures.points += was_killed
        figures.fired += was_killed
        figures.states += len(found)
        figures.half += sum(one not in (old, NEW) for one in found.values())
        number += 1

    assert all(one == NEW for one in found.values())  # nobody was killed: it was said to be durable
    figures.publish()


def test_a_record_that_is_not_flushed_is_caught(ram: Path) -> None:
    needs.demand(needs.lacking_loop_disks("xfs"))

    _, found = RecordLab(ram, "xfs", OLD, change=record_not_flushed).read_after_cut(None)

    assert found[Level.EVERYTHING] == NEW
    assert found[Level.FLUSHED] != NEW
    Figures("Q4", "planted faults, each caught", "", points=1, fired=1, notes={"record_not_flushed": 1}).publish()
