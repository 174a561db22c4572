"""Everything an execution started is found and stopped, however it detached itself; what cannot end is said."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import MakeDisk
from lab.processes import canary, is_there, state_of, wait_until
from rebalancer.executions.family import family_of, stop_family
from rebalancer.executions.process import identity_of


def test_a_double_forked_grandchild_in_a_session_of_its_own_is_found_by_its_token(tmp_path: Path) -> None:
    with canary(tmp_path, "double fork", marked=True) as bird:
        found = {member.pid for member in family_of(bird.identity)}

        assert found == {bird.pid, *bird.grandchildren}


def test_the_grandchild_is_found_also_when_everybody_else_is_dead(tmp_path: Path) -> None:
    with canary(tmp_path, "double fork", marked=True) as bird:
        identity, (grandchild,) = bird.identity, bird.grandchildren
        os.kill(bird.pid, signal.SIGKILL)
        bird.process.wait()

        stopped = stop_family(identity, grace=5)

        assert stopped.was_running
        assert stopped.pending == ()
        assert not is_there(grandchild)


def test_without_a_token_children_and_the_session_it_leads_are_the_family(tmp_path: Path) -> None:
    child = "import subprocess, sys; subprocess.Popen(['sleep', '61']); print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as head:
        assert head.stdout is not None
        head.stdout.readline()
        members = [member.pid for member in family_of(identity_of(head.pid, ""))]

        stopped = stop_family(identity_of(head.pid, ""), grace=2)

        assert len(members) == 2
        assert stopped.pending == ()
        assert not any(map(is_there, members))


def test_who_leads_no_session_takes_nobody_of_it_along(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "62"]) as ours, subprocess.Popen(["sleep", "63"]) as other:
        try:
            stopped = stop_family(identity_of(ours.pid, ""), grace=2)

            assert stopped.was_running
            assert ours.wait(5) == -signal.SIGTERM
            assert other.poll() is None
        finally:
            other.kill()
            ours.kill()


def test_a_stopped_process_hears_term_before_it_goes_on(tmp_path: Path) -> None:
    with canary(tmp_path, marked=True) as bird:
        os.kill(bird.pid, signal.SIGSTOP)
        wait_until(lambda: state_of(bird.pid) == "T")

        stopped = stop_family(bird.identity, grace=5)

        assert bird.process.wait(5) == 0
        assert signal.SIGTERM in bird.signals
        assert stopped.seconds < 4


def test_who_ignores_term_is_killed_after_the_grace(tmp_path: Path) -> None:
    with canary(tmp_path, "ignores TERM", marked=True) as bird:
        stopped = stop_family(bird.identity, grace=0.3)

        assert bird.process.wait(5) == -signal.SIGKILL
        assert signal.SIGTERM in bird.signals
        assert stopped.pending == ()
        assert stopped.seconds >= 0.3


def test_a_supervisor_is_asked_alone_and_its_family_only_after_it(tmp_path: Path) -> None:
    with canary(tmp_path, marked=True) as supervisor, canary(tmp_path, marked=True) as worker:
        identity = supervisor.identity
        stop_family(identity, worker.identity, grace=5, through=identity)

        assert supervisor.process.wait(5) == worker.process.wait(5) == 0
        assert supervisor.heard[0][1] < worker.heard[0][1]


def test_who_is_gone_already_was_not_running(tmp_path: Path) -> None:
    with canary(tmp_path, marked=True) as bird:
        identity = bird.identity
        bird.process.kill()
        bird.process.wait()

        stopped = stop_family(identity, grace=1)

        assert not stopped.was_running
        assert stopped.seconds < 1


@pytest.mark.needs_loop_disks("ext4")
def test_a_process_waiting_for_a_disk_is_pending_and_never_called_stopped(make_disk: MakeDisk, tmp_path: Path) -> None:
    disk = make_disk("ext4", 16, "disk1")
    code = "import sys; f = open(sys.argv[1], 'wb'); print('up', flush=True); sys.stdin.readline(); f.write(b'x'); f.flush()"
    writer = subprocess.Popen(
        [sys.executable, "-S", "-c", code, str(disk / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert writer.stdout is not None
    assert writer.stdin is not None
    writer.stdout.readline()
    subprocess.run(["fsfreeze", "-f", str(disk)], check=True)
    try:
        writer.stdin.write(b"\n")
        writer.stdin.flush()
        wait_until(lambda: state_of(writer.pid) == "D")

        stopped = stop_family(identity_of(writer.pid, ""), grace=0.2, patience=0.3)
        still_there = is_there(writer.pid)
    finally:
        subprocess.run(["fsfreeze", "-u", str(disk)], check=True)

    assert still_there
    (pending,) = stopped.pending
    assert pending.state == "D"
    assert str(disk / "file") in pending.open_files
    assert writer.wait(10) < 0
    writer.stdin.close()
    writer.stdout.close()


def test_new_members_that_appear_while_it_is_stopped_are_stopped_too(tmp_path: Path) -> None:
    code = """
import os, signal, subprocess, sys, time
def again(*_):
    subprocess.Popen(['sleep', '64'], start_new_session=True)
signal.signal(signal.SIGTERM, again)
print('up', flush=True)
while True:
    signal.pause()
"""
    token = "a1b2c3d4" * 4
    environment = {**os.environ, "REBALANCER_EXECUTION_TOKEN": token}
    with subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, env=environment, start_new_session=True
    ) as head:
        assert head.stdout is not None
        head.stdout.readline()
        identity = identity_of(head.pid, token)

        begun = time.monotonic()
        stopped = stop_family(identity, grace=0.5)

        assert time.monotonic() - begun < 4
        assert stopped.pending == ()
        assert family_of(identity) == []
        assert head.wait(5) == -signal.SIGKILL
