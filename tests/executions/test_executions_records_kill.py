"""Killed at every system call of saving, ending and cleaning up: old or new, never torn, and counted once."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from records_lab import DAY, NOW, counted, execution, files_in, folders_in, index_in, recount, running

from crash.tracing import is_killed_at
from lab import MakeDisk
from rebalancer.executions import cleanup
from rebalancer.executions.store import ExecutionStore
from rebalancer.state import StateFolders

pytestmark = pytest.mark.needs_mounts

Work = Callable[[StateFolders], object]

EVERYTHING = [execution(100 - age, start_time=NOW - age * DAY, files_moved=age) for age in (1, 40, 50)]


@pytest.fixture
def ram(make_disk: MakeDisk) -> Path:
    """A folder in RAM: what a kill leaves there is what it leaves anywhere, and nothing waits for a disk."""
    return make_disk("tmpfs", 100, "state")


def save(folders: StateFolders) -> None:
    index_in(folders).store.save(running(1))


def finish(folders: StateFolders) -> None:
    index_in(folders).store.save(execution(1, files_moved=7, bytes_moved=9))


def clean_up(folders: StateFolders) -> None:
    cleanup.clean_up(folders, days=30, keep_failed_days=0, keep_at_least=0, now=NOW, dry_run=False)


def look(folders: StateFolders) -> None:
    index_in(folders).statistics("nightly")


def save_everything(folders: StateFolders) -> None:
    for one in EVERYTHING:
        index_in(folders).store.save(one)
    look(folders)


def kill_at_each_call(work: Work, ram: Path, *, after: Work) -> Iterator[StateFolders]:
    """Kill the work at its first system call, at its second and so on, each time in a fresh folder."""
    warm = folders_in(ram / "warm")  # what is imported by the first use is no part of the work
    after(warm)
    work(warm)
    place, is_killed = 0, True
    while is_killed:
        place += 1
        folders = folders_in(ram / str(place))
        after(folders)
        is_killed = is_killed_at(place, partial(work, folders))
        yield folders
    assert place > 30


def test_saving_a_new_record_leaves_none_or_all_of_it(ram: Path) -> None:
    found_ones, leftovers = Counter[int](), 0
    for folders in kill_at_each_call(save, ram, after=look):
        index = index_in(folders)
        found = index.history(limit=10)
        assert found == list(ExecutionStore(folders.executions).all())
        assert found in ([], [running(1)])
        assert index.damaged() == []
        assert counted(index) == recount(found)
        found_ones[len(found)] += 1
        leftovers += len(temporary_files(folders))
        clean_up(folders)
        assert temporary_files(folders) == []

    assert min(found_ones[0], found_ones[1]) > 10
    assert leftovers > 3


def test_ending_an_execution_leaves_the_old_record_or_the_new_one(ram: Path) -> None:
    old, new = running(1), execution(1, files_moved=7, bytes_moved=9)
    found_ones = Counter[str]()
    for folders in kill_at_each_call(finish, ram, after=save):
        (found,) = index_in(folders).history(limit=10)
        assert found in (old, new)
        assert counted(index_in(folders)) == recount([found])
        found_ones[found.status.value] += 1

    assert min(found_ones["running"], found_ones["completed"]) > 10


def test_cleaning_up_counts_every_record_once_wherever_it_is_cut_short(ram: Path) -> None:
    remaining = Counter[int]()
    for folders in kill_at_each_call(clean_up, ram, after=save_everything):
        assert counted(index_in(folders)) == recount(EVERYTHING)
        left = index_in(folders).history(limit=10)
        assert left == list(ExecutionStore(folders.executions).all())
        remaining[len(left)] += 1
        clean_up(folders)
        assert counted(index_in(folders)) == recount(EVERYTHING)
        assert index_in(folders).history(limit=10) == EVERYTHING[:1]

    assert set(remaining) == {1, 2, 3}


def test_settling_leaves_the_old_record_or_the_settled_one(ram: Path) -> None:
    def save_lost(folders: StateFolders) -> None:
        index_in(folders).store.save(running(1, None))

    said = Counter[str]()
    for folders in kill_at_each_call(look, ram, after=save_lost):
        said[ExecutionStore(folders.executions).load(running(1).execution_id).status.value] += 1
        (found,) = index_in(folders).history(limit=10)
        assert found.cause == "lost"
        assert counted(index_in(folders)) == recount([found])

    assert min(said["running"], said["failed"]) > 10


def temporary_files(folders: StateFolders) -> list[str]:
    return [name for name in files_in(folders.executions) if name.endswith(".tmp")]
