"""A dashboard for a whole file of tests: two small disks, one slow schedule that nothing fires by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.cron import put_crontab_on_path
from lab.dashboard import Dashboard, dashboard
from lab.program import run

SCHEDULE = ("--cron", "0 3 1 1 *", "--bandwidth-limit", "100kB/s", "--reserve", "1MB")


@contextmanager
def standing(folder: Path, *words: str, settings: str = "") -> Iterator[Dashboard]:
    """Serve with state and disks below a folder; ``settings`` come before those that name the disks."""
    state = prepared(folder, settings=settings)
    with dashboard(state, *words) as serving:
        yield serving


def prepared(folder: Path, *, settings: str = "") -> Path:
    """Make the disks and the schedule ``slow``, which moves 2.4 MB at 100 kB/s; returns the state folder."""
    disks = [folder / "disk1", folder / "disk2"]
    for disk in disks:
        disk.mkdir()
    for number in range(6):
        film = disks[0] / "films" / f"film {number}"
        film.mkdir(parents=True)
        (film / "film.mkv").write_bytes(bytes([number]) * 400_000)
    state = folder / "state"
    config = state / "config"
    config.mkdir(mode=0o700, parents=True)
    put_crontab_on_path(state)
    named = "".join(f'[[disk]]\npath = "{disk}"\nsize = "10MB"\n' for disk in disks)
    (config / "config.toml").write_text(f"{settings}\n{named}")
    (config / "config.toml").chmod(0o600)
    run("schedule", "create", "slow", *SCHEDULE, state=state, exit_code=0)
    return state
