"""Cleanup removes what is old, never what is active or newest, and what it removes stays counted."""

import os
from pathlib import Path
from typing import Any

import pytest
from records_lab import DAY, NOW, counted, execution, files_in, fill, folders_in, index_in, recount, running

from lab import MakeDisk, remount_read_only
from rebalancer.errors import NotNowError, RefusedError, UsageError
from rebalancer.executions import cleanup
from rebalancer.executions.cleanup import Cleaned
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.process import identity_of
from rebalancer.executions.totals import Lifetime, added, save_lifetime, totals_of
from rebalancer.state import StateFolders, ensure
from rebalancer.turns import turn_at


def clean_up(
    folders: StateFolders, *, days: int = 30, keep: int = 0, failed: int = 0, dry_run: bool = False, now: float = NOW
) -> Cleaned:
    return cleanup.clean_up(folders, days=days, keep_failed_days=failed, keep_at_least=keep, now=now, dry_run=dry_run)


def save_aged(folders: StateFolders, *ages_days: int, **fields: Any) -> list[ScheduleExecution]:
    """Save one ended execution per age, the oldest first; returns them newest first."""
    saved = [
        execution(10_000 - age, start_time=NOW - age * DAY - 10, **fields) for age in sorted(ages_days, reverse=True)
    ]
    store = index_in(folders).store
    for one in saved:
        store.save(one)
    return saved[::-1]


def ids(executions: list[ScheduleExecution]) -> set[str]:
    return {one.execution_id for one in executions}


def test_records_older_than_the_days_go_and_stay_counted(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    saved = save_aged(folders, 1, 29, 31, 400, files_moved=3, bytes_moved=2**60)
    before = counted(index_in(folders))

    cleaned = clean_up(folders)

    assert set(cleaned.removed) == ids(saved[2:])
    assert index_in(folders).history(limit=10) == saved[:2]
    assert counted(index_in(folders)) == before == recount(saved)


def test_a_rehearsal_names_the_same_and_changes_nothing(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    save_aged(folders, 1, 40, 50)
    names = files_in(folders.executions)

    rehearsed = clean_up(folders, dry_run=True)

    assert files_in(folders.executions) == names
    assert not folders.statistics.exists()
    assert clean_up(folders) == rehearsed
    assert rehearsed.bytes_freed > 100


def test_the_newest_record_stays_whatever_its_age(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    saved = save_aged(folders, 500, 600)

    clean_up(folders, days=0)

    assert index_in(folders).history(limit=10) == saved[:1]


def test_a_number_of_records_stays_for_each_schedule(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    save_aged(folders, *range(40, 50))
    save_aged(folders, *range(40, 50), schedule_id="weekly")

    cleaned = clean_up(folders, keep=3)

    assert len(cleaned.removed) == 14
    assert len(index_in(folders).latest("weekly", count=100)) == 3


def test_failures_stay_longer_when_asked(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    save_aged(folders, 1)
    failures = save_aged(folders, 50, 100, status=ExecutionStatus.FAILED)

    cleaned = clean_up(folders, failed=90)

    assert set(cleaned.removed) == ids(failures[1:])


def test_what_is_active_stays_however_old(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    waiting = running(1, identity_of(os.getpid(), ""), start_time=NOW - 400 * DAY)
    store = index_in(folders).store
    store.save(waiting)
    save_aged(folders, 1, 50)

    cleaned = clean_up(folders, days=0)

    assert waiting.execution_id not in cleaned.removed
    assert store.load(waiting.execution_id) == waiting


def test_only_the_schedule_that_was_named_is_cleaned(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    save_aged(folders, 40, 50)
    save_aged(folders, 40, 50, schedule_id="weekly")

    cleaned = cleanup.clean_up(
        folders, days=30, keep_failed_days=0, keep_at_least=0, now=NOW, dry_run=False, schedule_id="weekly"
    )

    assert len(cleaned.removed) == 1
    assert "weekly" in cleaned.removed[0]


def test_what_removed_executions_left_goes_too_and_nothing_else(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    kept, gone = save_aged(folders, 1, 50)
    old = NOW - 3 * DAY
    for one in (kept, gone):
        for path in (
            folders.logs / f"{one.execution_id}.log",
            folders.progress / f"{one.execution_id}.json",
            folders.requests / f"{one.execution_id}.json",
            folders.locks / f"execution-{one.execution_id}.lock",
        ):
            ensure(path.parent)
            path.write_bytes(b"x" * 1000)
            os.utime(path, (old, old))
    (folders.logs / "mine.txt").write_text("mine")
    (folders.logs / "just-begun.log").write_text("young")
    os.utime(folders.logs / "just-begun.log", (NOW - 60, NOW - 60))
    temporary = folders.executions / f".{gone.execution_id}.json.0a1b2c3d.tmp"
    temporary.write_bytes(b"x" * 500)
    os.utime(temporary, (old, old))

    rehearsed, cleaned = clean_up(folders, dry_run=True), clean_up(folders)

    assert cleaned == rehearsed
    assert cleaned.bytes_freed > 3500
    assert files_in(folders.logs) == sorted([f"{kept.execution_id}.log", "just-begun.log", "mine.txt"])
    assert files_in(folders.progress) == files_in(folders.requests) == [f"{kept.execution_id}.json"]
    assert files_in(folders.locks) == [f"execution-{kept.execution_id}.lock"]
    assert not temporary.exists()


def test_a_cleanup_that_was_cut_short_counts_nothing_twice(tmp_path: Path) -> None:
    """The figures were written and one of two records removed when it was killed."""
    folders = folders_in(tmp_path)
    saved = save_aged(folders, 1, 40, 50)
    totals = added(totals_of(one) for one in saved[1:])
    removing = tuple(one.execution_id for one in saved[1:])
    save_lifetime(folders.statistics, Lifetime(schedule_id="nightly", totals=totals, removing=removing))
    index_in(folders).store.path_of(removing[0]).unlink()

    assert counted(index_in(folders)) == recount(saved)
    assert set(clean_up(folders).removed) == {removing[1]}
    assert counted(index_in(folders)) == recount(saved)
    assert index_in(folders).history(limit=10) == saved[:1]


def test_many_records_go_in_several_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "_BATCH", 50)
    folders = folders_in(tmp_path)
    saved = save_aged(folders, *range(1, 180), files_moved=1)

    cleaned = clean_up(folders, days=10)

    assert len(cleaned.removed) == 169
    assert counted(index_in(folders)) == recount(saved)


def test_a_damaged_file_of_statistics_is_set_aside(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    saved = save_aged(folders, 1, 40)
    ensure(folders.statistics)
    (folders.statistics / "nightly.json").write_bytes(b"torn")

    assert counted(index_in(folders)) == recount(saved)
    clean_up(folders)
    assert counted(index_in(folders)) == recount(saved)
    assert (folders.statistics / "damaged" / "nightly.json").read_bytes() == b"torn"


@pytest.mark.parametrize("numbers", [{"days": -1}, {"keep": -1}, {"failed": -1}])
def test_numbers_below_zero_are_refused(tmp_path: Path, numbers: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        clean_up(folders_in(tmp_path), **numbers)  # type: ignore[arg-type]


def test_a_second_cleanup_waits_and_then_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "_PATIENCE", 0.05)
    folders = folders_in(tmp_path)

    with (
        turn_at(ensure(folders.statistics), patience=0) as is_ours,
        pytest.raises(NotNowError, match="another cleanup"),
    ):
        clean_up(folders)

    assert is_ours


@pytest.mark.needs_mounts
def test_a_full_disk_can_be_cleaned_up(make_disk: MakeDisk) -> None:
    disk = make_disk("tmpfs", 4, "state")
    folders = folders_in(disk)
    saved = save_aged(folders, 1, 2, 50)
    clean_up(folders)
    fill(disk)

    cleaned = clean_up(folders, days=1)

    assert len(cleaned.removed) == 1
    assert counted(index_in(folders)) == recount(saved)


@pytest.mark.needs_mounts
def test_a_full_disk_without_the_room_that_was_kept_loses_nothing(make_disk: MakeDisk) -> None:
    disk = make_disk("tmpfs", 4, "state")
    folders = folders_in(disk)
    saved = save_aged(folders, 1, 50)
    ensure(folders.statistics)
    fill(disk)

    with pytest.raises(RefusedError, match="no space left"):
        clean_up(folders)

    assert counted(index_in(folders)) == recount(saved)
    assert index_in(folders).history(limit=10) == saved


@pytest.mark.needs_mounts
def test_a_read_only_folder_refuses_with_a_sentence(make_disk: MakeDisk) -> None:
    disk = make_disk("tmpfs", 4, "state")
    folders = folders_in(disk)
    saved = save_aged(folders, 1, 50)
    remount_read_only(disk)

    with pytest.raises(RefusedError, match="read-only"):
        clean_up(folders)

    assert counted(index_in(folders)) == recount(saved)


def test_few_old_records_wait_for_more_of_them(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    save_aged(folders, 1, 40, 50)
    terms: dict[str, Any] = {"days": 30, "keep_failed_days": 0, "keep_at_least": 0, "now": NOW, "dry_run": False}

    waited = cleanup.clean_up(folders, **terms, at_least=3)
    cleaned = cleanup.clean_up(folders, **terms, at_least=2)

    assert waited.removed == ()
    assert len(cleaned.removed) == 2
