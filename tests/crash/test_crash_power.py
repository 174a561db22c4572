"""The power goes before any change of a move, and each disk keeps what it happens to have kept: nothing is lost."""

from pathlib import Path

import pytest

from crash.figures import Figures
from crash.power import Medium, PowerLab
from crash.scenarios import SCENARIOS, Scenario
from lab import needs

QUICK = (Medium("ext4", "ext4"), Medium("xfs", "xfs"))
MEDIA = (
    *QUICK,
    Medium("btrfs", "btrfs"),
    Medium("ext4", "xfs"),
    Medium("xfs", "btrfs"),
    Medium("ext4", "ext4", "noatime,data=writeback"),
    Medium("ext4", "ext4", "noatime,nodelalloc"),
)
THREE_FILES = SCENARIOS[1]


def demand(medium: Medium) -> None:
    for file_system in (medium.source, medium.destination):
        needs.demand(needs.lacking_loop_disks(file_system))


@pytest.mark.parametrize("medium", QUICK, ids=str)
def test_a_power_cut_loses_nothing_whatever_each_disk_kept(ram: Path, medium: Medium) -> None:
    demand(medium)
    figures, power = (
        Figures("Q3", "power cut, two disks at three levels each", str(medium)),
        PowerLab(ram, medium, THREE_FILES),
    )

    for number in range(1, power.calls() + 1, 3):
        power.cut_at(number, figures, recover=False)

    figures.publish()


@pytest.mark.long
@pytest.mark.parametrize("medium", MEDIA, ids=str)
@pytest.mark.parametrize("scenario", [SCENARIOS[number] for number in (1, 2, 3, 7, 8, 10)], ids=str)
def test_a_power_cut_at_any_change_loses_nothing_and_is_recovered_from(
    ram: Path, medium: Medium, scenario: Scenario
) -> None:
    demand(medium)
    figures, power = (
        Figures("L3", "power cut, two disks at three levels each", str(medium)),
        PowerLab(ram, medium, scenario),
    )

    step = 2 if medium in MEDIA[:3] else 4  # unlike pairs and rarer options are looked at half as closely
    for number in range(1, power.calls() + 1, step):
        power.cut_at(number, figures, recover=True)

    figures.publish()
