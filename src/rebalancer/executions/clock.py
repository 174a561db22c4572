"""The built-in clock of `serve`, for machines without cron: it starts what is due and holds nothing itself."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rebalancer.cancel import Cancel
from rebalancer.errors import NotNowError, RebalancerError, UsageError
from rebalancer.executions.claims import Ledger, read_ledger
from rebalancer.executions.due import Due, due
from rebalancer.executions.starting import start
from rebalancer.executions.store import ExecutionStore
from rebalancer.executions.taking import SlotTaker
from rebalancer.schedules.command import ScheduleCommand
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.slots import Slot, next_slots
from rebalancer.state import StateFolders, ensure
from rebalancer.turns import is_taken

LONGEST_SLEEP = 30.0  # seconds, so that changed schedules are seen
_POLL = 0.5  # seconds between two looks at the request to stop and at the wall clock
_LOCK_PATIENCE = 1.0  # seconds; `is_clock_running` holds the lock for a moment


@dataclass(eq=False, kw_only=True)
class Clock:
    """Fires due schedules as processes of their own, in sessions of their own; what they do is their affair.

    It may be ended and started at any time: what it started goes on, what is due is told by the ledgers of the slots,
    and whoever is started claims its slot before anything else, so that nothing fires twice.
    """

    folders: StateFolders
    schedules: Callable[[], Sequence[Schedule]]
    command: ScheduleCommand
    store: ExecutionStore
    newest_slot: Callable[[str], Slot | None]  # of a schedule, by its records; asked where there is no ledger
    machine_timezone: Callable[[], str]
    on_problem: Callable[[str], None]  # hears why nothing could be started just now; it is tried again
    now: Callable[[], float] = time.time
    _started: dict[str, float] = field(default_factory=dict)  # schedule -> the slot that was last started
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, cancel: Cancel) -> None:
        """Fire until asked to stop; raises NotNowError when another clock of the same state folder runs."""
        with self._only_one():
            while not cancel.is_requested:
                try:
                    self.tick()
                    self._sleep(cancel)
                except (RebalancerError, OSError) as error:  # a full or missing disk must not end the clock for good
                    self.on_problem(str(error))
                    self._rest(LONGEST_SLEEP, cancel)

    def tick(self) -> list[Due]:
        """Start what is due now and record what was missed; returns that."""
        self._children = [child for child in self._children if child.poll() is None]
        now, schedules = self.now(), self.schedules()
        ledgers = {one.schedule_id: self._ledger(one.schedule_id) for one in schedules}
        found = due(schedules, ledgers, now=now, machine_timezone=self.machine_timezone())
        # what was started a moment ago may not have come to claim its slot
        fresh = [one for one in found if self._started.get(one.schedule_id) != one.slot.at]
        for one in fresh:
            self._taker(one.schedule_id).record_missed(one, now=now)
            if one.fired_by:
                self._start(one)
        return fresh

    def _taker(self, schedule_id: str) -> SlotTaker:
        return SlotTaker(self.folders.slots, self.store, lambda: self.newest_slot(schedule_id))

    def _ledger(self, schedule_id: str) -> Ledger:
        return read_ledger(self.folders.slots, schedule_id, known=self._taker(schedule_id).known)

    def _start(self, one: Due) -> None:
        self._started[one.schedule_id] = one.slot.at
        arguments = self.command.arguments(one.schedule_id, fired_by=one.fired_by, slot=one.slot.local)
        self._children.append(start(arguments, log=ensure(self.folders.logs) / "clock.log"))

    def _sleep(self, cancel: Cancel) -> None:
        """Wait for the next slot by the wall clock, which may be set meanwhile, and never long."""
        begun = self.now()
        wake = min([begun + LONGEST_SLEEP, *self._next(begun)])
        deadline = time.monotonic() + LONGEST_SLEEP
        while begun <= self.now() < wake and time.monotonic() < deadline and not cancel.is_requested:
            self._rest(min(_POLL, max(0.0, wake - self.now())), cancel)

    def _rest(self, seconds: float, cancel: Cancel) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not cancel.is_requested:
            time.sleep(min(left, _POLL))

    def _next(self, now: float) -> Iterator[float]:
        for schedule in self.schedules():
            try:
                slots = next_slots(schedule, after=now, count=1, machine_timezone=self.machine_timezone())
            except UsageError:  # see `due`
                continue
            yield from (slot.at for slot in slots)

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        ensure(self.folders.runtime)
        fd = os.open(_lock_of(self.folders), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if not is_taken(fd, patience=_LOCK_PATIENCE):
                raise NotNowError(f"the clock of {self.folders.config} runs already in another process")
            yield
        finally:
            os.close(fd)


def is_clock_running(folders: StateFolders) -> bool:
    """Return whether a clock of this state folder runs now."""
    try:
        fd = os.open(_lock_of(folders), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not is_taken(fd, patience=0)
    finally:
        os.close(fd)


def _lock_of(folders: StateFolders) -> Path:
    return folders.runtime / "clock.lock"
