"""Waiting for a turn: every reason is told, the disks are let sleep meanwhile."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.errors import NotNowError, UsageError
from rebalancer.executions.job import Job
from rebalancer.executions.waiting import HeldError, wait_for_turn
from rebalancer.guards.hold import Hold
from rebalancer.transfer.operation import Operation

PARITY = Hold(guard="parity", reason="a parity check runs")
HOURS = Hold(guard="hours", reason="outside its active hours")


class Array:
    """Disks that cannot be told before the array is started, and holds that clear after some looks."""

    def __init__(self, folder: Path, *holds: Sequence[Hold], is_started: bool = True) -> None:
        self.disk = Disk(name="disk1", path=str(folder), size_bytes=1, used_bytes=0, device=folder.stat().st_dev)
        self.holding = list(holds)
        self.is_started = is_started
        self.looks = 0
        self.asked_about: list[list[str]] = []

    def disks(self) -> tuple[Disk, ...]:
        self.looks += 1
        if not self.is_started:
            self.is_started = True
            raise UsageError("Unraid lists no data disks")
        return (self.disk,)

    def holds(self, disks: Sequence[Disk]) -> Sequence[Hold]:
        self.asked_about.append([disk.name for disk in disks])
        return self.holding.pop(0) if self.holding else ()

    def job(self, *, max_wait: int) -> Job:
        return Job(disks=self.disks, prepare=_nothing, measure=self.disks, max_wait=max_wait, holds=self.holds)


def _nothing() -> Operation:
    raise AssertionError("it only waits")


def wait(array: Array, locks: Path, *, max_wait: int) -> list[list[str]]:
    told: list[list[str]] = []
    with ExitStack() as stack:
        wait_for_turn(
            array.job(max_wait=max_wait),
            locks=locks,
            holder="a test",
            stack=stack,
            cancel=Cancel(),
            on_held=lambda holds: told.append([hold.guard for hold in holds]),
        )
    return told


def test_while_something_holds_it_the_disks_are_looked_at_once(tmp_path: Path) -> None:
    array = Array(tmp_path, [PARITY, HOURS], [PARITY])

    told = wait(array, tmp_path / "locks", max_wait=60)

    assert told == [["parity", "hours"], ["parity"]]
    assert array.looks == 2  # to know what guards look at, and when its turn had come


def test_disks_that_are_known_only_later_are_asked_about_before_it_begins(tmp_path: Path) -> None:
    array = Array(tmp_path, [PARITY], is_started=False)

    wait(array, tmp_path / "locks", max_wait=60)

    assert array.asked_about == [[], [], ["disk1"]]


def test_who_may_not_wait_hears_every_reason_and_which_can_be_ignored(tmp_path: Path) -> None:
    with pytest.raises(NotNowError) as raised:
        wait(Array(tmp_path, [PARITY, HOURS]), tmp_path / "locks", max_wait=0)

    assert str(raised.value) == (
        "a parity check runs; outside its active hours (to go on all the same: --ignore-guard parity)"
    )


def test_waiting_in_vain_names_what_held_it_to_the_end(tmp_path: Path) -> None:
    with pytest.raises(HeldError, match="it waited in vain: a parity check runs; outside its active hours"):
        wait(Array(tmp_path, *[[PARITY, HOURS]] * 9), tmp_path / "locks", max_wait=1)
