"""Processes are told apart beyond doubt, and nobody else is ever signalled."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.processes import canary, wait_until
from rebalancer.errors import RefusedError
from rebalancer.executions.execution import ProcessIdentity
from rebalancer.executions.process import ProvenProcess, identity_of, is_alive


def test_a_living_process_is_known_again(tmp_path: Path) -> None:
    with canary(tmp_path, marked=True) as bird:
        assert is_alive(bird.identity)
        with ProvenProcess(bird.identity) as process:
            assert not process.has_ended


def test_this_process_is_alive_to_itself() -> None:
    assert is_alive(identity_of(os.getpid(), ""))


@pytest.mark.parametrize(
    "change",
    [
        {"boot_id": "00000000-0000-0000-0000-000000000000"},
        {"start_ticks": 1},
        {"pid_namespace": 1},
        {"pidfd_inode": 1},
        {"token": "another"},
        {"pid": 2**22},
        {"pid": -1},
        {"pid": 0},
        {"pid": 2**40},
    ],
    ids=str,
)
def test_whoever_differs_in_one_mark_is_neither_alive_nor_signalled(tmp_path: Path, change: dict[str, Any]) -> None:
    with canary(tmp_path, marked=True) as bird:
        changed = replace(bird.identity, **change)

        assert not is_alive(changed)
        with pytest.raises((ProcessLookupError, RefusedError)):
            ProvenProcess(changed)
        assert bird.signals == []


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    with canary(tmp_path, marked=True) as bird:
        identity = bird.identity
        os.kill(bird.pid, signal.SIGKILL)
        wait_until(lambda: Path(f"/proc/{bird.pid}/stat").read_text().split(")")[-1].split()[0] == "Z")

        assert not is_alive(identity)
        with ProvenProcess(identity) as process:
            assert process.has_ended
            process.ask_to_stop()
        with pytest.raises(ProcessLookupError):
            identity_of(bird.pid, "")


@pytest.mark.parametrize("pid", [1, os.getpid(), os.getppid()], ids=["first", "own", "parent"])
def test_the_first_process_ourselves_and_our_ancestors_are_never_signalled(pid: int) -> None:
    with pytest.raises(RefusedError, match="not one that this program may signal"):
        ProvenProcess(replace(identity_of(os.getpid(), ""), pid=pid))


@pytest.mark.needs_root
def test_a_process_of_another_user_is_refused_although_root_could_signal_it() -> None:
    stranger = subprocess.Popen(["sleep", "60"], user=65534, group=65534, extra_groups=[])
    try:
        identity = identity_of(stranger.pid, "")

        with pytest.raises(RefusedError, match="belongs to another user"):
            ProvenProcess(identity)
        assert is_alive(identity)
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.needs_root
def test_without_root_a_process_of_root_is_refused_in_words(tmp_path: Path) -> None:
    with canary(tmp_path) as bird:
        identity = bird.identity
        code = f"""
import os
from rebalancer.errors import RefusedError
from rebalancer.executions.execution import ProcessIdentity
from rebalancer.executions.family import stop_family
os.setgroups([]); os.setgid(65534); os.setuid(65534)
stopped = stop_family({identity!r}, grace=0.2, patience=0.2)
print(stopped.was_running, stopped.refused)
"""
        source = str(Path(__file__).parents[2] / "src")
        ran = subprocess.run(
            [sys.executable, "-c", code],
            check=False,
            env={**os.environ, "PYTHONPATH": source},
            capture_output=True,
            text=True,
        )

        assert ran.stderr == ""
        assert ran.stdout == f"False ('process {bird.pid} belongs to another user (uid 0)',)\n"
        assert bird.signals == []


def test_without_pidfd_inodes_the_other_marks_decide(tmp_path: Path) -> None:
    with canary(tmp_path, marked=True) as bird:
        older = replace(bird.identity, pidfd_inode=0)

        assert is_alive(older)
        assert not is_alive(replace(older, token="f" * 32))


def test_an_identity_survives_being_written_down(tmp_path: Path) -> None:
    from rebalancer import records

    with canary(tmp_path) as bird:
        written = records.encode(bird.identity)

        assert is_alive(records.decode(written, ProcessIdentity, path="x"))
