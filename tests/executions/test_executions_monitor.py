"""The specification's monitor: every answer is the same from any process, and true."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rebalancer
from lab.processes import canary
from rebalancer.errors import NotFoundError, RefusedError, UsageError
from rebalancer.executions.active import Active
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.monitor import ScheduleMonitor
from rebalancer.executions.store import ExecutionStore
from rebalancer.schedules.schedule import Schedule
from rebalancer.state import StateFolders


@pytest.fixture
def folders(tmp_path: Path) -> StateFolders:
    return StateFolders(config=tmp_path / "config", runtime_root=tmp_path / "runtime")


@pytest.fixture
def monitor(folders: StateFolders) -> ScheduleMonitor:
    return ScheduleMonitor.of(folders)


def test_a_started_execution_runs_for_every_monitor_until_it_is_completed(
    folders: StateFolders, monitor: ScheduleMonitor, tmp_path: Path
) -> None:
    with canary(tmp_path) as bird:
        execution = monitor.start_execution("nightly", bird.pid)

        other = ScheduleMonitor.of(folders)
        assert [found.execution_id for found in other.get_running_executions()] == [execution.execution_id]
        assert (execution.status, execution.pid) == (ExecutionStatus.RUNNING, bird.pid)
        assert other.complete_execution(execution.execution_id, 0, files_moved=3, bytes_moved=30)

    assert monitor.get_running_executions() == []
    (record,) = monitor.get_execution_history("nightly")
    assert (record.status, record.exit_code, record.files_moved, record.bytes_moved) == (
        ExecutionStatus.COMPLETED,
        0,
        3,
        30,
    )
    assert record.pid is None


def test_a_program_can_register_itself(monitor: ScheduleMonitor) -> None:
    execution = monitor.start_execution("nightly", os.getpid())

    assert [found.execution_id for found in monitor.get_running_executions()] == [execution.execution_id]
    assert not monitor.cancel_execution(execution.execution_id)


def test_a_failure_keeps_its_exit_code_and_message(monitor: ScheduleMonitor) -> None:
    execution = monitor.start_execution("nightly", os.getpid())

    monitor.complete_execution(execution.execution_id, 7, error_message="disk2 is full")

    record = monitor.get_execution(execution.execution_id)
    assert (record.status, record.exit_code, record.error_message) == (ExecutionStatus.FAILED, 7, "disk2 is full")


def test_only_the_first_end_counts(monitor: ScheduleMonitor) -> None:
    execution = monitor.start_execution("nightly", os.getpid())

    assert monitor.complete_execution(execution.execution_id, 0)
    assert not monitor.complete_execution(execution.execution_id, 1)
    assert not monitor.complete_execution("20261123T000000Z-nightly-000000", 0)
    assert monitor.get_execution(execution.execution_id).status is ExecutionStatus.COMPLETED


def test_who_was_found_gone_may_still_say_how_it_ended(monitor: ScheduleMonitor, tmp_path: Path) -> None:
    with canary(tmp_path) as bird:
        execution = monitor.start_execution("nightly", bird.pid)
    assert monitor.get_execution(execution.execution_id).cause == "lost"

    assert monitor.complete_execution(execution.execution_id, 0, files_moved=5)

    record = monitor.get_execution(execution.execution_id)
    assert (record.status, record.files_moved, record.error_message) == (ExecutionStatus.COMPLETED, 5, "")


@pytest.mark.parametrize("pid", [True, False, 0, 1, -1, -4711, 2**40, "7", None, 1.5])
def test_what_is_no_process_number_is_refused(monitor: ScheduleMonitor, pid: Any) -> None:
    with pytest.raises(UsageError):
        monitor.start_execution("nightly", pid)
    assert monitor.get_execution_history() == []


def test_a_process_that_has_ended_cannot_be_registered(monitor: ScheduleMonitor) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()

    with pytest.raises(NotFoundError):
        monitor.start_execution("nightly", ended.pid)


@pytest.mark.needs_root
def test_a_process_of_another_user_cannot_be_registered(monitor: ScheduleMonitor) -> None:
    with subprocess.Popen(["sleep", "60"], user=65534, group=65534, extra_groups=[]) as stranger:
        try:
            with pytest.raises(RefusedError, match="another user"):
                monitor.start_execution("nightly", stranger.pid)
        finally:
            stranger.kill()


@pytest.mark.parametrize("schedule_id", ["", "../x", "a/b", ".hidden", "x" * 200])
def test_what_is_no_id_is_refused(monitor: ScheduleMonitor, schedule_id: str) -> None:
    with pytest.raises(UsageError):
        monitor.start_execution(schedule_id, os.getpid())


def test_cancelling_suspending_and_resuming_say_whether_it_was_done(monitor: ScheduleMonitor, tmp_path: Path) -> None:
    monitor.control.manager.create(Schedule(schedule_id="nightly", cron="15 3 * * *"), now=1.0)
    with canary(tmp_path) as bird:
        execution = monitor.start_execution("nightly", bird.pid)

        assert monitor.cancel_execution(execution.execution_id, "enough")
    assert not monitor.cancel_execution(execution.execution_id)
    assert not monitor.cancel_execution("unknown")
    assert monitor.suspend_schedule("nightly", "Maintenance window")
    assert monitor.resume_schedule("nightly")
    assert not monitor.suspend_schedule("unknown", "x")
    assert not monitor.resume_schedule("unknown")


def test_statistics_count_what_happened(monitor: ScheduleMonitor) -> None:
    for exit_code in (0, 0, 1):
        execution = monitor.start_execution("nightly", os.getpid())
        monitor.complete_execution(execution.execution_id, exit_code, files_moved=2, bytes_moved=20)

    statistics = monitor.get_schedule_statistics("nightly")

    assert (statistics.total_executions, statistics.successful_executions, statistics.failed_executions) == (3, 2, 1)
    assert (statistics.total_files_moved, statistics.total_bytes_moved) == (6, 60)
    assert statistics.success_rate == pytest.approx(200 / 3)


def test_a_schedule_that_never_ran_has_statistics_of_zero(monitor: ScheduleMonitor) -> None:
    statistics = monitor.get_schedule_statistics("nightly")

    assert (statistics.total_executions, statistics.success_rate, statistics.last_execution_time) == (0, 0.0, None)


def test_old_records_are_cleaned_up_and_active_ones_stay(folders: StateFolders) -> None:
    long_ago = ScheduleMonitor.of(folders, clock=lambda: 1_700_000_000.0)
    ended = [long_ago.start_execution("nightly", os.getpid()) for _ in range(3)]
    for execution in ended:
        long_ago.complete_execution(execution.execution_id, 0)
    running = long_ago.start_execution("weekly", os.getpid())

    removed = ScheduleMonitor.of(folders).cleanup_old_executions(days=30)

    assert removed == 2  # the newest of a schedule stays, so that it is known when it last ran
    assert ScheduleMonitor.of(folders).get_execution(running.execution_id).status is ExecutionStatus.RUNNING


def test_a_limit_below_one_is_refused(monitor: ScheduleMonitor) -> None:
    with pytest.raises(UsageError):
        monitor.get_execution_history(limit=0)


# -- finding what is active -------------------------------------------------------------------------------------


def record(number: int, status: ExecutionStatus) -> ScheduleExecution:
    return ScheduleExecution(
        execution_id=f"20250101T0000{number:02}Z-nightly-{number:06}",
        schedule_id="nightly",
        start_time=float(number),
        end_time=float(number) if status.is_final else None,
        status=status,
    )


def test_what_has_ended_is_remembered_and_what_changes_is_seen(folders: StateFolders) -> None:
    store = ExecutionStore(folders.executions)
    for number in range(5):
        store.save(record(number, ExecutionStatus.COMPLETED))
    store.save(record(5, ExecutionStatus.RUNNING))
    later = Active(folders, clock=lambda: 4e9)  # the folder has not changed for long

    assert later.ids() == [record(5, ExecutionStatus.RUNNING).execution_id]
    store.save(record(5, ExecutionStatus.FAILED))
    store.save(record(6, ExecutionStatus.PENDING))
    assert later.ids() == [record(6, ExecutionStatus.PENDING).execution_id]
    assert later.ids() == [record(6, ExecutionStatus.PENDING).execution_id]


def test_a_record_from_the_past_that_runs_is_found_too(folders: StateFolders) -> None:
    store, active = ExecutionStore(folders.executions), Active(folders, clock=lambda: 4e9)
    store.save(record(50, ExecutionStatus.COMPLETED))
    assert active.ids() == []

    store.save(record(1, ExecutionStatus.RUNNING))  # the clock was set back

    assert active.ids() == [record(1, ExecutionStatus.RUNNING).execution_id]


def test_changes_within_the_coarseness_of_the_folders_time_are_not_missed(folders: StateFolders) -> None:
    store, active = (
        ExecutionStore(folders.executions),
        Active(folders, clock=lambda: folders.executions.stat().st_mtime),
    )
    store.save(record(1, ExecutionStatus.COMPLETED))
    stamp = folders.executions.stat().st_mtime_ns
    assert active.ids() == []

    store.save(record(2, ExecutionStatus.RUNNING))
    os.utime(folders.executions, ns=(stamp, stamp))

    assert active.ids() == [record(2, ExecutionStatus.RUNNING).execution_id]


@pytest.mark.parametrize("name", ["ended.json", "active.json"])
def test_what_is_remembered_may_be_damaged_or_gone(folders: StateFolders, name: str) -> None:
    store, active = ExecutionStore(folders.executions), Active(folders, clock=lambda: 4e9)
    store.save(record(1, ExecutionStatus.RUNNING))
    store.save(record(2, ExecutionStatus.COMPLETED))
    active.ids()

    (folders.runtime / "active" / name).write_text("[torn")

    assert active.ids() == [record(1, ExecutionStatus.RUNNING).execution_id]


# -- the public names -------------------------------------------------------------------------------------------


def test_the_names_of_the_specification_can_be_imported() -> None:
    assert rebalancer.ScheduleMonitor is ScheduleMonitor
    assert rebalancer.ExecutionStatus is ExecutionStatus
    assert rebalancer.ScheduleExecution is ScheduleExecution
    assert rebalancer.ScheduleStatistics.__name__ == "ScheduleStatistics"
    assert rebalancer.ScheduleManager.__name__ == "ScheduleManager"
    with pytest.raises(AttributeError):
        _ = rebalancer.nothing_of_that_name


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys; import rebalancer; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    loaded = set(ran.stdout.split())
    assert [name for name in loaded if name.startswith("rebalancer")] == ["rebalancer"]
    assert loaded.isdisjoint({"msgspec", "click", "sqlite3", "cronsim"})
