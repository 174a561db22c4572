"""Who is told what, and when: real runs, a real server, a script in the place of Unraid's."""

import re
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from records_lab import DEAD, NOW, machine, running
from telling_lab import EVERYTHING, Told, installation

import lab
from lab.processes import wait_until
from rebalancer.cancel import Cancel
from rebalancer.errors import RebalancerError
from rebalancer.executions.current import Current
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.job import Job
from rebalancer.executions.runner import Runner
from rebalancer.executions.telling import Teller
from rebalancer.guards.hold import Hold
from rebalancer.planning.selection import Selection

PINGS = '[notify.pings]\nnightly = "http://HERE/ping"\n'


@pytest.fixture
def told(tmp_path: Path, receiver: lab.Receiver) -> Told:
    found = installation(tmp_path, receiver)
    found.configure(PINGS)
    return found


def put_in_the_way(told: Told, *numbers: int) -> None:
    """Put another film where one should go, so that it stays."""
    for number in numbers:
        other = told.folder / "disk2/films" / f"disk1 {number}" / "film"
        other.parent.mkdir()
        other.write_bytes(b"another film")


def test_a_success_is_told_once_with_its_figures_when_that_is_wanted(told: Told) -> None:
    told.configure(f"[notify]\non = {EVERYTHING}\n{PINGS}")
    told.schedule()

    told.fire()

    (call,) = told.calls
    assert call.value_of("-s") == "Notice [TOWER] - Rebalance nightly finished"
    assert call.value_of("-i") == "normal"
    assert call.value_of("-d").startswith("4 files, 4.19 MB moved in ")
    moved, spread, took, following = call.value_of("-m").split(r"\n")
    assert moved == "Moved: 4 files, 4.19 MB, 4 of 4 moves done"
    assert re.fullmatch(r"Spread: 66\.\d → 0\.0 percentage points between fullest and emptiest disk", spread)
    assert took.startswith("Time: ")
    assert following.startswith("Next run: ")
    assert following.endswith(", 02:15")


def test_without_a_word_in_the_settings_a_success_reaches_the_monitor_only(told: Told) -> None:
    told.schedule()

    execution = told.fire()

    assert told.calls == []
    assert told.pings == ["/ping/start", "/ping"]
    first, last = (one.body for one in told.receiver.heard)
    assert first == execution.execution_id
    assert last.startswith("Rebalance nightly finished\n4 files, 4.19 MB moved")


def test_the_end_of_a_short_run_never_reaches_the_monitor_before_its_start(told: Told) -> None:
    told.receiver.answers["/ping/start"] = 503
    told.schedule(above_percent=90.0)

    execution = told.fire()

    assert execution.duration_seconds < 1
    assert told.pings == ["/ping/start", "/ping/start", "/ping/start", "/ping"]


def test_what_stayed_is_told_as_a_warning_with_the_reason(told: Told) -> None:
    told.schedule()
    put_in_the_way(told, 0, 1, 2, 3, 4, 5, 6)

    execution = told.fire()

    assert (execution.files_moved, execution.files_left) == (2, 2)
    (call,) = told.calls
    assert call.value_of("-s") == "Warning [TOWER] - Rebalance nightly finished in part"
    assert call.value_of("-i") == "warning"
    assert call.value_of("-d") == "2 files, 2.10 MB moved; 2 files or folders stayed"
    assert f"Stayed: 2 because: {execution.left[0].reason}" in call.value_of("-m")
    assert f"More: unraid-rebalancer execution explain {execution.execution_id}" in call.value_of("-m")
    assert told.pings == ["/ping/start", "/ping/fail"]


def test_attempts_of_one_run_are_told_together_at_the_last(told: Told) -> None:
    told.schedule(retries=1, retry_delay=1)
    put_in_the_way(told, *range(9))

    execution = told.fire()

    assert execution.attempt == 2
    assert told.subjects == ["Alert [TOWER] - Rebalance nightly failed"]
    assert told.calls[0].value_of("-m").startswith(r"It was tried 2 times.\n")
    assert told.pings == ["/ping/start", "/ping/start", "/ping/fail"]


def test_an_automatic_suspension_takes_the_place_of_the_failure_that_led_to_it(told: Told) -> None:
    told.schedule(suspend_after_failures=2, selection=Selection(shares=("nosuchshare",)))

    told.fire()
    told.fire()

    assert told.subjects == [
        "Alert [TOWER] - Rebalance nightly failed",
        "Alert [TOWER] - Schedule nightly is suspended",
    ]
    assert told.calls[1].value_of("-d").startswith("2 failures in a row (error): ")
    assert "unraid-rebalancer schedule resume nightly" in told.calls[1].value_of("-m")
    assert told.pings == ["/ping/start", "/ping/fail"] * 2


def test_a_run_that_waited_in_vain_is_told_with_what_held_it(told: Told) -> None:
    hour = time.gmtime().tm_hour
    told.schedule(active_hours=f"{(hour + 3) % 24:02d}:00-{(hour + 4) % 24:02d}:00", max_wait=1)

    told.fire()

    (call,) = told.calls
    assert call.value_of("-s") == "Warning [TOWER] - Rebalance nightly did not run"
    assert "outside its active hours" in call.value_of("-d")
    assert told.pings == ["/ping/fail"]


def job(told: Told, *, holds_for: float = 0.0, pauses_for: float = 0.0, guard: str = "parity") -> Job:
    """Return a job that something holds, before it begins or once it has begun, for so many seconds."""
    engine, schedule = told.engine, told.schedule(selection=Selection(bandwidth_limit=1 << 20))
    begun: list[float] = []
    hold = Hold(guard=guard, reason="a parity check is running (41 %)")
    array = replace(engine, named_disks=schedule.disks)

    def until(seconds: float) -> list[Hold]:
        begun[:] = begun or [time.monotonic()]
        return [hold] if time.monotonic() < begun[0] + seconds else []

    return Job(
        disks=array.disks,
        prepare=lambda: array.prepare(schedule, cancel=Cancel()),
        measure=array.disks,
        schedule_id="nightly",
        max_wait=60,
        holds=lambda _disks: until(holds_for) if holds_for else [],
        pauses=lambda _disks: until(pauses_for) if pauses_for else [],
    )


def carry_out(told: Told, wanted: Job) -> ScheduleExecution:
    teller = Teller(told.folders, time.time)
    execution = Runner(told.folders, Cancel(), lambda _: None, time.time, teller).run(wanted)
    teller.ended(execution)
    teller.finish()
    return execution


def test_a_run_that_waits_for_long_is_told_of_once_and_begins_all_the_same(told: Told) -> None:
    told.configure('[notify]\nheld_after = "2s"\n')

    execution = carry_out(told, job(told, holds_for=7))

    assert execution.exit_code == 0
    (call,) = told.calls
    assert call.value_of("-s").startswith("Warning [TOWER] - Rebalance nightly has waited for ")
    assert call.value_of("-d") == "a parity check is running (41 %)"
    assert "gives up after 1 min 00 s" in call.value_of("-m")


def test_a_run_that_pauses_for_long_is_told_of_once_and_goes_on_all_the_same(told: Told) -> None:
    told.configure('[notify]\nheld_after = "2s"\n')

    execution = carry_out(told, job(told, pauses_for=7))

    assert execution.exit_code == 0
    (call,) = told.calls
    assert call.value_of("-s").startswith("Warning [TOWER] - Rebalance nightly has paused for ")
    assert "goes on by itself" in call.value_of("-m")


def test_the_hours_that_the_owner_chose_are_no_long_wait(told: Told) -> None:
    told.configure('[notify]\nheld_after = "1s"\n')

    carry_out(told, job(told, holds_for=5, guard="hours"))

    assert told.calls == []


def test_a_lost_execution_that_many_readers_settle_at_once_is_told_once(told: Told) -> None:
    folders = told.folders
    lost = running(1, DEAD)
    told.engine.index.store.save(lost)
    together = threading.Barrier(8)
    found: list[ScheduleExecution] = []

    def look() -> None:
        together.wait()
        found.append(Current(folders, told.engine.index.store, lambda: NOW, machine).load(lost.execution_id))

    readers = [threading.Thread(target=look) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()

    wait_until(lambda: bool(told.calls) and bool(told.pings))
    time.sleep(2.5)  # a second notification would come a second after the first
    assert {one.cause for one in found} == {"lost"}
    assert told.subjects == ["Alert [TOWER] - Rebalance nightly broke off"]
    assert told.pings == ["/ping/fail"]


def test_what_another_program_registered_is_its_own_affair(told: Told) -> None:
    lost = running(1, DEAD, fired_by="program")
    told.engine.index.store.save(lost)

    Current(told.folders, told.engine.index.store, lambda: NOW, machine).load(lost.execution_id)

    time.sleep(1)
    assert told.calls == []
    assert told.pings == []


def test_channels_that_fail_or_hang_change_nothing_but_the_log(told: Told) -> None:
    told.receiver.answers.update({"/ping": lab.HANGS, "/bad": 500})
    lab.put_script(told.root, then="sleep 62.5")
    services = '["json://anna:geheim@HERE/bad/t0k3n", "json://127.0.0.1:1/t0k3n", "json://HERE/ping?rto=99"]'
    told.configure(f"[notify]\non = {EVERYTHING}\napprise = {services}\n{PINGS}")
    told.schedule()
    begun = time.monotonic()

    execution = told.fire()

    took = time.monotonic() - begun
    record = told.engine.index.store.load(execution.execution_id)
    assert (execution.exit_code, execution.files_moved) == (0, 4)
    assert record == execution
    assert execution.end_time is not None
    assert took - execution.duration_seconds < 11.5
    for channel in ("unraid", "apprise 1 (json)", "apprise 2 (json)", "apprise 3 (json)", "ping nightly"):
        wait_until(lambda channel=channel: f"notification not delivered: {channel}: " in told.log_of(execution))  # type: ignore[misc]


def test_whoever_stops_a_run_does_not_wait_for_notifications(told: Told) -> None:
    told.receiver.answers["/ping"] = lab.HANGS
    told.schedule(selection=Selection(bandwidth_limit=1 << 20))
    cancel, ended = Cancel(), []
    runs = threading.Thread(target=lambda: ended.append(told.fire(cancel)))
    runs.start()
    wait_until(lambda: any(one.status is ExecutionStatus.RUNNING for one in told.engine.index.active()))
    time.sleep(0.5)
    begun = time.monotonic()

    cancel.request("cancelled by Ctrl-C")
    runs.join(10)

    assert [one.status for one in ended] == [ExecutionStatus.CANCELLED]
    assert time.monotonic() - begun < 3
    wait_until(lambda: "/ping/fail" in told.pings)
    assert told.calls == []


def test_settings_that_broke_while_it_worked_leave_unraid_to_tell(told: Told) -> None:
    told.schedule(selection=Selection(shares=("nosuchshare",)))
    told.configure("[notify]\nonn = 1\n")

    told.fire()

    assert told.subjects == ["Alert [TOWER] - Rebalance nightly failed"]


def test_where_nobody_is_to_be_told_no_process_is_started(tmp_path: Path, receiver: lab.Receiver) -> None:
    told = installation(tmp_path, receiver)
    told.configure("[notify]\nunraid = false\n")
    told.schedule(selection=Selection(shares=("nosuchshare",)))

    told.fire()

    assert told.calls == []
    assert receiver.heard == []
    assert not (told.folders.locks / "notify.turn").exists()


def test_a_test_without_any_channel_says_where_to_write_one(tmp_path: Path, receiver: lab.Receiver) -> None:
    told = installation(tmp_path, receiver)
    told.configure("[notify]\nunraid = false\n")

    with pytest.raises(RebalancerError, match=r"write \[notify\] into "):
        Teller(told.folders, time.time).test()
