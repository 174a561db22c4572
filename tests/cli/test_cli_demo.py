"""The demo as people run it: a process of its own in a temporary folder that has to be empty afterwards."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def _start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "rebalancer", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def test_the_demo_balances_its_sample_proves_it_and_keeps_nothing(tmp_path: Path) -> None:
    demo = _start(tmp_path, "--json")
    out, err = demo.communicate(timeout=120)

    document = json.loads(out)
    percents = [100 * disk["used_bytes"] / disk["size_bytes"] for disk in document["disks_after"]]
    assert (demo.returncode, err) == (0, "")
    assert document["status"] == "completed"
    assert document["files"] > 2000
    assert document["moves_done"] == document["moves_planned"] > 10
    assert document["proof"] == {"is_clean": True, "lost": [], "doubled": [], "changed": [], "appeared": []}
    assert document["spread_before"] > 80
    assert max(percents) - min(percents) < 1.5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0.5, 5.0])
def test_a_demo_that_is_interrupted_keeps_nothing_either(tmp_path: Path, number: int, seconds: float) -> None:
    demo = _start(tmp_path)
    _wait_for_the_folder(tmp_path)
    time.sleep(seconds)
    demo.send_signal(number)
    out, err = demo.communicate(timeout=60)

    assert demo.returncode == 130 or "The sample is removed" in out
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_demo_without_room_says_how_much_it_needs(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
         'mount -t tmpfs -o size=9m none "$1" && TMPDIR="$1" exec "$2" -m rebalancer demo', "sh",
         str(tmp_path), sys.executable],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert mounted.returncode == 4
    assert mounted.stderr.startswith("unraid-rebalancer: the demo needs 700 MB in ")


def _wait_for_the_folder(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while not list(folder.iterdir()):
        assert time.monotonic() < deadline, "the demo did not begin"
        time.sleep(0.05)
