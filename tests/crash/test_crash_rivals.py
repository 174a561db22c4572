"""Whoever works on a file while it is moved finds afterwards what they left, wherever it is."""

from collections.abc import Callable

import pytest

from crash import rivals
from crash.conftest import SetStage
from crash.figures import Figures
from crash.rivals import DEEDS, Deed
from crash.scenarios import SCENARIOS


@pytest.mark.parametrize("act", DEEDS, ids=lambda act: act.__name__)
def test_a_rival_who_acts_before_any_change_loses_nothing(set_stage: SetStage, act: Callable[[Deed], None]) -> None:
    figures = Figures("Q1", "a rival acts at every change", "tmpfs")

    rivals.act_at_each_call(rivals.remember(set_stage(SCENARIOS[0], "tmpfs")), figures, "s/u/it", act)

    figures.publish()


@pytest.mark.long
@pytest.mark.parametrize("medium", ["ext4", "xfs", "btrfs"])
@pytest.mark.parametrize("act", DEEDS, ids=lambda act: act.__name__)
def test_a_rival_among_several_files_loses_nothing(
    set_stage: SetStage, act: Callable[[Deed], None], medium: str
) -> None:
    figures = Figures("L2", "a rival acts at every change", medium)

    rivals.act_at_each_call(rivals.remember(set_stage(SCENARIOS[1], medium)), figures, "s/u/deep/two", act)

    figures.publish()
