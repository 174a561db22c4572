"""What the owner reads: figures, reasons and what to do, from records made up for it."""

from typing import Any

import pytest
from records_lab import execution

from rebalancer import records
from rebalancer.executions import report
from rebalancer.executions.execution import DiskFill, ExecutionStatus, LeftFile, ScheduleExecution
from rebalancer.executions.report import REASONS_TOLD
from rebalancer.executions.verdict import Ending, Verdict
from rebalancer.notify.errand import Level, Notification, Signal
from rebalancer.settings import Occasion

FAILED, CANCELLED, SUSPENDED = ExecutionStatus.FAILED, ExecutionStatus.CANCELLED, ExecutionStatus.SUSPENDED


def ended(**fields: Any) -> ScheduleExecution:
    figures = {"exit_code": 0, "cause": "done", "files_moved": 4213, "bytes_moved": 1234 * 10**9, "moves_planned": 87}
    return execution(1, **{**figures, "moves_done": 87, "duration_seconds": 7500.0, **fields})


def fill(*percents: float) -> tuple[DiskFill, ...]:
    return tuple(DiskFill(f"disk{n}", f"/mnt/disk{n}", 1000, int(10 * one)) for n, one in enumerate(percents, start=1))


def told(one: ScheduleExecution, next_run: str = "") -> Notification:
    found = report.ending_of(one, next_run=next_run)
    assert found is not None
    return found[1]


def test_a_success_says_what_moved_what_it_did_and_when_it_runs_next() -> None:
    one = ended(disks_before=fill(91, 49, 60), disks_after=fill(66.9, 66.2, 66.5), held_seconds=620.0)

    notification = told(one, "2026-11-26T02:15:00+01:00")

    assert notification == Notification(
        level=Level.NORMAL,
        title="Rebalance nightly finished",
        summary="4,213 files, 1.23 TB moved in 2 h 05 min",
        details=(
            "Moved: 4,213 files, 1.23 TB, 87 of 87 moves done",
            "Spread: 42.0 → 0.7 percentage points between fullest and emptiest disk",
            "Time: 2 h 05 min of work, and 10 min 20 s of waiting",
            "Next run: Thu 26 Nov 2026, 02:15",
        ),
    )


def test_a_run_that_found_nothing_to_do_says_so() -> None:
    one = ended(files_moved=0, bytes_moved=0, moves_planned=0, moves_done=0, duration_seconds=42.0)

    assert (told(one).summary, told(one).details) == ("nothing had to move", ("Time: 42 s of work",))


def test_a_disk_without_a_size_is_no_part_of_the_spread() -> None:
    gone = DiskFill("disk9", "/mnt/disk9", 0, 0)
    one = ended(disks_before=(*fill(90, 50), gone), disks_after=(*fill(70, 70), gone))

    assert "Spread: 40.0 → 0.0 percentage points between fullest and emptiest disk" in told(one).details


def test_what_stayed_is_counted_by_reason_and_the_rest_in_one_number() -> None:
    left = tuple(LeftFile("disk1", f"a/{n}", f"reason {n % 5}") for n in range(10))
    one = ended(exit_code=1, cause="left", files_left=300, left=left)

    stayed = [line for line in told(one).details if line.startswith("Stayed: ")]

    assert told(one).title == "Rebalance nightly finished in part"
    assert told(one).level is Level.WARNING
    assert stayed == [*(f"Stayed: 2 because: reason {n}" for n in range(REASONS_TOLD)), "Stayed: 294 more"]


@pytest.mark.parametrize(
    ("fields", "title", "summary"),
    [
        (
            {"cause": "error", "error_message": "disk3 is not mounted"},
            "Rebalance nightly failed",
            "disk3 is not mounted",
        ),
        (
            {"cause": "lost", "error_message": "lost: the machine was restarted"},
            "Rebalance nightly broke off",
            "the machine was restarted",
        ),
        (
            {"schedule_id": "manual", "cause": "error", "error_message": "x" * 999},
            "Rebalance by hand failed",
            "x" * 299 + "…",
        ),
    ],
)
def test_a_failure_is_an_alert_with_its_reason(fields: dict[str, Any], title: str, summary: str) -> None:
    one = ended(status=FAILED, exit_code=1, **fields)

    assert (told(one).level, told(one).title, told(one).summary) == (Level.ALERT, title, summary)
    assert told(one).details[-1] == f"More: unraid-rebalancer execution explain {one.execution_id}"


@pytest.mark.parametrize(
    ("fields", "occasion", "signal"),
    [
        ({}, Occasion.SUCCESS, Signal.SUCCESS),
        ({"cause": "time is up", "error_message": "its active hours are over"}, Occasion.SUCCESS, Signal.SUCCESS),
        ({"exit_code": 1, "cause": "left", "files_left": 1}, Occasion.FAILURE, Signal.FAIL),
        ({"status": FAILED, "exit_code": 1, "cause": "error"}, Occasion.FAILURE, Signal.FAIL),
        ({"status": FAILED, "exit_code": 1, "cause": "lost", "fired_by": "program"}, None, None),
        ({"status": CANCELLED, "exit_code": 75, "cause": "held"}, Occasion.HELD, Signal.FAIL),
        ({"status": CANCELLED, "exit_code": 75, "cause": "overlap"}, None, None),
        ({"status": SUSPENDED, "exit_code": 75, "cause": "suspended"}, None, None),
        ({"status": CANCELLED, "exit_code": 130, "cause": "cancelled"}, None, Signal.FAIL),
        ({"status": CANCELLED, "exit_code": 130, "cause": "emergency stop"}, None, Signal.FAIL),
        ({"status": SUSPENDED, "exit_code": 130, "cause": "suspended"}, None, Signal.FAIL),
    ],
)
def test_each_ending_has_its_occasion_and_its_signal(
    fields: dict[str, Any], occasion: Occasion | None, signal: Signal | None
) -> None:
    one = ended(**fields)

    found = report.ending_of(one)

    assert (found[0] if found is not None else None) is occasion
    assert report.signal_of(one) is signal
    assert report.text_of(one).startswith("Rebalance nightly")


def test_an_emergency_stop_says_what_has_ended_and_what_may_not_have() -> None:
    stuck = "process 4711 is waiting for disk3"
    verdicts = [
        Verdict(execution_id="a-nightly", schedule_id="nightly", verdict=Ending.STOPPED, seconds=0.1),
        Verdict(execution_id="b-weekly", schedule_id="weekly", verdict=Ending.KILL_PENDING, seconds=2, detail=stuck),
    ]

    occasion, notification = report.emergency_of(verdicts, actor="root", hold_reason=None)

    assert occasion is Occasion.EMERGENCY
    assert notification.level is Level.ALERT
    assert notification.summary == "1 run was stopped by root; 1 may not have ended"
    assert notification.details[:2] == ("a-nightly: stopped", f"b-weekly: kill pending: {stuck}")
    assert not any("release" in line for line in notification.details)


def test_a_name_that_is_no_text_can_be_told_all_the_same() -> None:
    stuck = "process 4711 is waiting for /mnt/disk3/caf\udce9\x1b[2J"
    verdict = Verdict(execution_id="a", schedule_id="a", verdict=Ending.KILL_PENDING, seconds=2, detail=stuck)

    notification = report.emergency_of([verdict], actor="root", hold_reason="")[1]

    assert rb"/mnt/disk3/caf\\xe9\\x1b[2J" in records.encode(notification)
    assert "Nothing new starts: no reason given" in notification.details
