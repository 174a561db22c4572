"""Schedules as files: saved, changed, suspended; by several processes at once; among files that are no schedules."""

import multiprocessing
import os
import stat
import sys
import threading
from pathlib import Path

import pytest
from msgspec import structs

from rebalancer import records
from rebalancer.errors import DamagedRecordError, NotFoundError, NotNowError, RefusedError, UsageError
from rebalancer.guards.options import EVERY_GUARD, GuardOptions
from rebalancer.planning.selection import Selection
from rebalancer.schedules.manager import ScheduleManager, is_suspended
from rebalancer.schedules.schedule import Missed, Overlap, Schedule, Suspension

SCHEDULE = Schedule(
    schedule_id="nightly",
    cron="15 4 * * *",
    name="Every night",
    timezone="Europe/Berlin",
    disks=("/mnt/a", "/mnt/b,size=10GB,name=b"),
    selection=Selection(shares=("movies",), max_runtime=3600),
    overlap=Overlap.QUEUE,
    missed=Missed.RUN_ONCE,
)
SUSPENSION = Suspension(reason="maintenance", actor="anna", since=2000.0)


@pytest.fixture
def manager(tmp_path: Path) -> ScheduleManager:
    return ScheduleManager(tmp_path / "config")


@pytest.fixture
def nightly(manager: ScheduleManager) -> Schedule:
    return manager.create(SCHEDULE, now=1000.0)


def test_a_schedule_is_read_as_it_was_created(manager: ScheduleManager, nightly: Schedule) -> None:
    assert manager.get("nightly") == nightly == structs.replace(SCHEDULE, created_at=1000.0, updated_at=1000.0)


def test_a_schedule_is_one_closed_file_named_by_its_id(manager: ScheduleManager, nightly: Schedule) -> None:
    (file,) = manager.folder.iterdir()

    assert file.name == "nightly.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(manager.folder.stat().st_mode) == 0o700


def test_a_schedule_from_before_there_were_guards_has_them_all(manager: ScheduleManager, nightly: Schedule) -> None:
    (file,) = manager.folder.iterdir()

    assert b"guards" not in file.read_bytes()
    assert manager.get("nightly").guards == EVERY_GUARD


def test_the_guards_of_a_schedule_are_kept(manager: ScheduleManager, nightly: Schedule) -> None:
    guards = GuardOptions(ignored=("mover",), max_temperature=42, cool_down=5)
    manager.change("nightly", lambda one: structs.replace(one, guards=guards), now=2000.0)

    assert manager.get("nightly").guards == guards


def test_a_taken_id_is_refused(manager: ScheduleManager, nightly: Schedule) -> None:
    with pytest.raises(RefusedError, match="there is a schedule nightly already"):
        manager.create(structs.replace(SCHEDULE, name="another"), now=1.0)

    assert manager.get("nightly") == nightly


def test_a_damaged_file_keeps_its_id_taken(manager: ScheduleManager, nightly: Schedule) -> None:
    (manager.folder / "nightly.json").write_text("{")

    with pytest.raises(RefusedError):
        manager.create(SCHEDULE, now=1.0)


def test_a_schedule_that_is_not_allowed_is_not_saved(manager: ScheduleManager) -> None:
    with pytest.raises(UsageError, match="never runs"):
        manager.create(structs.replace(SCHEDULE, cron="0 0 30 2 *"), now=1.0)

    assert manager.list() == []


@pytest.mark.parametrize("unknown", ["weekly", "../nightly", "a/b", "", "Nightly", "x" * 300, "nightly\0", "\udcff"])
def test_an_unknown_id_is_not_found(manager: ScheduleManager, nightly: Schedule, unknown: str) -> None:
    for ask in (
        manager.get,
        manager.delete,
        lambda name: manager.resume(name, now=1.0),
        lambda name: manager.suspend(name, SUSPENSION),
        lambda name: manager.set_enabled(name, enabled=False, now=1.0),
    ):
        with pytest.raises(NotFoundError, match="there is no schedule"):
            ask(unknown)


def test_the_list_is_by_id_and_empty_without_a_folder(manager: ScheduleManager) -> None:
    assert (manager.list(), manager.damaged()) == ([], [])

    for name in ("weekly", "a", "nightly-2"):
        manager.create(structs.replace(SCHEDULE, schedule_id=name), now=1.0)

    assert [schedule.schedule_id for schedule in manager.list()] == ["a", "nightly-2", "weekly"]


def test_an_edit_keeps_the_creation_and_notes_the_change(manager: ScheduleManager, nightly: Schedule) -> None:
    edited = manager.edit(structs.replace(nightly, jitter=60, created_at=5.0), now=3000.0)

    assert edited == manager.get("nightly")
    assert (edited.jitter, edited.created_at, edited.updated_at) == (60, 1000.0, 3000.0)


def test_an_edit_of_what_somebody_else_changed_is_refused_and_loses_nothing(
    manager: ScheduleManager, nightly: Schedule
) -> None:
    theirs = manager.edit(structs.replace(nightly, retries=3), now=1000.0)  # the clock stands still

    with pytest.raises(NotNowError, match="was changed in the meantime"):
        manager.edit(structs.replace(nightly, jitter=60), now=1000.0)

    assert manager.get("nightly") == theirs


def test_an_edit_that_is_not_allowed_changes_nothing(manager: ScheduleManager, nightly: Schedule) -> None:
    with pytest.raises(UsageError, match=r"^jitter: "):
        manager.edit(structs.replace(nightly, jitter=-1), now=2.0)

    assert manager.get("nightly") == nightly


def test_a_change_cannot_give_a_schedule_another_id(manager: ScheduleManager, nightly: Schedule) -> None:
    manager.change("nightly", lambda stored: structs.replace(stored, schedule_id="other", jitter=1), now=2.0)

    assert [schedule.schedule_id for schedule in manager.list()] == ["nightly"]


def test_a_deleted_schedule_is_gone(manager: ScheduleManager, nightly: Schedule) -> None:
    manager.delete("nightly")

    assert manager.list() == []
    with pytest.raises(NotFoundError):
        manager.delete("nightly")


def test_a_damaged_schedule_can_be_deleted(manager: ScheduleManager, nightly: Schedule) -> None:
    (manager.folder / "nightly.json").write_text("{")

    manager.delete("nightly")

    assert manager.damaged() == []


def test_a_schedule_is_disabled_and_enabled(manager: ScheduleManager, nightly: Schedule) -> None:
    assert not manager.set_enabled("nightly", enabled=False, now=2000.0).enabled
    assert manager.set_enabled("nightly", enabled=True, now=2000.0).enabled


def test_a_suspension_is_part_of_the_file_and_ends_with_resume(manager: ScheduleManager, nightly: Schedule) -> None:
    assert manager.suspend("nightly", SUSPENSION).suspension == SUSPENSION
    assert manager.get("nightly").suspension == SUSPENSION

    resumed = manager.resume("nightly", now=3000.0)

    assert manager.get("nightly").suspension is None
    assert manager.resume("nightly", now=4000.0) == resumed


def test_a_suspension_counts_until_its_end() -> None:
    endless, ending = SUSPENSION, structs.replace(SUSPENSION, until=2500.0)

    assert not is_suspended(SCHEDULE, now=2000.0)
    assert is_suspended(structs.replace(SCHEDULE, suspension=endless), now=1e12)
    assert is_suspended(structs.replace(SCHEDULE, suspension=ending), now=2499.9)
    assert not is_suspended(structs.replace(SCHEDULE, suspension=ending), now=2500.0)


def test_a_suspension_that_would_be_over_at_once_is_refused(manager: ScheduleManager, nightly: Schedule) -> None:
    with pytest.raises(UsageError, match=r"^until: "):
        manager.suspend("nightly", structs.replace(SUSPENSION, until=1999.0))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b'"x"', b"\xff", b"[" * 100_000, b"9" * 5000, b"{}",
        b'{"schedule_id":"nightly","cron":"0 0 30 2 *"}',
        b'{"schedule_id":"nightly","cron":"0 3 * * *","jitter":1e300}',
        b'{"schedule_id":"nightly","cron":"0 3 * * *","retries":99}',
        b'{"schedule_id":"other","cron":"0 3 * * *"}',
        b'{"schedule_id":"nightly","cron":"0 3 * * *\\n* * * * * evil"}',
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_believed_is_named_and_passed_over(
    manager: ScheduleManager, nightly: Schedule, content: bytes
) -> None:
    manager.create(structs.replace(SCHEDULE, schedule_id="weekly"), now=1.0)
    (manager.folder / "nightly.json").write_bytes(content)

    assert [schedule.schedule_id for schedule in manager.list()] == ["weekly"]
    (sentence,) = manager.damaged()
    assert "nightly.json: " in sentence
    with pytest.raises(DamagedRecordError):
        manager.get("nightly")


def test_links_pipes_folders_and_foreign_names_are_named_and_never_read(
    manager: ScheduleManager, nightly: Schedule
) -> None:
    (manager.folder / "link.json").symlink_to(manager.folder / "nightly.json")
    os.mkfifo(manager.folder / "pipe.json")
    (manager.folder / "folder.json").mkdir()
    (manager.folder / "UPPER.json").write_text("{}")
    (manager.folder / ".nightly.json.12.tmp").write_text("{")
    (manager.folder / "notes.txt").write_text("mine")

    assert [schedule.schedule_id for schedule in manager.list()] == ["nightly"]
    assert [sentence.split("/")[-1].split(":")[0] for sentence in manager.damaged()] == [
        "UPPER.json",
        "folder.json",
        "link.json",
        "pipe.json",
    ]


def test_a_folder_that_others_can_write_to_is_refused(manager: ScheduleManager, nightly: Schedule) -> None:
    manager.folder.chmod(0o777)

    for ask in (manager.list, lambda: manager.get("nightly"), lambda: manager.resume("nightly", now=1.0)):
        with pytest.raises(RefusedError, match="can be written by others"):
            ask()


def test_a_config_folder_that_is_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("")

    with pytest.raises(RefusedError, match="not a directory"):
        ScheduleManager(tmp_path / "config").create(SCHEDULE, now=1.0)


def _set_field(folder: Path, field: str, values: range) -> None:
    manager = ScheduleManager(folder)
    for value in values:
        manager.change("nightly", lambda stored: structs.replace(stored, **{field: value}), now=float(value))  # noqa: B023 - called at once


def test_two_processes_that_edit_at_once_lose_nothing(manager: ScheduleManager, nightly: Schedule) -> None:
    context = multiprocessing.get_context("fork")
    fields = {"jitter": 121, "max_wait": 131, "keep_at_least": 141}
    writers = [
        context.Process(target=_set_field, args=(manager.folder.parent, field, range(last - 60, last + 1)))
        for field, last in fields.items()
    ]

    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(manager.get("nightly").jitter)  # a reader needs no lock and never sees half a file
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    stored = manager.get("nightly")
    assert {field: getattr(stored, field) for field in fields} == fields
    assert len(seen) > 1
    assert [file.name for file in manager.folder.iterdir()] == ["nightly.json"]


def test_of_two_that_create_the_same_schedule_one_is_refused(manager: ScheduleManager) -> None:
    barrier = threading.Barrier(8)
    outcomes: list[str] = []

    def create(name: str) -> None:
        barrier.wait()
        try:
            outcomes.append(
                ScheduleManager(manager.folder.parent).create(structs.replace(SCHEDULE, name=name), now=1.0).name
            )
        except RefusedError:
            outcomes.append("refused")

    threads = [threading.Thread(target=create, args=(f"writer {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count("refused") == 7
    assert manager.get("nightly").name in outcomes


def _die_before_the_rename(folder: Path) -> None:
    def audit(event: str, _arguments: object) -> None:
        if event == "os.rename":
            os._exit(9)  # as suddenly as KILL

    sys.addaudithook(audit)
    ScheduleManager(folder).set_enabled("nightly", enabled=False, now=2000.0)


def test_what_a_killed_process_left_is_not_read_and_goes_with_the_next_change(
    manager: ScheduleManager, nightly: Schedule
) -> None:
    child = multiprocessing.get_context("fork").Process(target=_die_before_the_rename, args=(manager.folder.parent,))
    child.start()
    child.join()

    assert child.exitcode == 9
    assert len(list(manager.folder.iterdir())) == 2
    assert (manager.list(), manager.damaged()) == ([nightly], [])

    manager.set_enabled("nightly", enabled=False, now=3000.0)

    assert [file.name for file in manager.folder.iterdir()] == ["nightly.json"]


def test_a_file_of_a_later_version_with_more_fields_is_read(manager: ScheduleManager, nightly: Schedule) -> None:
    path = manager.folder / "nightly.json"
    path.write_bytes(path.read_bytes()[:-1] + b',"new_field":1}')

    assert records.read(path, Schedule) == manager.get("nightly") == nightly
