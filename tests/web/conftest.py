"""A dashboard over two folders that stand for disks, with a schedule and something to move."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lab import RunProgram
from lab.dashboard import Dashboard, dashboard

FILES, SIZE = 6, 400_000


@pytest.fixture
def disks(tmp_path: Path) -> list[Path]:
    """Two disks of 10 MB each, the first with six films of 400 kB."""
    found = [tmp_path / "disk1", tmp_path / "disk2"]
    for disk in found:
        disk.mkdir()
    for number in range(FILES):
        folder = found[0] / "films" / f"film {number}"
        folder.mkdir(parents=True)
        (folder / "film.mkv").write_bytes(bytes([number]) * SIZE)
    return found


@pytest.fixture
def configured(state: Path, disks: list[Path]) -> Path:
    """The settings that name the disks; returns the configuration folder."""
    config = state / "config"
    config.mkdir(mode=0o700)
    named = "".join(f'[[disk]]\npath = "{disk}"\nsize = "10MB"\n' for disk in disks)
    (config / "config.toml").write_text(named)
    (config / "config.toml").chmod(0o600)
    return config


@pytest.fixture
def served(configured: Path, state: Path, run_program: RunProgram) -> Iterator[Dashboard]:
    """The dashboard with one slow schedule, ``slow``, that nothing fires by itself while the test runs."""
    run_program(
        "schedule", "create", "slow", "--cron", "0 3 1 1 *", "--bandwidth-limit", "100kB/s", "--reserve", "1MB",
        exit_code=0,
    )  # fmt: skip
    with dashboard(state) as serving:
        yield serving


@pytest.fixture
def person(served: Dashboard) -> Iterator[httpx.Client]:
    """Somebody who is logged in."""
    with served.person() as client:
        yield client
