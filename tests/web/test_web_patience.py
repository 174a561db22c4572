"""Nobody waits for a disk that hangs, and whoever asks next is answered as soon as it answers again."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebalancer.array.disk import Disk
from rebalancer.engine import Engine
from rebalancer.errors import NotNowError, RefusedError, UsageError
from rebalancer.settings import Settings
from rebalancer.state import StateFolders
from rebalancer.web import patience
from rebalancer.web.patience import Looks, PatientEngine

FOUND = (Disk(name="a", path="/mnt/a", size_bytes=10, used_bytes=1),)


@pytest.fixture
def engine(tmp_path: Path) -> PatientEngine:
    folders = StateFolders(config=tmp_path / "config", runtime_root=tmp_path / "runtime")
    return PatientEngine.of(Engine(folders=folders, settings=Settings(), root=tmp_path), Looks())


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Disks that answer when the event is set, and a patience that a test can bear."""
    answers = threading.Event()

    def hang(_engine: Engine) -> tuple[Disk, ...]:
        assert answers.wait(60)
        return FOUND

    monkeypatch.setattr(Engine, "disks", hang)
    monkeypatch.setattr(patience, "PATIENCE", 0.1)
    yield answers
    answers.set()


def test_no_page_waits_for_disks_that_do_not_answer(engine: PatientEngine, hanging: threading.Event) -> None:
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(NotNowError, match=r"the disks have not answered for .*; one of them may hang"):
            engine.disks()

    assert threading.active_count() == before + 1  # all of them wait for the same look
    hanging.set()
    assert _answered(engine) == FOUND


def _answered(engine: PatientEngine) -> tuple[Disk, ...]:
    """Ask until there is an answer: who asks while the old look is just ending is still told that it lasts."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return engine.disks()
        except NotNowError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UsageError("no disks were found"), UsageError),
        (OSError(5, "Input/output error"), RefusedError),
        (ValueError("embedded null byte"), RefusedError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_looking_raises_is_told_each_time(
    engine: PatientEngine, monkeypatch: pytest.MonkeyPatch, error: Exception, told: type[Exception]
) -> None:
    def fail(_engine: Engine) -> tuple[Disk, ...]:
        raise error

    monkeypatch.setattr(Engine, "disks", fail)
    for _ in range(2):
        with pytest.raises(told):
            engine.disks()
