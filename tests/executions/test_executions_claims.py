"""At most one firing per slot: across processes, crashes, reboots and a wall clock that jumps."""

import multiprocessing
import os
from pathlib import Path

import pytest

from rebalancer.errors import RefusedError
from rebalancer.executions.claims import claim, newest_slot, note_missed, read_ledger
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.schedules.slots import Slot, slot_at

HOUR = 3600.0
NOW = 1_795_424_400.0


def slot(hours: float) -> Slot:
    return slot_at(NOW + hours * HOUR, "Europe/Berlin")


def test_a_slot_is_given_once(tmp_path: Path) -> None:
    assert claim(tmp_path, "nightly", slot(0))
    assert not claim(tmp_path, "nightly", slot(0))
    assert claim(tmp_path, "weekly", slot(0))
    assert claim(tmp_path, "nightly", slot(1))


def test_slots_are_the_same_when_their_instants_are(tmp_path: Path) -> None:
    assert claim(tmp_path, "nightly", slot_at(NOW, "Europe/Berlin"))
    assert not claim(tmp_path, "nightly", slot_at(NOW, "Asia/Tokyo"))


def test_a_clock_that_is_set_back_fires_nothing_twice_and_loses_nothing(tmp_path: Path) -> None:
    assert [claim(tmp_path, "nightly", slot(hours)) for hours in (0, 24, 25)] == [True, True, True]

    assert [claim(tmp_path, "nightly", slot(hours)) for hours in (0, 1, 24, 25, 26)] == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_one_wrong_date_far_ahead_does_not_end_the_schedule(tmp_path: Path) -> None:
    assert claim(tmp_path, "nightly", slot(24 * 365 * 12))

    assert claim(tmp_path, "nightly", slot(24))
    assert read_ledger(tmp_path, "nightly").until == slot(24).at


def contend(folder: Path, start: object, won: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    for hours in range(40):
        if claim(folder, "nightly", slot(hours)):
            won.put(hours)  # type: ignore[attr-defined]


def test_processes_that_want_the_same_slots_get_each_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, won = context.Event(), context.SimpleQueue()
    processes = [context.Process(target=contend, args=(tmp_path, start, won)) for _ in range(4)]
    for process in processes:
        process.start()

    start.set()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert sorted(won.get() for _ in range(40)) == list(range(40))
    assert won.empty()


def test_a_claim_counts_although_the_process_is_killed_right_after_it(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        claim(tmp_path, "nightly", slot(0))
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)

    assert not claim(tmp_path, "nightly", slot(0))


def test_after_a_reboot_the_records_are_asked(tmp_path: Path) -> None:
    recorded = slot(5)

    assert not claim(tmp_path, "nightly", slot(5), known=lambda: recorded)
    assert not claim(tmp_path, "nightly", slot(4), known=lambda: recorded)  # a clock that starts too early
    assert claim(tmp_path, "nightly", slot(6), known=lambda: recorded)
    assert not claim(tmp_path, "nightly", slot(4), known=lambda: pytest.fail("the ledger knows"))


def test_a_damaged_ledger_is_as_a_reboot(tmp_path: Path) -> None:
    (tmp_path / "nightly.json").write_text('{"fired": ["never"')

    assert not claim(tmp_path, "nightly", slot(5), known=lambda: slot(5))
    assert claim(tmp_path, "nightly", slot(6), known=lambda: slot(5))


def test_what_was_missed_is_noted_by_one_and_may_still_fire(tmp_path: Path) -> None:
    assert note_missed(tmp_path, "nightly", slot(3))
    assert not note_missed(tmp_path, "nightly", slot(3))
    assert not note_missed(tmp_path, "nightly", slot(2))
    assert claim(tmp_path, "nightly", slot(2))


def test_a_folder_that_takes_no_claim_gives_no_slot(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    folder.write_text("a file where the folder should be")

    with pytest.raises(RefusedError):
        claim(folder, "nightly", slot(0))


def test_the_newest_slot_is_told_by_the_records() -> None:
    records = [
        ScheduleExecution(execution_id=f"e{n}", schedule_id="nightly", start_time=NOW, slot=key)
        for n, key in enumerate([slot(1).local, "", slot(2).local, "written by hand", slot(0).local])
    ]

    assert newest_slot(records) == slot(2)
    assert newest_slot([]) is None
