"""Debian's real cron daemon and crontab program, with a spool of their own in the test run's own mount namespace."""

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.cron import own_daemon, own_spool
from rebalancer.schedules.cron import CronManager
from rebalancer.schedules.daemons import Daemon, which_daemon
from rebalancer.schedules.schedule import Schedule

PROGRAM = """\
import os, sys
with open(os.environ.get("NOWHERE", {out!r}), "a") as file:
    file.write(" ".join(sys.argv[1:]) + chr(10))
"""

pytestmark = [
    pytest.mark.needs_mounts,
    pytest.mark.needs_tool("cron", "crontab"),
    pytest.mark.xdist_group("cron daemon"),
]


@pytest.fixture
def spool(tmp_path: Path, mounts: ExitStack) -> Path:
    return own_spool(tmp_path, mounts)


@pytest.fixture
def daemon(spool: Path, tmp_path: Path, mounts: ExitStack) -> Iterator[subprocess.Popen[bytes]]:
    with own_daemon(tmp_path, mounts) as running:
        yield running


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CronManager:
    monkeypatch.setenv("REBALANCER_RUNTIME_DIR", str(tmp_path / "it's 100 % run"))
    program = tmp_path / "the program's 50 % off.py"
    program.write_text(PROGRAM.format(out=str(tmp_path / "out")))
    return CronManager(program, tmp_path / "con fig%d")


def test_the_real_crontab_takes_our_lines_and_keeps_the_others(spool: Path, manager: CronManager) -> None:
    before = b"# mine\r\nMAILTO=''\n5 5 * * * true \\% x\n"
    subprocess.run(["crontab", "-"], input=before, check=True)

    manager.install(Schedule(schedule_id="nightly", cron="15 4 * * *"))
    table = (spool / "root").read_bytes()
    manager.install(Schedule(schedule_id="nightly", cron="15 4 * jan sun"))
    changed = manager.installed()
    manager.remove("nightly")

    assert table.endswith(before)
    assert changed["nightly"].startswith("15 4 * 1 0 ")
    assert (
        (spool / "root").read_bytes().endswith(b")\n" + before)
    )  # nothing between crontab's own heading and the user's


def test_the_first_line_comes_where_there_was_no_crontab(spool: Path, manager: CronManager) -> None:
    assert manager.installed() == {}

    assert manager.synchronize([Schedule(schedule_id="nightly", cron="15 4 * * *")]) == [
        "nightly: added to the crontab"
    ]
    assert list(manager.installed()) == ["nightly"]


def test_the_daemon_of_this_machine_is_debians() -> None:
    assert which_daemon(Path("/")) is Daemon.DEBIAN


def test_debians_cron_fires_the_line_once_at_its_minute(
    daemon: subprocess.Popen[bytes], manager: CronManager, tmp_path: Path
) -> None:
    # the daemon looks at its spool at the beginning of a minute
    due = datetime.fromtimestamp((time.time() + 5) // 60 * 60 + 60, UTC)
    cron = f"{due.astimezone().minute} {due.astimezone().hour} * * *"

    manager.install(Schedule(schedule_id="nightly", cron=cron))
    out = tmp_path / "out"
    while not out.exists():
        assert time.time() < due.timestamp() + 10, "the daemon did not fire"
        assert daemon.poll() is None
        time.sleep(0.1)
    fired_at = time.time()
    time.sleep(2)

    config = shlex.join(["--config-dir", str(tmp_path / "con fig%d")]).replace("'", "")
    assert out.read_text() == f"{config} --quiet schedule run nightly --fired-by cron\n"
    assert 0 <= fired_at - due.timestamp() < 10
    assert sys.executable.startswith("/")
