"""Unraid stops its array while the program is at work: the disks can be unmounted in seconds, whatever it was doing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from unraid import stopping_lab
from unraid.stopping_lab import PHASES, Stage

pytestmark = [pytest.mark.needs_loop_disks("ext4"), pytest.mark.needs_tool("strace")]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stopping_lab.stage(tmp_path) as made:
        yield made


@pytest.mark.parametrize("phase", PHASES)
def test_the_disks_can_be_unmounted_soon_after_the_array_began_to_stop(stage: Stage, phase: str) -> None:
    PHASES[phase](stage)

    stopped = stage.stop_array()

    last = stopped.records[-1]
    assert stopped.unmounted < 5, stopped  # as a rule half a second; a busy machine is given more
    assert (last["status"], last["exit_code"], last["cause"]) == ("cancelled", 130, "array stop")
    assert (last["error_message"], last["actor"]) == ("the array is being stopped", "Unraid")
    assert [process.returncode for process in stage.running] == [130] * len(stage.running)
