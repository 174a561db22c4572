"""Records are believed when they can be true; whatever else lies among them is named and harms nothing."""

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from records_lab import LIVING, document_of, execution, files_in, fill, folders_in, index_in, plant, running

from lab import MakeDisk, remount_read_only
from rebalancer.errors import DamagedRecordError, NotFoundError, RefusedError
from rebalancer.executions.cleanup import clean_up
from rebalancer.executions.execution import ExecutionStatus, LeftFile, ScheduleExecution
from rebalancer.executions.store import ExecutionStore

GOOD = execution(1)
LIES: dict[str, dict[str, Any]] = {
    "pid true": {"pid": True},
    "pid -1": {"pid": -1},
    "pid 0": {"pid": 0},
    "pid 1": {"pid": 1},
    "pid 2^40": {"pid": 2**40},
    "pid text": {"pid": "7"},
    "a supervisor that is init": {"process": {**asdict(LIVING), "pid": 1}},
    "ticks below zero": {"process": {**asdict(LIVING), "start_ticks": -1}},
    "bytes below zero": {"bytes_moved": -1},
    "files beyond any array": {"files_moved": 2**61},
    "a duration below zero": {"duration_seconds": -0.5},
    "ended without an end": {"end_time": None},
    "a time that no calendar has": {"start_time": 1e15},
    "a time below zero": {"start_time": -1.0},
    "an unknown status": {"status": "sleeping"},
    "a schedule that leads elsewhere": {"schedule_id": "../../etc/passwd"},
    "the id of another record": {"execution_id": "00000002-nightly-abc"},
    "an exit code beyond any": {"exit_code": 2**40},
    "an event at no time": {"timeline": [{"at": -1.0, "what": "due"}]},
    "a disk of negative size": {"disks_after": [{"name": "d", "path": "/d", "size_bytes": -1, "used_bytes": 0}]},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_record_that_cannot_be_true_is_damaged(tmp_path: Path, lie: str) -> None:
    folders = folders_in(tmp_path)
    plant(folders, f"{GOOD.execution_id}.json", document_of(GOOD, **LIES[lie]))

    with pytest.raises(DamagedRecordError):
        ExecutionStore(folders.executions).load(GOOD.execution_id)


def test_the_unchanged_document_is_believed(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    plant(folders, f"{GOOD.execution_id}.json", document_of(GOOD))

    assert ExecutionStore(folders.executions).load(GOOD.execution_id) == GOOD


def test_fields_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    plant(folders, f"{GOOD.execution_id}.json", document_of(GOOD, mood="serene", parts=[1, {"a": None}]))

    assert ExecutionStore(folders.executions).load(GOOD.execution_id) == GOOD


def _link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 * 2**20)


def _text(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


PLANTED: dict[str, Callable[[Path], None]] = {
    "empty": _text(b""),
    "torn": _text(b'{"execution_id": "x", "sche'),
    "list": _text(b"[]"),
    "null": _text(b"null"),
    "text": _text(b'"completed"'),
    "number of 5,000 digits": _text(b'{"execution_id": ' + b"9" * 5000 + b"}"),
    "100,000 brackets": _text(b'{"x": ' + b"[" * 100_000),
    "100,000 closed brackets": _text(b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "no UTF-8": _text(b'{"execution_id": "\xff\xfe"}'),
    "a byte order mark": _text(b"\xef\xbb\xbf{}"),
    "infinity": _text(b'{"start_time": 1e999}'),
    "not a number": _text(b'{"start_time": NaN}'),
    "100 MB": _huge,
    "symbolic link": _link,
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_file_is_named_and_the_others_are_shown(tmp_path: Path, kind: str) -> None:
    folders = folders_in(tmp_path)
    index = index_in(folders)
    index.store.save(GOOD)
    PLANTED[kind](folders.executions / "00000009-planted-abc.json")

    damaged = index.store.damaged()

    assert [name for name, _ in damaged] == ["00000009-planted-abc.json"]
    assert all(reason for _, reason in damaged)
    assert index.damaged() == damaged
    assert list(index.store.all()) == [GOOD]
    assert index.history(limit=10) == [GOOD]
    assert index.active() == []


@pytest.mark.parametrize("kind", PLANTED)
def test_cleanup_sets_a_planted_file_aside_and_touches_no_other(tmp_path: Path, kind: str) -> None:
    folders = folders_in(tmp_path)
    index_in(folders).store.save(GOOD)
    planted = folders.executions / "00000009-planted-abc.json"
    PLANTED[kind](planted)
    inode = planted.lstat().st_ino

    cleaned = clean_up(folders, days=10**6, keep_failed_days=0, keep_at_least=0, now=2e9, dry_run=False)

    assert [name for name, _ in cleaned.set_aside] == [planted.name]
    assert files_in(folders.executions) == [f"{GOOD.execution_id}.json", "damaged"]
    assert (folders.executions / "damaged" / planted.name).lstat().st_ino == inode


def test_names_that_no_execution_has_are_damaged_too(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    names = ["a b.json", "-dash.json", "new\nline.json", "é.json", "x" * 200 + ".json"]
    for name in names:
        plant(folders, name, document_of(GOOD))
    (folders.executions / os.fsdecode(b"\xff.json")).write_bytes(b"{}")
    plant(folders, "notes.txt", b"mine")
    plant(folders, ".hidden.json", b"mine")

    index = index_in(folders)

    assert {name for name, _ in index.damaged()} == {*names, os.fsdecode(b"\xff.json")}
    assert index.store.names() == []


def test_a_file_set_aside_replaces_none_that_was_set_aside_before(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    store = ExecutionStore(folders.executions)
    for content in (b"one", b"two", b"three"):
        plant(folders, "x.json", content)
        store.set_aside("x.json")

    aside = folders.executions / "damaged"

    assert sorted(path.read_bytes() for path in aside.iterdir()) == [b"one", b"three", b"two"]


def test_a_record_that_can_be_believed_is_not_set_aside(tmp_path: Path) -> None:
    store = ExecutionStore(folders_in(tmp_path).executions)
    store.save(GOOD)

    assert store.set_aside(f"{GOOD.execution_id}.json") == ""
    assert store.load(GOOD.execution_id) == GOOD


@pytest.mark.parametrize("name", ["../config", "a/b", "", ".", "..", ".hidden", "a\0b", "x" * 300, "é"])
def test_an_id_that_no_execution_has_leads_nowhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFoundError):
        ExecutionStore(tmp_path).load(name)


def test_a_record_is_replaced_only_if_it_still_says_what_was_seen(tmp_path: Path) -> None:
    store = ExecutionStore(folders_in(tmp_path).executions)
    seen, ended = running(1), execution(1)
    store.save(ended)

    is_written = store.update(replace(seen, status=ExecutionStatus.FAILED, end_time=1.0), seen=seen)

    assert not is_written
    assert store.load(seen.execution_id) == ended


def test_a_record_with_too_much_to_say_stays_readable(tmp_path: Path) -> None:
    store = ExecutionStore(folders_in(tmp_path).executions)
    left = tuple(LeftFile("disk1", f"{number}/" + "x" * 8000, "in use") for number in range(200))

    store.save(replace(GOOD, left=left, files_left=200))

    read = store.load(GOOD.execution_id)
    assert 0 < len(read.left) < 200
    assert read.files_left == 200


@pytest.mark.needs_mounts
def test_a_full_state_folder_keeps_the_old_record_and_says_so(tmp_path: Path, make_disk: MakeDisk) -> None:
    disk = make_disk("tmpfs", 1, "state")
    folders = folders_in(disk)
    index = index_in(folders)
    index.store.save(running(1))
    fill(disk)

    with pytest.raises(RefusedError, match="no space left"):
        index.store.save(replace(GOOD, error_message="x" * 100_000))

    assert index.store.load(GOOD.execution_id) == running(1)
    assert index.active() == [running(1)]
    assert [name for name in files_in(folders.executions) if name.endswith(".tmp")] == []


@pytest.mark.needs_mounts
def test_a_read_only_state_folder_still_lists_and_still_tells_the_truth(tmp_path: Path, make_disk: MakeDisk) -> None:

    disk = make_disk("tmpfs", 4, "state")
    folders = folders_in(disk)
    index = index_in(folders)
    index.store.save(GOOD)
    index.store.save(running(2, replace(LIVING, pid=77)))
    remount_read_only(disk)

    newest, oldest = index.history(limit=10)

    assert oldest == GOOD
    assert (newest.status, newest.error_message) == (
        ExecutionStatus.FAILED,
        "lost: its process ended without saying how",
    )
    assert index.active() == []
    statistics = index.statistics("nightly")
    assert statistics is not None
    assert (statistics.total_executions, statistics.failed_executions) == (2, 1)
    with pytest.raises(RefusedError, match="read-only"):
        index.store.save(GOOD)
    assert clean_up(folders, days=0, keep_failed_days=0, keep_at_least=0, now=2e9, dry_run=True).removed == (
        GOOD.execution_id,
    )


def test_a_folder_that_is_missing_holds_nothing(tmp_path: Path) -> None:
    index = index_in(folders_in(tmp_path))

    assert (index.history(limit=5), index.active(), index.damaged(), index.statistics("nightly")) == ([], [], [], None)
    assert index.store.names() == []


def test_the_store_alone_is_enough(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    store = ExecutionStore(folders.executions)
    saved: list[ScheduleExecution] = [execution(number) for number in range(5)]
    for one in saved:
        store.save(one)

    assert not folders.runtime.exists()
    assert list(store.all()) == saved[::-1]
    assert index_in(folders).history(limit=10) == saved[::-1]
