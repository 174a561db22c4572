"""Unraid's events reach the program: the array's stop ends what runs, its start gives cron the schedules back."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lab
from lab import disks as lab_disks
from lab.needs import PLACES
from lab.processes import wait_until
from unraid import stopping_lab
from unraid.stopping_lab import Stage

EVENTS = Path(__file__).parents[2] / "deploy/unraid/event"
pytestmark = [pytest.mark.needs_loop_disks("ext4")]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stopping_lab.stage(tmp_path) as made:
        yield made


def happens(event: str, stage: Stage) -> float:
    """Run the script as emhttpd does, with the program of this checkout; returns the seconds that emhttpd would wait."""
    program = stage.state / "bin/unraid-rebalancer"
    line = " ".join(f"'{part}'" for part in lab.command_line("--root", stage.server.root))
    program.write_text(f'#!/bin/bash\nexec {line} "$@"\n')
    program.chmod(0o755)
    variables = lab.environment(stage.state) | {"REBALANCER_PROGRAM": str(program)}
    begun = time.monotonic()
    done = subprocess.run(
        [EVENTS / event, event],
        env=variables | {"PATH": f"{variables['PATH']}:{PLACES}"},
        cwd=stage.disks[0],
        check=False,
    )
    assert done.returncode == 0
    return time.monotonic() - begun


def is_over(stage: Stage) -> bool:
    return all(process.poll() is not None for process in stage.running)


def test_stopping_returns_at_once_and_ends_what_runs(stage: Stage) -> None:
    stopping_lab.copying(stage)

    waited = happens("stopping", stage)

    wait_until(lambda: is_over(stage))
    (record,) = stage.records()
    assert waited < 1
    assert (record["status"], record["exit_code"], record["cause"]) == ("cancelled", 130, "array stop")
    assert record["error_message"] == "the array is being stopped"
    assert [path for disk in stage.disks for path in disk.glob("**/.rebalancer-*")] == []


def test_unmounting_disks_returns_when_nothing_of_ours_lives_any_more(stage: Stage) -> None:
    stopping_lab.copying(stage)

    happens("unmounting_disks", stage)

    assert not stage.is_anything_open()
    for disk in stage.disks:
        lab_disks.call("umount", str(disk))
    assert [record["cause"] for record in stage.records()] == ["array stop"]


def test_disks_mounted_gives_cron_the_lines_that_a_restart_took(stage: Stage) -> None:
    stage.schedule()
    table = stage.server.root / "etc/cron.d/root"
    file = stage.server.config / "unraid-rebalancer.cron"
    before = file.read_bytes()
    calls = len([call for call in stage.server.calls if call.startswith("update_cron")])
    table.write_text("# what Unraid itself wants to be done\n")

    happens("disks_mounted", stage)

    wait_until(lambda: b"schedule run nightly" in table.read_bytes())
    assert file.read_bytes() == before
    assert len([call for call in stage.server.calls if call.startswith("update_cron")]) == calls + 1


@pytest.mark.parametrize("event", sorted(os.listdir(EVENTS)))
def test_an_event_does_nothing_where_the_program_is_missing(event: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [EVENTS / event, event],
        env={"PATH": os.defpath, "REBALANCER_PROGRAM": str(tmp_path / "nothing")},
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
