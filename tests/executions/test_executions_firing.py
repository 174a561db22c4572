"""A schedule's turn, with real disks (folders with a limit) and real workers."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from rebalancer import records
from rebalancer.cancel import Cancel
from rebalancer.engine import Engine
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.planning.selection import Selection
from rebalancer.schedules.schedule import Overlap, Schedule, Suspension
from rebalancer.settings import Settings
from rebalancer.state import StateFolders

NOW_SLOT = "2026-11-23T02:15:00+00:00"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    for name, units in (("disk1", 9), ("disk2", 1)):
        for number in range(units):
            folder = tmp_path / name / "films" / f"{name} {number}"
            folder.mkdir(parents=True)
            (folder / "film").write_bytes(os.urandom(1 << 20))
    folders = StateFolders(config=tmp_path / "state", runtime_root=tmp_path / "run")
    return Engine(folders=folders, settings=Settings(), root=Path("/"))


def schedule_on(engine: Engine, tmp_path: Path, **options: object) -> Schedule:
    disks = tuple(f"{tmp_path / name},size=12MiB" for name in ("disk1", "disk2"))
    wanted = Schedule(schedule_id="nightly", cron="15 2 * * *", timezone="UTC", disks=disks)
    return engine.schedules.create(structs.replace(wanted, **options), now=1.0)


def fire(
    engine: Engine, *, by: str = "hand", slot: str | None = None, cancel: Cancel | None = None
) -> ScheduleExecution | None:
    return engine.fire("nightly", fired_by=by, slot=slot, cancel=cancel or Cancel(), on_message=lambda _: None)


def test_a_schedule_balances_the_disks_that_it_remembers(engine: Engine, tmp_path: Path) -> None:
    schedule_on(engine, tmp_path)

    execution = fire(engine)

    assert execution is not None
    assert (execution.status, execution.exit_code, execution.cause) == (ExecutionStatus.COMPLETED, 0, "done")
    assert execution.files_moved == execution.moves_done == 4
    assert len(list((tmp_path / "disk2/films").iterdir())) == 5
    assert records.read(engine.folders.executions / f"{execution.execution_id}.json", ScheduleExecution) == execution


def test_a_slot_fires_once(engine: Engine, tmp_path: Path) -> None:
    schedule_on(engine, tmp_path)

    first = fire(engine, by="clock", slot=NOW_SLOT)
    second = fire(engine, by="clock", slot=NOW_SLOT)

    assert first is not None
    assert first.slot == NOW_SLOT
    assert second is None


def test_a_suspended_schedule_leaves_a_record_that_says_by_whom_and_why(engine: Engine, tmp_path: Path) -> None:
    schedule_on(engine, tmp_path)
    engine.schedules.suspend("nightly", Suspension(reason="maintenance window", actor="ann", since=2.0))

    execution = fire(engine, by="clock", slot=NOW_SLOT)

    assert execution is not None
    assert (execution.status, execution.exit_code) == (ExecutionStatus.SUSPENDED, 75)
    assert execution.error_message == "suspended by ann: maintenance window"
    assert [event.what for event in execution.timeline] == ["due", "did not run"]


def test_a_hold_keeps_everything_from_starting(engine: Engine, tmp_path: Path) -> None:
    schedule_on(engine, tmp_path)
    engine.control.hold("a disk is being swapped")

    held = fire(engine)
    engine.control.release()
    released = fire(engine)

    assert held is not None
    assert released is not None
    assert (held.status, held.exit_code, held.cause) == (ExecutionStatus.CANCELLED, 75, "emergency hold")
    assert released.exit_code == 0


def test_nothing_is_done_while_no_disk_is_as_full_as_the_schedule_asks_for(engine: Engine, tmp_path: Path) -> None:
    schedule_on(engine, tmp_path, above_percent=90.0)

    execution = fire(engine)

    assert execution is not None
    assert (execution.exit_code, execution.files_moved, execution.moves_planned) == (0, 0, 0)


def test_an_overlapping_firing_is_skipped_queued_or_takes_the_place(engine: Engine, tmp_path: Path) -> None:
    slow = Selection(bandwidth_limit=1 << 20)
    schedule_on(engine, tmp_path, selection=slow)
    ended: list[ScheduleExecution | None] = []
    first = threading.Thread(target=lambda: ended.append(fire(engine)))
    first.start()
    _wait_for_running(engine)

    skipped = fire(engine)
    engine.schedules.change("nightly", lambda one: structs.replace(one, overlap=Overlap.QUEUE), now=3.0)
    queued = fire(engine)

    first.join()
    assert skipped is not None
    assert queued is not None
    assert ended[0] is not None
    assert (skipped.cause, skipped.exit_code) == ("overlap", 75)
    assert queued.exit_code == ended[0].exit_code == 0
    assert queued.start_time >= (ended[0].end_time or 0.0)


def test_outside_its_active_hours_it_waits_and_says_so(engine: Engine, tmp_path: Path) -> None:
    hour = time.gmtime().tm_hour
    closed = f"{(hour + 3) % 24:02d}:00-{(hour + 4) % 24:02d}:00"
    schedule_on(engine, tmp_path, active_hours=closed, max_wait=1)

    execution = fire(engine)

    assert execution is not None
    assert (execution.status, execution.exit_code, execution.cause) == (ExecutionStatus.CANCELLED, 75, "held")
    assert "outside its active hours" in execution.error_message
    assert execution.held_seconds >= 1
    assert execution.duration_seconds == 0


def test_failures_of_one_cause_in_a_row_suspend_the_schedule(engine: Engine, tmp_path: Path) -> None:
    schedule_on(engine, tmp_path, suspend_after_failures=2, selection=Selection(shares=("nosuchshare",)))

    fire(engine)
    before = engine.schedules.get("nightly").suspension
    fire(engine)
    after = engine.schedules.get("nightly").suspension

    assert before is None
    assert after is not None
    assert after.actor == "automatic"
    assert "2 failures in a row" in after.reason


def test_a_failed_attempt_is_made_again_and_each_has_its_record(engine: Engine, tmp_path: Path) -> None:
    schedule_on(engine, tmp_path, retries=1, retry_delay=1)
    for folder in (tmp_path / "disk1/films").iterdir():
        in_the_way = tmp_path / "disk2/films" / folder.name / "film"
        in_the_way.parent.mkdir()
        in_the_way.write_bytes(b"another film")

    execution = fire(engine)

    history = engine.index.history(schedule_id="nightly", status=None, since=None, limit=10)
    assert execution is not None
    assert (execution.status, execution.cause) == (ExecutionStatus.FAILED, "left")
    assert [(one.attempt, one.fired_by) for one in history] == [(2, "retry"), (1, "hand")]


def test_old_records_go_after_a_run_by_hand_and_what_they_stood_for_stays(engine: Engine, tmp_path: Path) -> None:
    for number in range(40):
        old = ScheduleExecution(
            execution_id=f"20200101T0000{number:02d}Z-manual-aaaaaa",
            schedule_id="manual",
            start_time=1.6e9 + number,
            end_time=1.6e9 + number + 1,
            status=ExecutionStatus.COMPLETED,
            exit_code=0,
            files_moved=1,
        )
        engine.index.store.save(old)
    by_hand = replace(engine, named_disks=[f"{tmp_path / name},size=12MiB" for name in ("disk1", "disk2")])
    inventory = by_hand.scan(Selection(), cancel=Cancel(), on_progress=lambda *_: None)

    by_hand.run(by_hand.plan(inventory, Selection()), Selection(), cancel=Cancel(), on_message=lambda _: None)

    statistics = engine.index.statistics("manual")
    assert len(engine.index.history(schedule_id="manual", status=None, since=None, limit=99)) == 10
    assert statistics is not None
    assert (statistics.total_executions, statistics.total_files_moved) == (41, 40 + 4)


def test_a_stop_request_is_in_the_record_with_its_reason(engine: Engine, tmp_path: Path) -> None:
    schedule_on(engine, tmp_path, selection=Selection(bandwidth_limit=1 << 20))
    cancel, ended = Cancel(), []
    runs = threading.Thread(target=lambda: ended.append(fire(engine, cancel=cancel)))
    runs.start()
    _wait_for_running(engine)

    cancel.request("cancelled by Ctrl-C")

    runs.join(10)
    assert [one.status for one in ended if one] == [ExecutionStatus.CANCELLED]
    assert ended[0] is not None
    assert "asked to stop" in [event.what for event in ended[0].timeline]
    assert not list(tmp_path.glob("disk*/**/.rebalancer-*"))


def _wait_for_running(engine: Engine) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if any(one.status is ExecutionStatus.RUNNING for one in engine.index.active()):
            return
        time.sleep(0.05)
    pytest.fail("nothing runs after 20 s")
