"""Whatever happens to records and index, the answers are those of somebody who reads every record."""

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records_lab import (
    DAY,
    DEAD,
    FINAL,
    LIVING,
    NOW,
    counted,
    document_of,
    execution,
    files_in,
    folders_in,
    index_in,
    machine,
    plant,
    recount,
    running,
)

from lab import MakeDisk, remount_read_only
from rebalancer.executions import cleanup
from rebalancer.executions import index as index_module
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.index import Index
from rebalancer.executions.index_file import IndexFile
from rebalancer.executions.statistics import ScheduleStatistics, document, is_longer_than_usual
from rebalancer.executions.store import ExecutionStore
from rebalancer.state import StateFolders

SCHEDULES = ("nightly", "weekly")


class House:
    """Records and index of one folder, and beside them what they must amount to."""

    def __init__(self, folders: StateFolders) -> None:
        self.folders = folders
        self.index = Index(folders, machine=machine)
        self.known: dict[str, ScheduleExecution] = {}  # everything that ever ran, as it stands
        self.gone: set[str] = set()  # cleaned up
        self.number = 0

    def start(self, rng: random.Random) -> None:
        self.number += 1
        one = running(
            self.number,
            rng.choice([LIVING, DEAD]),
            schedule_id=rng.choice(SCHEDULES),
            start_time=NOW - rng.randrange(100) * DAY,
        )
        self.save(rng, one)
        if one.process == DEAD:  # whoever looks next finds it lost, now
            self.known[one.execution_id] = replace(one, status=ExecutionStatus.FAILED)

    def finish(self, rng: random.Random) -> None:
        alive = [one for one in self.known.values() if not one.status.is_final]
        for one in alive[:1]:
            worked = rng.choice([0.0, 1.5, 3600.0])
            ended = replace(one, status=rng.choice(FINAL), end_time=one.start_time + worked, duration_seconds=worked)
            self.save(rng, replace(ended, files_moved=rng.randrange(100), bytes_moved=rng.randrange(2**50)))

    def save(self, rng: random.Random, one: ScheduleExecution) -> None:
        store = rng.choice([self.index.store, self.index.store, ExecutionStore(self.folders.executions)])
        store.save(one)
        self.known[one.execution_id] = one

    def clean_up(self, rng: random.Random) -> None:
        self.index.history(limit=1)  # settles, with the machine of the test
        days, keep = rng.choice([0, 10, 50]), rng.randrange(4)
        folders = self.folders
        policy = cleanup.Policy(days=days, keep_failed_days=0, keep_at_least=keep, now=NOW + DAY)
        cleaning = cleanup._Cleaning(folders, self.index, policy)
        with cleanup._alone(folders.statistics):
            self.gone |= set(cleaning.carry_out(SCHEDULES).removed)

    def lose_index(self, _: random.Random) -> None:
        self.folders.index.unlink(missing_ok=True)

    def damage_index(self, rng: random.Random) -> None:
        if self.folders.index.exists():
            with self.folders.index.open("r+b") as file:
                file.seek(rng.randrange(self.folders.index.stat().st_size))
                file.write(rng.randbytes(rng.choice([1, 100, 5000])))

    def be_killed_while_changing_the_index(self, rng: random.Random) -> None:
        script = (
            "import os, sys; from pathlib import Path; from rebalancer.executions.index_file import IndexFile\n"
            "with IndexFile(Path(sys.argv[1])).opened(patience=1) as tables, tables.changing() as database:\n"
            "    database.execute('DELETE FROM execution'); database.execute('PRAGMA cache_spill'); os._exit(9)"
        )
        if self.folders.index.exists() and rng.random() < 0.3:
            subprocess.run([sys.executable, "-c", script, self.folders.index], check=False)

    def plant(self, rng: random.Random) -> None:
        plant(self.folders, f"planted-{rng.randrange(3)}.json", rng.choice([b"", b"[]", b"{" * 1000]))

    def check(self) -> None:
        for schedule_id in SCHEDULES:
            ours = [one for one in self.known.values() if one.schedule_id == schedule_id]
            assert counted(self.index, schedule_id) == pytest.approx(recount(ours), nan_ok=False)
        shown = [one for one in self.known.values() if one.execution_id not in self.gone]
        newest = sorted(shown, key=lambda one: (one.start_time, one.execution_id), reverse=True)
        found = self.index.history(limit=1000)
        assert [(one.execution_id, one.status) for one in found] == [(one.execution_id, one.status) for one in newest]
        assert self.index.history(limit=3) == found[:3]
        for status in ExecutionStatus:
            assert self.index.history(status=status, limit=1000) == [one for one in found if one.status is status]


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.sampled_from([
    House.start, House.start, House.start, House.finish, House.finish, House.clean_up, House.lose_index,
    House.damage_index, House.plant, House.be_killed_while_changing_the_index,
]), max_size=20), seed=st.integers(0, 2**32))  # fmt: skip
def test_index_and_statistics_agree_with_a_recount_after_anything(
    steps: list[Callable[[House, random.Random], None]], seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as folder:
        house = House(folders_in(Path(folder)))
        house.folders.executions.mkdir(parents=True, mode=0o700)
        for step in steps:
            step(house, rng)
            house.check()


def test_a_record_changed_in_place_is_found_by_whoever_reads_it(tmp_path: Path) -> None:
    """Its folder does not show that: only the file has another time and size."""
    folders = folders_in(tmp_path)
    index = index_in(folders)
    for number in range(5):
        index.store.save(execution(number))
    index.history(limit=5)
    changed = execution(3, status=ExecutionStatus.FAILED, error_message="changed")
    plant(folders, f"{changed.execution_id}.json", document_of(changed))
    plant(folders, f"{execution(4).execution_id}.json", b"torn")

    found = index.history(limit=5)

    assert [one.execution_id[:8] for one in found] == ["00000003", "00000002", "00000001", "00000000"]
    assert found[0] == changed
    assert len(index.damaged()) == 1
    assert counted(index) == recount(found)


def test_a_record_saved_without_the_index_within_the_same_tick_is_found(tmp_path: Path) -> None:
    """FAT tells changes apart that lie 2 s from each other: the folder's time is made to say nothing here."""
    folders = folders_in(tmp_path)
    index = Index(folders, machine=machine)
    index.store.save(execution(1))
    index.history(limit=5)
    status = folders.executions.stat()
    ExecutionStore(folders.executions).save(execution(2))
    os.utime(folders.executions, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert index.history(limit=5) == [execution(2), execution(1)]


def test_a_record_replaced_behind_the_index_is_found_after_the_index_was_told_of_another(tmp_path: Path) -> None:
    index = index_in(folders_in(tmp_path))
    index.store.save(execution(1))
    index.history(limit=5)
    changed = execution(1, status=ExecutionStatus.FAILED, files_moved=5)
    ExecutionStore(index.folders.executions).save(changed)
    index.store.save(execution(2))

    assert counted(index) == recount([changed, execution(2)])


def test_a_folder_that_has_not_changed_is_not_listed_again(tmp_path: Path) -> None:
    """Shown by a record that comes without changing the folder's time: nobody looks for it."""
    folders = folders_in(tmp_path)
    index = index_in(folders, now=NOW)
    index.store.save(execution(1))
    old = 1_000_000_000
    os.utime(folders.executions, (old, old))
    index.history(limit=5)
    names = sqlite3.connect(folders.index).execute("SELECT is_settled FROM folder").fetchone()
    ExecutionStore(folders.executions).save(execution(2))
    os.utime(folders.executions, (old, old))

    assert names == (1,)
    assert index.history(limit=5) == [execution(1)]
    os.utime(folders.executions)
    assert index.history(limit=5) == [execution(2), execution(1)]


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_damaged_index_is_made_anew(tmp_path: Path, content: bytes) -> None:
    folders = folders_in(tmp_path)
    index = index_in(folders)
    index.store.save(execution(1))
    folders.index.write_bytes(content)

    assert index.history(limit=5) == [execution(1)]
    assert folders.index.read_bytes() != content


def test_another_process_that_keeps_the_index_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_READER_PATIENCE", 0.1)
    folders = folders_in(tmp_path)
    index = index_in(folders)
    index.store.save(execution(1))
    script = (
        "import sys, time; from pathlib import Path; from rebalancer.executions.index_file import IndexFile\n"
        "with IndexFile(Path(sys.argv[1])).opened(patience=1):\n    print(flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, folders.index], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()

    try:
        index.store.save(execution(2))
        found = index.history(limit=5)
    finally:
        holder.kill()
        holder.communicate()

    assert found == [execution(2), execution(1)]
    assert index.history(limit=5) == found


@pytest.mark.needs_mounts
@pytest.mark.parametrize("state", ["read-only", "full"])
def test_a_runtime_folder_that_cannot_be_written_only_costs_time(
    tmp_path: Path, make_disk: MakeDisk, state: str
) -> None:
    disk = make_disk("tmpfs", 1, "runtime")
    folders = StateFolders(config=tmp_path / "config", runtime_root=disk)
    index = index_in(folders)
    if state == "read-only":
        remount_read_only(disk)
    else:
        (disk / "ballast").write_bytes(b"x" * (2**20 - 8192))

    saved = [execution(number) for number in range(20)]
    for one in saved:
        index.store.save(one)

    assert index.history(limit=100) == saved[::-1]
    assert counted(index) == recount(saved)


def test_several_processes_save_and_ask_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from records_lab import execution, folders_in, index_in\n"
        "index = index_in(folders_in(Path(sys.argv[1])))\n"
        "for n in range(60):\n"
        "    index.store.save(execution(int(sys.argv[3]) * 100 + n)); index.statistics('nightly'); index.history(limit=3)"
    )
    lab = str(Path(__file__).parent)
    processes = [subprocess.Popen([sys.executable, "-c", script, tmp_path, lab, str(number)]) for number in range(3)]

    assert [process.wait() for process in processes] == [0, 0, 0]

    index = index_in(folders_in(tmp_path))
    assert len(index.history(limit=1000)) == 180
    assert counted(index)["total_executions"] == 180


def test_statistics_are_in_the_words_of_the_specification() -> None:
    names = list(ScheduleStatistics.__dataclass_fields__)

    assert names[:11] == [
        "schedule_id", "total_executions", "successful_executions", "failed_executions", "cancelled_executions",
        "last_execution_time", "last_success_time", "last_failure_time", "average_duration_seconds",
        "total_files_moved", "total_bytes_moved",
    ]  # fmt: skip
    assert ScheduleStatistics("x", 10, 8, 2).success_rate == 80.0
    assert ScheduleStatistics("x").success_rate == 0.0
    assert document(ScheduleStatistics("x", 4, 1))["success_rate"] == 25.0


def test_percentiles_are_of_those_that_ran(tmp_path: Path) -> None:
    index = index_in(folders_in(tmp_path))
    for number in range(100):
        worked = float(number)
        index.store.save(execution(number, duration_seconds=worked, bytes_moved=number * 1000 if number % 2 else 0))

    statistics = index.statistics("nightly")

    assert statistics is not None
    assert (statistics.executions_that_ran, statistics.longest_duration_seconds) == (99, 99.0)
    assert (statistics.median_duration_seconds, statistics.p95_duration_seconds) == (50.0, 95.0)
    assert statistics.median_bytes_per_second == 1000.0


def test_figures_are_not_added_up_again_until_a_record_changes(tmp_path: Path) -> None:
    """Shown by a remembered answer that is not the truth: it is believed until there is another record."""
    folders = folders_in(tmp_path)
    index = index_in(folders)
    index.store.save(execution(1))
    first, again = index.statistics("nightly"), index.statistics("nightly")
    with IndexFile(folders.index).opened(patience=1) as tables, tables.changing() as database:
        figures = json.loads(database.execute("SELECT figures FROM answer").fetchone()[0])
        figures["recorded"]["files_moved"] = 77
        database.execute("UPDATE answer SET figures = ?", (json.dumps(figures).encode(),))
    planted = index.statistics("nightly")
    index.store.save(execution(2))

    assert first == again
    assert planted is not None
    assert planted.total_files_moved == 77
    assert counted(index) == recount([execution(1), execution(2)])


@pytest.mark.parametrize("content", [b"", b"{}", b"no JSON"])
def test_a_remembered_answer_that_cannot_be_read_is_found_again(tmp_path: Path, content: bytes) -> None:
    folders = folders_in(tmp_path)
    index = index_in(folders)
    index.store.save(execution(1))
    first = index.statistics("nightly")
    with IndexFile(folders.index).opened(patience=1) as tables, tables.changing() as database:
        database.execute("UPDATE answer SET figures = ?", (content,))

    assert index.statistics("nightly") == first


@pytest.mark.parametrize("change", ["saved elsewhere", "replaced", "removed", "removed elsewhere", "settled"])
def test_whatever_changes_a_record_changes_the_figures(tmp_path: Path, change: str) -> None:
    folders = folders_in(tmp_path)
    index, elsewhere = index_in(folders), ExecutionStore(folders.executions)
    known = [execution(1), execution(2), running(3)]
    for one in known:
        index.store.save(one)
    assert counted(index) == pytest.approx(recount(known))

    if change == "saved elsewhere":
        elsewhere.save(execution(4, files_moved=4))
        known.append(execution(4, files_moved=4))
    elif change == "replaced":
        known[0] = execution(1, files_moved=9)
        elsewhere.save(known[0])
    elif change == "settled":
        known[2] = execution(3, status=ExecutionStatus.FAILED, files_moved=5)
        index.store.save(known[2])
    else:
        store = index.store if change == "removed" else elsewhere
        store.remove([known.pop(0).execution_id])

    assert counted(index) == pytest.approx(recount(known))


def test_sums_beyond_64_bits_are_exact(tmp_path: Path) -> None:
    index = index_in(folders_in(tmp_path))
    known = [execution(number, bytes_moved=2**60 - number, files_moved=number) for number in range(1, 20)]
    for one in known:
        index.store.save(one)

    statistics = index.statistics("nightly")

    assert statistics is not None
    assert statistics.total_bytes_moved == sum(one.bytes_moved for one in known) > 2**63
    assert counted(index) == pytest.approx(recount(known))


def test_longer_than_usual_is_judged_by_the_bytes_to_move() -> None:
    usual = ScheduleStatistics("x", executions_that_ran=20, p95_duration_seconds=100.0, median_bytes_per_second=1000.0)
    slow = running(1, start_time=NOW - 1000)

    assert is_longer_than_usual(slow, usual, now=NOW)
    assert not is_longer_than_usual(replace(slow, bytes_planned=900_000), usual, now=NOW)
    assert not is_longer_than_usual(slow, replace(usual, executions_that_ran=4), now=NOW)


def test_history_is_filtered_by_schedule_status_and_start(tmp_path: Path) -> None:
    index = index_in(folders_in(tmp_path))
    for number in range(6):
        index.store.save(execution(number, schedule_id=SCHEDULES[number % 2], status=FINAL[number % 3]))

    assert [one.execution_id[:8] for one in index.history(schedule_id="weekly", limit=2)] == ["00000005", "00000003"]
    assert len(index.history(since=NOW - 1000 + 4, limit=10)) == 2
    assert len(index.history(schedule_id="nightly", status=FINAL[2], limit=10)) == 1
    assert index.history(limit=0) == []
    assert [one.execution_id[:8] for one in index.latest("nightly", count=1)] == ["00000004"]
    assert index.schedule_ids() == ["nightly", "weekly"]
    assert files_in(index.folders.executions)[0].startswith("00000000")


def test_history_goes_on_where_it_stopped_also_among_executions_of_one_moment(tmp_path: Path) -> None:
    index = index_in(folders_in(tmp_path))
    for number in range(7):
        index.store.save(execution(number, start_time=NOW - 100 if number < 5 else NOW - 50))
    index.store.save(running(7, start_time=NOW - 100))

    pages, before = [], None
    while page := index.history(limit=3, before=before):
        before = page[-1].start_time, page[-1].execution_id
        pages.append([one.execution_id[:8].lstrip("0") or "0" for one in page])

    assert pages == [["6", "5", "7"], ["4", "3", "2"], ["1", "0"]]


def test_the_index_is_only_trusted_as_we_left_it(tmp_path: Path) -> None:
    file = IndexFile(tmp_path / "r" / "index.sqlite")
    with file.opened(patience=1) as tables, tables.changing() as database:
        database.execute("INSERT INTO damaged VALUES (?, '', 0, 0)", (b"x",))
    foreign = sqlite3.connect(file.path, isolation_level=None)
    foreign.execute("INSERT INTO damaged VALUES (?, '', 0, 0)", (b"y",))
    foreign.close()

    with file.opened(patience=1) as tables:
        found = tables.database.execute("SELECT count(*) FROM damaged").fetchone()

    assert found == (0,)
