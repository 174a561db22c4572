"""Every way an execution can end, and what its record says of it."""

import pytest

from rebalancer.errors import ExitCode
from rebalancer.executions.execution import ExecutionStatus
from rebalancer.executions.outcome import Facts, judge
from rebalancer.executions.request import StopAction, StopRequest


@pytest.mark.parametrize(
    ("facts", "status", "exit_code", "cause"),
    [
        (Facts(), ExecutionStatus.COMPLETED, 0, "done"),
        (Facts(files_moved=9), ExecutionStatus.COMPLETED, 0, "done"),
        (Facts(files_moved=9, files_left=1), ExecutionStatus.COMPLETED, 1, "left"),
        (Facts(files_left=1), ExecutionStatus.FAILED, 1, "left"),
        (Facts(files_moved=9, time_is_up="time is up"), ExecutionStatus.COMPLETED, 0, "time is up"),
        (Facts(files_left=1, time_is_up="time is up"), ExecutionStatus.COMPLETED, 1, "left"),
        (Facts(error="disk2: its device is gone"), ExecutionStatus.FAILED, 1, "error"),
        (Facts(error="no disk", error_code=ExitCode.REFUSED), ExecutionStatus.FAILED, 4, "error"),
        (Facts(is_worker_lost=True, worker_exit_code=-9), ExecutionStatus.FAILED, 1, "lost"),
        (Facts(held="the disks are in use"), ExecutionStatus.CANCELLED, 75, "held"),
        (Facts(is_cancelled=True), ExecutionStatus.CANCELLED, 130, "cancelled"),
        (Facts(is_cancelled=True, is_worker_lost=True), ExecutionStatus.CANCELLED, 130, "cancelled"),
    ],
)
def test_the_outcome_follows_from_the_facts(facts: Facts, status: ExecutionStatus, exit_code: int, cause: str) -> None:
    outcome = judge(facts)

    assert (outcome.status, outcome.exit_code, outcome.cause) == (status, exit_code, cause)


@pytest.mark.parametrize(
    ("action", "status", "cause"),
    [
        (StopAction.CANCEL, ExecutionStatus.CANCELLED, "cancelled"),
        (StopAction.EMERGENCY, ExecutionStatus.CANCELLED, "emergency stop"),
        (StopAction.SUSPEND, ExecutionStatus.SUSPENDED, "suspended"),
        (StopAction.ARRAY_STOP, ExecutionStatus.CANCELLED, "array stop"),
    ],
)
def test_who_asked_for_a_stop_decides_what_it_is_called(
    action: StopAction, status: ExecutionStatus, cause: str
) -> None:
    request = StopRequest(action=action, reason="maintenance", actor="ann")

    outcome = judge(Facts(is_cancelled=True, request=request))

    assert (outcome.status, outcome.cause, outcome.error_message) == (status, cause, "maintenance")


def test_a_killed_worker_is_told_from_one_that_broke() -> None:
    killed = judge(Facts(is_worker_lost=True, worker_exit_code=-9))
    broke = judge(Facts(is_worker_lost=True, worker_exit_code=1))

    assert "SIGKILL" in killed.error_message
    assert "exit code 1" in broke.error_message


def test_a_kill_that_waits_for_a_disk_is_not_called_a_stop() -> None:
    outcome = judge(Facts(is_stuck=True))

    assert "kill pending" in outcome.error_message


def test_the_first_reason_is_told_and_the_others_are_counted() -> None:
    one = judge(Facts(files_moved=1, files_left=1, first_reason="in use"))
    many = judge(Facts(files_moved=1, files_left=7, first_reason="in use"))

    assert one.error_message == "1 file or folder stayed where it was: in use"
    assert many.error_message == "7 files or folders stayed where they were; the first: in use"
