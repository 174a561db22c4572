"""What is looked at again and again: no more often than needed, and never waited for without end."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from rebalancer import records
from rebalancer.array.disk import Disk
from rebalancer.engine import Engine
from rebalancer.errors import NotNowError, RebalancerError, RefusedError
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.settings import DiskSettings, Settings
from rebalancer.state import StateFolders
from rebalancer.web import sights
from rebalancer.web.sights import FOLDERS_EVERY, DiskSights, RecentExecutions


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "disk1").mkdir()
    return tmp_path / "disk1"


@pytest.fixture
def engine(tmp_path: Path, disk: Path) -> Engine:
    settings = Settings(disks=(DiskSettings(path=str(disk), size="10MB"),))
    return Engine(StateFolders(tmp_path / "config", tmp_path / "runtime"), settings, Path("/"))


def used(disks: Sequence[Disk]) -> int:
    return disks[0].used_bytes


def test_the_tree_of_a_folder_is_read_every_ten_seconds_and_at_once_while_something_runs(
    engine: Engine, disk: Path
) -> None:
    clock, found = Clock(), []
    looking = DiskSights(clock)
    for number, (seconds, is_busy) in enumerate([(0, False), (1, False), (1, True), (0, True), (0, False), (1, False),
                                                 (FOLDERS_EVERY, False)]):  # fmt: skip
        clock.now += seconds
        found.append(used(looking.look(engine, is_busy=is_busy)))
        (disk / f"{number}").write_bytes(b"x" * 100_000)
    grown = [later > earlier for earlier, later in pairwise(found)]

    assert grown == [False, True, True, True, False, True]


def test_other_disks_in_the_settings_are_looked_at_at_once(engine: Engine, tmp_path: Path) -> None:
    looking = DiskSights(Clock())
    looking.look(engine, is_busy=False)
    (tmp_path / "other").mkdir()
    other = replace(engine, settings=Settings(disks=(DiskSettings(path=str(tmp_path / "other"), size="1MB"),)))

    assert [disk.name for disk in looking.look(other, is_busy=False)] == ["other"]


@pytest.fixture
def hanging(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[str]]]:
    """An array that answers only when it is let go: nothing that a test could mount hangs and can be let go again."""
    lets_go, asked = threading.Event(), list[str]()

    def disks(_engine: Engine) -> Sequence[Disk]:
        asked.append("")
        lets_go.wait(20)
        return ()

    monkeypatch.setattr(sights, "_disks", disks)
    monkeypatch.setattr(sights, "PATIENCE", 0.2)
    yield lets_go, asked
    lets_go.set()


def test_a_disk_that_hangs_keeps_one_thread_and_no_page_and_is_found_again(
    engine: Engine, hanging: tuple[threading.Event, list[str]]
) -> None:
    lets_go, asked = hanging
    looking, begun = DiskSights(), time.monotonic()
    for _ in range(30):
        with pytest.raises(NotNowError, match="may hang"):
            looking.look(engine, is_busy=False)
    took = time.monotonic() - begun
    lets_go.set()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            found = looking.look(engine, is_busy=False)
            break
        except NotNowError:
            time.sleep(0.01)

    assert took < 2
    assert len(asked) == 1
    assert tuple(found) == ()


def test_what_the_engine_raises_is_raised_and_the_next_look_is_a_new_one(engine: Engine, disk: Path) -> None:
    looking = DiskSights(Clock())
    beside = replace(engine, settings=Settings(pool="/nowhere"))
    for _ in range(2):
        assert looking.look(engine, is_busy=True)
        with pytest.raises(RebalancerError, match="nowhere"):
            looking.look(beside, is_busy=True)


# -- the newest executions -------------------------------------------------------------------------------------------


def ended(number: int, *, status: ExecutionStatus = ExecutionStatus.COMPLETED) -> ScheduleExecution:
    start = 1_700_000_000.0 + number
    return ScheduleExecution(
        execution_id=f"20231114T2213{number:02}Z-a-00000{number}", schedule_id="a", start_time=start, end_time=start + 1,
        status=status, exit_code=0,
    )  # fmt: skip


def newest(recent: RecentExecutions, engine: Engine) -> list[str]:
    return [execution.execution_id[-1] for execution in recent.look(engine)]


def test_the_newest_are_asked_for_again_only_when_a_record_came_went_or_changed(engine: Engine) -> None:
    recent = RecentExecutions(time.time, count=3)
    store = engine.index.store
    for number in range(5):
        store.save(ended(number))
    later = RecentExecutions(lambda: time.time() + 60, count=3)  # the folder has not changed for a minute
    assert newest(recent, engine) == newest(later, engine) == ["4", "3", "2"]

    engine.folders.index.unlink()
    assert newest(later, engine) == ["4", "3", "2"]
    assert not engine.folders.index.exists()  # nobody asked it

    store.save(ended(5))
    assert newest(later, engine) == ["5", "4", "3"]
    store.remove([ended(4).execution_id])
    assert newest(later, engine) == ["5", "3", "2"]
    path = store.path_of(ended(5).execution_id)
    path.write_bytes(records.encode(ended(5, status=ExecutionStatus.FAILED)))
    assert later.look(engine)[0].status is ExecutionStatus.FAILED
    path.write_bytes(b"nonsense")
    assert newest(later, engine) == ["3", "2", "1"]


def test_without_any_record_there_are_none(engine: Engine) -> None:
    assert RecentExecutions(time.time, count=3).look(engine) == []


def test_a_folder_that_cannot_be_read_is_told(engine: Engine) -> None:
    engine.folders.config.mkdir(mode=0o700)
    engine.folders.executions.symlink_to(engine.folders.executions)

    with pytest.raises(RefusedError, match="cannot be read"):
        RecentExecutions(time.time, count=3).look(engine)
