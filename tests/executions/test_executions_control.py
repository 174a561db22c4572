"""Stopping with proof: verdicts that are true, records that say so, an audit log, and nobody else touched."""

import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import MakeDisk
from lab.processes import Canary, canary, is_there, state_of, wait_until
from rebalancer import records
from rebalancer.errors import DamagedRecordError, NotFoundError, RefusedError
from rebalancer.executions import audit
from rebalancer.executions.control import EMERGENCY_GRACE, Control
from rebalancer.executions.execution import DiskFill, ExecutionStatus, ProcessIdentity, ScheduleExecution
from rebalancer.executions.monitor import ScheduleMonitor
from rebalancer.executions.store import ExecutionStore
from rebalancer.executions.verdict import Ending
from rebalancer.schedules.schedule import Schedule
from rebalancer.state import StateFolders


@pytest.fixture
def folders(tmp_path: Path) -> StateFolders:
    return StateFolders(config=tmp_path / "config", runtime_root=tmp_path / "runtime")


@pytest.fixture
def monitor(folders: StateFolders) -> ScheduleMonitor:
    return ScheduleMonitor.of(folders)


@pytest.fixture
def control(monitor: ScheduleMonitor) -> Control:
    return replace(monitor.control, actor="alice")


@pytest.fixture
def aviary(tmp_path: Path) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def plant(folders: StateFolders, identity: ProcessIdentity | None, *, pid: int | None = None) -> ScheduleExecution:
    """Save a record that says a process is an execution, as anybody could who can write the folder."""
    execution = ScheduleExecution(
        execution_id="20261123T000000Z-nightly-abcdef",
        schedule_id="nightly",
        start_time=1.0,
        status=ExecutionStatus.RUNNING,
        process=identity,
        pid=pid,
    )
    ExecutionStore(folders.executions).save(execution)
    return execution


def audit_of(folders: StateFolders) -> list[audit.Entry]:
    return [records.decode(line, audit.Entry, path="") for line in folders.audit.read_bytes().splitlines()]


def test_a_registered_process_is_cancelled_and_the_record_says_by_whom_and_why(
    monitor: ScheduleMonitor, control: Control, tmp_path: Path
) -> None:
    with canary(tmp_path) as bird:
        execution = monitor.start_execution("nightly", bird.pid)

        begun = time.monotonic()
        verdict = control.cancel(execution.execution_id, reason="movie night")

        assert time.monotonic() - begun < 2
        assert verdict.verdict is Ending.STOPPED
        assert bird.process.wait(5) == 0
    record = monitor.get_execution(execution.execution_id)
    assert (record.status, record.exit_code, record.cause) == (ExecutionStatus.CANCELLED, 130, "cancelled")
    assert (record.error_message, record.actor, record.pid) == ("movie night", "alice", None)
    assert record.end_time is not None
    assert record.timeline[-1].what == "ended"
    assert monitor.get_running_executions() == []


def test_cancelling_again_changes_nothing(monitor: ScheduleMonitor, control: Control, tmp_path: Path) -> None:
    with canary(tmp_path) as bird:
        execution = monitor.start_execution("nightly", bird.pid)
        control.cancel(execution.execution_id, reason="first")
    first = monitor.get_execution(execution.execution_id)

    again = control.cancel(execution.execution_id, reason="second")

    assert again.verdict is Ending.WAS_NOT_RUNNING
    assert monitor.get_execution(execution.execution_id) == first


def test_a_final_record_is_never_overwritten(monitor: ScheduleMonitor, control: Control, tmp_path: Path) -> None:
    with canary(tmp_path) as bird:
        execution = monitor.start_execution("nightly", bird.pid)
        assert monitor.complete_execution(execution.execution_id, 0, files_moved=7, bytes_moved=70)

        verdict = control.cancel(execution.execution_id)

        assert verdict.verdict is Ending.WAS_NOT_RUNNING
        assert bird.is_running
        assert bird.signals == []
    record = monitor.get_execution(execution.execution_id)
    assert (record.status, record.files_moved) == (ExecutionStatus.COMPLETED, 7)


@pytest.mark.parametrize("unknown", ["20261123T000000Z-x-000000", "../../etc/passwd", "", ".", "a b", "x" * 300])
def test_unknown_ids_are_not_found(control: Control, unknown: str) -> None:
    with pytest.raises(NotFoundError):
        control.cancel(unknown)


# -- planted records --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["the first process", "this process", "its parent"])
def test_planted_records_of_processes_that_are_never_ours_cause_no_signal(
    folders: StateFolders, control: Control, who: str
) -> None:
    from rebalancer.executions.process import identity_of

    ours = identity_of(os.getpid(), "")
    pids = {"the first process": 1, "this process": os.getpid(), "its parent": os.getppid()}
    heard: list[int] = []
    before = {number: signal.signal(number, lambda number, _: heard.append(number)) for number in (15, 18, 1, 2)}
    try:
        if who == "the first process":
            with pytest.raises(DamagedRecordError):
                control.cancel(plant(folders, replace(ours, pid=1)).execution_id)
            verdicts = control.emergency_stop()
            assert verdicts == []
        else:
            planted = plant(folders, identity_of(pids[who], ""))
            verdicts = [control.cancel(planted.execution_id), *control.emergency_stop()]
            assert {verdict.verdict for verdict in verdicts} == {Ending.REFUSED}
            assert "not one that this program may signal" in verdicts[0].detail
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert heard == []


@pytest.mark.parametrize(
    "change",
    [{"start_ticks": 1}, {"boot_id": "x"}, {"token": "guessed"}, {"pid_namespace": 1}, {"pidfd_inode": 3}],
    ids=str,
)
def test_a_planted_record_that_is_wrong_in_one_mark_causes_no_signal(
    folders: StateFolders, control: Control, tmp_path: Path, change: dict[str, Any]
) -> None:
    with canary(tmp_path) as bird:
        planted = plant(folders, replace(bird.identity, **change), pid=bird.pid)

        verdicts = [*control.emergency_stop(), control.cancel(planted.execution_id)]

        assert bird.is_running
        assert bird.signals == []
    assert {verdict.verdict for verdict in verdicts} <= {Ending.WAS_NOT_RUNNING, Ending.REFUSED}


def test_a_record_with_nothing_but_a_process_number_causes_no_signal(
    folders: StateFolders, control: Control, tmp_path: Path
) -> None:
    with canary(tmp_path) as bird:
        planted = plant(folders, None, pid=bird.pid)

        assert control.cancel(planted.execution_id).verdict is Ending.WAS_NOT_RUNNING
        assert control.emergency_stop() == []
        assert bird.signals == []
        assert bird.is_running


@pytest.mark.parametrize("pid", ["true", "-1", "0", "1", "1.5", "1099511627776", '"7"', "[]"])
def test_a_record_whose_process_number_is_none_is_damaged_and_causes_no_signal(
    folders: StateFolders, control: Control, tmp_path: Path, pid: str
) -> None:
    with canary(tmp_path) as bird:
        planted = plant(folders, bird.identity, pid=bird.pid)
        path = folders.executions / f"{planted.execution_id}.json"
        path.write_text(path.read_text().replace(f'"pid":{bird.pid}', f'"pid":{pid}'))

        with pytest.raises(DamagedRecordError):
            control.cancel(planted.execution_id)
        assert control.emergency_stop() == []
        assert bird.signals == []


def test_records_in_a_folder_that_others_can_write_to_are_not_believed(
    folders: StateFolders, control: Control, tmp_path: Path
) -> None:
    with canary(tmp_path) as bird:
        planted = plant(folders, bird.identity)
        folders.executions.chmod(0o777)

        with pytest.raises(RefusedError, match="written by others"):
            control.cancel(planted.execution_id)
        (verdict,) = control.emergency_stop()

        assert verdict.verdict is Ending.REFUSED
        assert bird.signals == []
        assert bird.is_running


@pytest.mark.needs_root
def test_a_planted_record_of_another_users_process_causes_no_signal(folders: StateFolders, control: Control) -> None:
    from rebalancer.executions.process import identity_of

    stranger = subprocess.Popen(["sleep", "60"], user=65534, group=65534, extra_groups=[], start_new_session=True)
    try:
        planted = plant(folders, identity_of(stranger.pid, ""))

        verdict = control.cancel(planted.execution_id, grace=0.1)

        assert verdict.verdict is Ending.REFUSED
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


# -- suspending -------------------------------------------------------------------------------------------------


def test_suspending_stops_what_runs_with_the_reason_in_record_and_schedule(
    monitor: ScheduleMonitor, control: Control, tmp_path: Path
) -> None:
    control.manager.create(Schedule(schedule_id="nightly", cron="15 3 * * *"), now=1.0)
    with canary(tmp_path) as bird, canary(tmp_path) as other:
        execution = monitor.start_execution("nightly", bird.pid)
        monitor.start_execution("weekly", other.pid)

        (verdict,) = control.suspend("nightly", reason="Maintenance window")

        assert verdict.verdict is Ending.STOPPED
        assert other.signals == []
        assert other.is_running
    record = monitor.get_execution(execution.execution_id)
    assert (record.status, record.error_message) == (ExecutionStatus.SUSPENDED, "Maintenance window")
    suspension = control.manager.get("nightly").suspension
    assert suspension is not None
    assert (suspension.reason, suspension.actor, suspension.until) == ("Maintenance window", "alice", None)


def test_resuming_twice_is_the_same_as_once(control: Control) -> None:
    control.manager.create(Schedule(schedule_id="nightly", cron="15 3 * * *"), now=1.0)
    control.suspend("nightly", reason="x")

    control.resume("nightly")
    control.resume("nightly")

    assert control.manager.get("nightly").suspension is None


def test_suspending_an_unknown_schedule_stops_nothing(
    monitor: ScheduleMonitor, control: Control, tmp_path: Path
) -> None:
    with canary(tmp_path) as bird:
        monitor.start_execution("nightly", bird.pid)

        with pytest.raises(NotFoundError):
            control.suspend("nightly", reason="x")
        assert bird.signals == []


# -- emergency stop ---------------------------------------------------------------------------------------------


def start_difficult(stack: ExitStack, tmp_path: Path, monitor: ScheduleMonitor) -> dict[str, Canary]:
    """Three executions: one stopped with SIGSTOP, one ignoring SIGTERM, one with a double-forked grandchild."""
    birds = {}
    for schedule_id, behaviour in (("stopped", ""), ("stubborn", "ignores TERM"), ("parent", "double fork")):
        bird = stack.enter_context(canary(tmp_path, behaviour, marked=True))
        execution = monitor.start_execution(schedule_id, bird.pid)
        # as the supervisor records its worker: with the token, so that who detached itself is found
        ExecutionStore(monitor.folders.executions).save(replace(execution, worker=bird.identity))
        birds[schedule_id] = bird
    os.kill(birds["stopped"].pid, signal.SIGSTOP)
    wait_until(lambda: state_of(birds["stopped"].pid) == "T")
    return birds


def test_an_emergency_stop_ends_three_difficult_executions_in_three_seconds(
    monitor: ScheduleMonitor, control: Control, tmp_path: Path, aviary: ExitStack
) -> None:
    birds = start_difficult(aviary, tmp_path, monitor)
    bystander = aviary.enter_context(canary(tmp_path, marked=True))

    begun = time.monotonic()
    verdicts = control.emergency_stop()
    took = time.monotonic() - begun

    assert took < 3
    assert {verdict.schedule_id: verdict.verdict for verdict in verdicts} == dict.fromkeys(birds, Ending.STOPPED)
    everybody = [pid for bird in birds.values() for pid in (bird.pid, *bird.grandchildren)]
    assert len(everybody) == 4
    assert [pid for pid in everybody if is_there(pid)] == []
    assert {execution.status for execution in monitor.get_execution_history()} == {ExecutionStatus.CANCELLED}
    assert bystander.is_running
    assert bystander.signals == []


def test_all_are_asked_before_the_first_is_waited_for(
    monitor: ScheduleMonitor, control: Control, tmp_path: Path, aviary: ExitStack
) -> None:
    birds = [aviary.enter_context(canary(tmp_path, "ignores TERM")) for _ in range(8)]
    for number, bird in enumerate(birds):
        monitor.start_execution(f"schedule-{number}", bird.pid)

    control.emergency_stop()

    assert all(bird.signals[0] == signal.SIGTERM for bird in birds)
    asked = [bird.heard[0][1] for bird in birds]
    assert max(asked) - min(asked) < EMERGENCY_GRACE / 2
    assert not any(is_there(bird.pid) for bird in birds)


def test_it_works_with_damaged_schedules_a_damaged_record_and_no_index(
    folders: StateFolders, monitor: ScheduleMonitor, control: Control, tmp_path: Path
) -> None:
    folders.schedules.mkdir(parents=True)
    (folders.schedules / "nightly.json").write_text("{")
    with canary(tmp_path) as bird:
        monitor.start_execution("nightly", bird.pid)
        (folders.executions / "20261123T000000Z-torn-abcdef.json").write_text('{"execution_id":')
        (folders.executions / "20261123T000000Z-pipe-abcdef.json").symlink_to("/dev/zero")

        (verdict,) = control.emergency_stop()

        assert verdict.verdict is Ending.STOPPED
        assert not is_there(bird.pid)


def test_a_supervisor_is_found_by_its_lock_when_no_record_can_be_read(
    folders: StateFolders, control: Control, tmp_path: Path, aviary: ExitStack
) -> None:
    execution_id = "20261123T000000Z-nightly-abcdef"
    for folder in (folders.locks, folders.logs, folders.executions):
        folder.mkdir(parents=True, mode=0o700)
    (folders.executions / f"{execution_id}.json").write_text("torn")
    (folders.logs / f"{execution_id}.log").touch()
    lock = folders.locks / f"execution-{execution_id}.lock"
    holder = subprocess.Popen(["flock", str(lock), "sleep", "65"], start_new_session=True)
    wait_until(lock.exists)
    reader = subprocess.Popen(["tail", "-f", str(lock)], start_new_session=True)
    other = subprocess.Popen(["flock", str(folders.locks / "execution-of-another-folder.lock"), "sleep", "66"])
    try:
        time.sleep(0.3)
        (verdict,) = control.emergency_stop()

        assert (verdict.execution_id, verdict.verdict) == (execution_id, Ending.STOPPED)
        assert "record could not be finished" in verdict.detail
        assert holder.wait(5) < 0
        assert reader.poll() is None
        assert other.poll() is None
    finally:
        for process in (holder, reader, other):
            process.kill()
            process.wait()


@pytest.mark.needs_loop_disks("ext4")
def test_what_waits_for_a_disk_is_kill_pending_with_the_disks_name(
    make_disk: MakeDisk, folders: StateFolders, monitor: ScheduleMonitor, control: Control
) -> None:
    disk = make_disk("ext4", 16, "disk3")
    code = "import sys; f = open(sys.argv[1], 'wb'); print('up', flush=True); sys.stdin.readline(); f.write(b'x'); f.flush()"
    writer = subprocess.Popen(
        ["python3", "-S", "-c", code, str(disk / "file")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert writer.stdout is not None
    assert writer.stdin is not None
    writer.stdout.readline()
    execution = monitor.start_execution("nightly", writer.pid)
    ExecutionStore(folders.executions).save(replace(execution, disks_before=(DiskFill("disk3", str(disk), 9, 1),)))
    subprocess.run(["fsfreeze", "-f", str(disk)], check=True)
    try:
        writer.stdin.write(b"\n")
        writer.stdin.flush()
        wait_until(lambda: state_of(writer.pid) == "D")
        begun = time.monotonic()
        (verdict,) = control.emergency_stop()
        took = time.monotonic() - begun
    finally:
        subprocess.run(["fsfreeze", "-u", str(disk)], check=True)

    assert took < 3
    assert verdict.verdict is Ending.KILL_PENDING
    assert "is waiting for disk3" in verdict.detail
    assert writer.wait(10) < 0
    record = ExecutionStore(folders.executions).load(execution.execution_id)
    assert not record.status.is_final
    assert record.timeline[-1].what == "kill pending"
    writer.stdin.close()
    writer.stdout.close()


def test_a_hold_stays_until_it_is_released(folders: StateFolders, control: Control) -> None:
    assert control.emergency_stop(hold_reason="disk3 makes noises") == []
    held = json.loads(folders.hold.read_text())

    assert (held["reason"], held["actor"]) == ("disk3 makes noises", "alice")
    assert control.release()
    assert not folders.hold.exists()
    assert not control.release()


# -- the audit log ----------------------------------------------------------------------------------------------


def test_every_action_is_noted_with_who_when_why_and_the_result(
    folders: StateFolders, monitor: ScheduleMonitor, control: Control, tmp_path: Path
) -> None:
    control.manager.create(Schedule(schedule_id="nightly", cron="15 3 * * *"), now=1.0)
    with canary(tmp_path) as bird:
        execution = monitor.start_execution("nightly", bird.pid)
        control.cancel(execution.execution_id, reason="why\nnot")
    control.suspend("nightly", reason="holidays")
    control.resume("nightly")
    control.emergency_stop(hold_reason="smoke")
    control.release()

    entries = audit_of(folders)
    assert [entry.action for entry in entries[:3]] == ["cancel", "suspend", "resume"]
    assert {entry.action for entry in entries[3:]} == {"emergency stop", "hold", "release"}
    assert entries[0].reason == "why\nnot"
    assert entries[0].result == f"{execution.execution_id} stopped"
    assert {entry.actor for entry in entries} == {"alice"}
    assert stat.S_IMODE(folders.audit.stat().st_mode) == 0o600


def test_a_log_that_cannot_be_written_never_keeps_anything_from_being_stopped(
    folders: StateFolders, monitor: ScheduleMonitor, control: Control, tmp_path: Path
) -> None:
    with canary(tmp_path) as bird:
        execution = monitor.start_execution("nightly", bird.pid)
        folders.audit.mkdir()

        assert control.cancel(execution.execution_id).verdict is Ending.STOPPED
        assert not is_there(bird.pid)
