"""The small array on which one thing at a time goes wrong."""

from pathlib import Path

import pytest

from acceptance.sample_lab import Scene, write_folders
from lab import MakeDisk, RunProgram, StartProgram


@pytest.fixture
def scene(make_disk: MakeDisk, run_program: RunProgram, start_program: StartProgram, state: Path) -> Scene:
    """Three disks, of which the first holds ten films and the others nothing."""
    options = "noatime,errors=remount-ro"
    roots = [make_disk("ext4", size, f"disk{n}", options=options) for n, size in enumerate((64, 48, 48), start=1)]
    write_folders(roots[0], 10, size=4 * 2**20)
    return Scene(roots, state, run_program, start_program)
