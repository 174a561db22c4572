"""An array of real file systems behind a real dashboard, looked at with a real browser."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from lab import MakeDisk, RunProgram
from lab.browser import PATIENCE, Visit, browser, visit
from lab.dashboard import Dashboard, dashboard

expect.set_options(timeout=PATIENCE)
FILMS, SIZE = 14, 6_000_000  # on the first disk


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser that is gone before tests of other modules: its driver has children and an event loop in this process."""
    with browser() as launched:
        yield launched


@pytest.fixture
def array(make_disk: MakeDisk) -> list[Path]:
    """Three disks with file systems of their own; the first holds fourteen films, the others are empty."""
    disks = [make_disk("xfs", 300, "disk1"), make_disk("ext4", 200, "disk2"), make_disk("btrfs", 250, "disk3")]
    for number in range(1, FILMS + 1):
        folder = disks[0] / "films" / f"Film {number} <b>&amp;</b>"
        folder.mkdir(parents=True)
        (folder / "film.mkv").write_bytes(os.urandom(SIZE))
    return disks


@pytest.fixture
def served(array: list[Path], state: Path, run_program: RunProgram) -> Iterator[Dashboard]:
    config = state / "config"
    config.mkdir(mode=0o700)
    (config / "config.toml").write_text("".join(f'[[disk]]\npath = "{disk}"\nreserve = "5MB"\n' for disk in array))
    (config / "config.toml").chmod(0o600)
    with dashboard(state) as serving:
        yield serving
    run_program("--emergency-stop", exit_code=0)  # what a failed test left at work would keep the disks busy


@pytest.fixture
def somebody(chromium: Browser, served: Dashboard) -> Iterator[Visit]:
    """A person who is logged in; at the end nothing may have gone wrong in his browser."""
    with visit(chromium, served) as opened:
        opened.log_in(served.password)
        yield opened
        assert opened.wrong == []
