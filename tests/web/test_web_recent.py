"""The executions that ended last: asked for anew only when a record came, went or changed."""

import time
from pathlib import Path

import pytest

from rebalancer import records
from rebalancer.engine import Engine
from rebalancer.errors import RefusedError
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.settings import Settings
from rebalancer.state import StateFolders
from rebalancer.web.recent import RecentExecutions


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(StateFolders(tmp_path / "config", tmp_path / "runtime"), Settings(), Path("/"))


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
