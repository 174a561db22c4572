"""A record that says running is believed only while its process lives; else the reason is told apart."""

import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from records_lab import DEAD, LIVING, NOW, execution, folders_in, index_in, machine, running

from rebalancer import records
from rebalancer.executions import request
from rebalancer.executions.current import Current
from rebalancer.executions.execution import Event, ExecutionStatus, ScheduleExecution
from rebalancer.executions.live import Live
from rebalancer.executions.request import StopAction, StopRequest
from rebalancer.executions.settle import Remains, settled
from rebalancer.executions.store import ExecutionStore
from rebalancer.state import StateFolders, ensure

STARTED = (Event(NOW, "started"),)
REBOOTED = replace(LIVING, boot_id="the boot before")
PROGRESS = Live(
    moves_done=3, moves_total=9, files_moved=40, files_total=90, bytes_moved=4000, bytes_copied=4500, bytes_total=9000
)


def settle(one: ScheduleExecution, remains: Remains | None = None) -> ScheduleExecution:
    return settled(one, boot_id="this boot", is_alive=machine().is_alive, now=NOW, remains=remains or Remains())


@pytest.mark.parametrize("status", [status for status in ExecutionStatus if status.is_final])
def test_what_has_ended_stays_as_it_is(status: ExecutionStatus) -> None:
    ended = execution(1, status=status, process=DEAD)

    assert settle(ended) is ended


@pytest.mark.parametrize(
    "one",
    [
        running(1),
        replace(running(1), status=ExecutionStatus.PENDING),
        running(1, DEAD, worker=LIVING),
        running(1, REBOOTED, worker=LIVING),
    ],
)
def test_what_lives_stays_as_it_is(one: ScheduleExecution) -> None:
    assert settle(one) is one


@pytest.mark.parametrize(
    ("one", "remains", "reason"),
    [
        (running(1, REBOOTED, worker=REBOOTED), Remains(), "lost: the machine was restarted"),
        (running(1, DEAD, worker=DEAD, timeline=STARTED), Remains(), "lost: its supervisor was killed"),
        (
            running(1, DEAD, timeline=STARTED),
            Remains(last_words="MemoryError"),
            "lost: its supervisor crashed: MemoryError",
        ),
        (running(1, DEAD), Remains(), "lost: its process ended without saying how"),
        (running(1, None), Remains(), "lost: its record does not say which process it was"),
        (
            replace(running(1, DEAD), status=ExecutionStatus.PENDING),
            Remains(),
            "lost: its supervisor was killed before the work began",
        ),
    ],
)
def test_what_is_lost_says_why(one: ScheduleExecution, remains: Remains, reason: str) -> None:
    found = settle(one, remains)

    assert (found.status, found.cause, found.exit_code, found.pid) == (ExecutionStatus.FAILED, "lost", 1, None)
    assert found.error_message == reason
    assert found.end_time is not None
    assert found.timeline[-1] == Event(NOW, "ended", f"failed: {reason}")


ASKED = StopRequest(action=StopAction.EMERGENCY, reason="smoke", actor="ann")


def test_what_was_asked_to_stop_and_is_gone_was_stopped_and_did_not_fail() -> None:
    found = settle(running(1, DEAD, worker=DEAD, timeline=STARTED), Remains(request=ASKED))

    assert (found.status, found.cause, found.exit_code, found.actor) == (
        ExecutionStatus.CANCELLED,
        "emergency stop",
        130,
        "ann",
    )
    assert found.timeline[-1] == Event(NOW, "ended", "cancelled: smoke; its processes were ended")


def test_what_a_reboot_ended_was_not_stopped_by_an_older_request() -> None:
    found = settle(running(1, REBOOTED, worker=REBOOTED), Remains(request=ASKED))

    assert (found.status, found.cause) == (ExecutionStatus.FAILED, "lost")


def test_a_reader_who_is_quicker_than_who_stopped_it_reads_the_request(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    ExecutionStore(folders.executions).save(running(1, DEAD, timeline=STARTED))
    request.write(folders, running(1).execution_id, ASKED)

    found = index_in(folders).current.load(running(1).execution_id)

    assert (found.status, found.error_message) == (ExecutionStatus.CANCELLED, "smoke")


def test_the_last_figures_are_those_it_told() -> None:
    one = running(1, DEAD, files_moved=0)

    found = settle(one, Remains(progress=PROGRESS, last_seen=one.start_time + 30))

    assert (found.files_moved, found.bytes_moved, found.moves_done) == (40, 4000, 3)
    assert (found.duration_seconds, found.end_time) == (30.0, one.start_time + 30)


@pytest.mark.parametrize("lie", [{"files_moved": -5}, {"bytes_moved": 2**62}])
def test_figures_that_cannot_be_true_are_passed_over(lie: dict[str, int]) -> None:
    progress = Live(**{**{name: getattr(PROGRESS, name) for name in PROGRESS.__struct_fields__}, **lie})

    assert settle(running(1, DEAD), Remains(progress=progress)).bytes_moved == 0


def test_the_time_a_machine_was_off_is_no_work() -> None:
    found = settle(running(1, REBOOTED))

    assert found.duration_seconds == 0.0
    assert found.end_time == NOW


def test_the_next_reader_finds_it_written_down(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    store = ExecutionStore(folders.executions)
    store.save(running(1, DEAD, timeline=STARTED))
    _leave(folders, running(1).execution_id)

    found = index_in(folders).current.load(running(1).execution_id)

    assert store.load(found.execution_id) == found
    assert found.error_message == "lost: its supervisor crashed: MemoryError"
    assert found.files_moved == 40


def test_a_supervisor_that_ends_at_that_moment_has_the_last_word(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    store = ExecutionStore(folders.executions)
    seen, ended = running(1, DEAD), execution(1, process=DEAD)
    store.save(ended)

    assert Current(folders, store, clock=lambda: NOW, machine=machine).of(seen) == ended
    assert store.load(seen.execution_id) == ended


def test_an_execution_of_another_container_lives_as_long_as_it_holds_its_lock(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    one = running(1, replace(LIVING, pid_namespace=8), timeline=STARTED)
    index = index_in(folders)
    index.store.save(one)
    fd = os.open(ensure(folders.locks) / f"execution-{one.execution_id}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)

    assert index.active() == [one]
    os.close(fd)
    assert index.active() == []


def test_a_log_that_is_no_file_is_passed_over(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    one = running(1, DEAD, timeline=STARTED)
    store = ExecutionStore(folders.executions)
    store.save(one)
    os.mkfifo(ensure(folders.logs) / f"{one.execution_id}.log")
    (ensure(folders.progress) / f"{one.execution_id}.json").symlink_to("/etc/hostname")

    found = index_in(folders).current.load(one.execution_id)

    assert found.error_message == "lost: its supervisor was killed"


def test_a_planted_identity_is_only_looked_at(tmp_path: Path) -> None:
    """Identities of the test itself, its parent and init: wrong in one point each, so that each one is lost."""
    folders = folders_in(tmp_path)
    store = ExecutionStore(folders.executions)
    for number, pid in enumerate([os.getpid(), os.getppid()]):
        store.save(running(number, replace(LIVING, pid=pid, start_ticks=1)))

    found = index_in(folders).history(limit=10)

    assert {one.cause for one in found} == {"lost"}


def _leave(folders: StateFolders, execution_id: str) -> None:
    records.write(ensure(folders.progress) / f"{execution_id}.json", PROGRESS, durable=False)
    log = ensure(folders.logs) / f"{execution_id}.log"
    log.write_text("working\nTraceback (most recent call last):\n  File 'x'\nMemoryError\n")


EVENTS = (Event(NOW - 9, "due"), Event(NOW - 8, "held", "a parity check runs"))


def test_what_happened_since_its_record_was_written_is_kept_of_one_that_is_lost() -> None:
    one = running(1, DEAD, timeline=EVENTS[:1])

    found = settle(one, Remains(progress=structs.replace(PROGRESS, timeline=EVENTS)))

    assert found.timeline[:-1] == EVENTS
    assert found.timeline[-1].what == "ended"


def test_events_that_cannot_be_true_are_passed_over() -> None:
    lies = (*EVENTS, Event(-1.0, "held"))

    found = settle(running(1, DEAD, timeline=EVENTS[:1]), Remains(progress=structs.replace(PROGRESS, timeline=lies)))

    assert found.timeline[:-1] == EVENTS[:1]


def test_a_wait_that_was_cut_short_is_no_work() -> None:
    one = replace(running(1, DEAD), status=ExecutionStatus.PENDING)

    found = settle(one, Remains(progress=PROGRESS, last_seen=one.start_time + 30))

    assert found.duration_seconds == 0.0
