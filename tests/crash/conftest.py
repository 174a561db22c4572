"""Disks in memory for the campaigns: what waits for a disk here would only cost time, and every state is copied often."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

import lab
from crash.scenarios import Scenario
from crash.stage import Stage
from lab import needs

SIZES = {"tmpfs": 64, "ext4": 64, "xfs": 300, "btrfs": 128}  # MiB; room for the largest scenario twice

SetStage = Callable[..., Stage]


@pytest.fixture
def ram(tmp_path: Path, mounts: ExitStack) -> Path:
    """A folder in memory that holds the images of disks."""
    needs.demand(needs.lacking_mounts())
    return mounts.enter_context(lab.disk(tmp_path / "ram", "tmpfs", 4096))


@pytest.fixture
def set_stage(tmp_path: Path, ram: Path, mounts: ExitStack) -> SetStage:
    """``set_stage(scenario, "ext4", "xfs")``: the scenario on two new disks of these file systems."""

    def make(scenario: Scenario, source: str, destination: str | None = None) -> Stage:
        disks = []
        for name, file_system in (("disk1", source), ("disk2", destination or source)):
            needs.demand(needs.lacking_mounts() if file_system == "tmpfs" else needs.lacking_loop_disks(file_system))
            disks.append(mounts.enter_context(lab.disk(ram / name, file_system, SIZES[file_system])))
        return Stage(tmp_path / "stage", disks[0], disks[1], scenario)

    return make
