"""History and statistics over many records, answered from an index that may be deleted at any time."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from sqlite3 import Connection
from typing import TypeVar

from rebalancer.errors import DamagedRecordError, NotFoundError
from rebalancer.executions import index_query, index_table
from rebalancer.executions.current import Current, Machine, this_machine
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.index_file import IndexFile, IndexUnusableError, Tables, in_memory
from rebalancer.executions.index_query import Entry, Filter
from rebalancer.executions.statistics import ScheduleStatistics, statistics_of
from rebalancer.executions.store import ExecutionStore, Stamp
from rebalancer.executions.totals import Lifetime, Totals, added, load_lifetime, totals_of
from rebalancer.state import StateFolders

_READER_PATIENCE = 5.0  # seconds until the records answer without the index
_WRITER_PATIENCE = 0.5  # seconds until a change is left for the next reader to find
_TRIES = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Index:
    """Answers from the index when it is in step with the records, else brings it in step first.

    Where the runtime folder cannot be written, the same answers take as long as reading every record.
    """

    folders: StateFolders
    clock: Callable[[], float] = time.time  # seconds since 1970 (UTC)
    machine: Callable[[], Machine] = this_machine

    @property
    def store(self) -> ExecutionStore:
        """The records; what is saved through this store is in the index at once."""
        return ExecutionStore(self.folders.executions, follower=self)

    @property
    def current(self) -> Current:
        """The records as they stand now."""
        return Current(self.folders, self.store, clock=self.clock, machine=self.machine)

    def record(self, execution: ScheduleExecution) -> None:
        """Take in a record that was saved through another store."""
        self.follow(execution, before=index_table.NO_STAMP, after=index_table.NO_STAMP)

    def remove(self, execution_ids: Sequence[str]) -> None:
        """Drop records that were removed through another store."""
        self.forget(execution_ids, before=index_table.NO_STAMP, after=index_table.NO_STAMP)

    def history(
        self,
        *,
        schedule_id: str | None = None,
        status: ExecutionStatus | None = None,
        since: float | None = None,
        before: tuple[float, str] | None = None,
        limit: int,
    ) -> list[ScheduleExecution]:
        """Return the newest executions that fit, newest first, each as it stands now.

        ``since`` is a time of start in seconds since 1970 (UTC); ``before`` is the start and the id of the last one
        that is known already: those that follow it are returned. Files that cannot be believed are left out.
        """
        wanted = Filter(schedule_id, status, since, before)
        unsettled = self._unsettled()
        found = {name: execution for name, execution in unsettled.items() if wanted.fits(execution)}
        for _ in range(_TRIES):
            names = self._ask(lambda database: index_query.newest(database, wanted, limit=limit + len(unsettled)))
            loaded = {name: self._load(name) for name in names if name not in unsettled}
            if None not in loaded.values():
                break
            self._change(index_table.distrust)  # a file was changed in place, which its folder does not tell
        found |= {name: execution for name, execution in loaded.items() if execution is not None}
        return sorted(found.values(), key=_age, reverse=True)[: max(0, limit)]

    def latest(self, schedule_id: str, *, count: int) -> list[ScheduleExecution]:
        """Return the newest executions of a schedule, newest first."""
        return self.history(schedule_id=schedule_id, limit=count)

    def newest_of_each(self, schedule_ids: Sequence[str], *, count: int) -> dict[str, list[ScheduleExecution]]:
        """Return the newest executions of several schedules, newest first, each as it stands now, in one look."""
        for _ in range(_TRIES):
            names = self._ask(partial(index_query.newest_of_each, schedule_ids=schedule_ids, count=count))
            loaded = {one: [self._load(name) for name in some] for one, some in names.items()}
            if not any(None in some for some in loaded.values()):
                break
            self._change(index_table.distrust)  # a file was changed in place, which its folder does not tell
        return {one: [found for found in some if found is not None] for one, some in loaded.items()}

    def success_before_records(self, schedule_id: str) -> float | None:
        """Return when the last success began whose record was removed; None when there is none."""
        return self._lifetime(schedule_id).totals.last_success or None

    def active(self) -> list[ScheduleExecution]:
        """Return the executions that are pending or running, newest first."""
        standing = [one for one in self._unsettled().values() if not one.status.is_final]
        return sorted(standing, key=_age, reverse=True)

    def schedule_ids(self) -> list[str]:
        """Return the schedules that have records, also those that were deleted since."""
        return self._ask(index_query.schedule_ids)

    def entries(self, schedule_id: str) -> list[Entry]:
        """Return in short what is recorded of a schedule, newest first."""
        return self._ask(partial(index_query.entries, schedule_id=schedule_id))

    def names(self) -> set[str]:
        """Return the ids of all executions."""
        return self._ask(index_query.names)

    def damaged(self) -> list[tuple[str, str]]:
        """Return name and reason of every file that should be a record and cannot be believed."""
        return self._ask(index_query.damaged)

    def statistics(self, schedule_id: str) -> ScheduleStatistics | None:
        """Return the figures of a schedule over all its executions; None when nothing was ever known of it.

        1. Read what lives on of removed records, with the names of those that are being removed.  2. Add up the
        others.  3. When a cleanup went on meanwhile, do it again: so nothing is counted twice and nothing is missed.
        """
        unsettled = self._unsettled()
        for _ in range(_TRIES):
            seen = self.store.stamp(), self._lifetime(schedule_id)
            passed_over = frozenset(seen[1].removing) | unsettled.keys()
            found = self._use(partial(index_query.figures, schedule_id=schedule_id, without=passed_over))
            if seen == (self.store.stamp(), self._lifetime(schedule_id)):
                break
        lifetime = seen[1]
        ours = [one for one in unsettled.values() if one.schedule_id == schedule_id]
        standing = [totals_of(one) for one in ours if one.execution_id not in lifetime.removing]
        totals = added([lifetime.totals, found.recorded, *standing])
        return statistics_of(schedule_id, totals, found.spread) if totals != Totals() else None

    # -- told by the store --------------------------------------------------------------------------------------

    def follow(self, execution: ScheduleExecution, *, before: Stamp, after: Stamp) -> None:
        """Take in a record that was just saved; when that is impossible, the next reader finds the change."""
        self._change(lambda tables: index_table.follow(tables, self.store, execution, change=(before, after)))

    def forget(self, execution_ids: Sequence[str], *, before: Stamp, after: Stamp) -> None:
        """Drop records that were just removed; when that is impossible, the next reader finds the change."""
        self._change(lambda tables: index_table.forget(tables, execution_ids, change=(before, after)))

    # -- the index ----------------------------------------------------------------------------------------------

    def _ask(self, question: Callable[[Connection], T]) -> T:
        return self._use(lambda tables: question(tables.database))

    def _use(self, work: Callable[[Tables], T]) -> T:
        """Use the index in step with the records; when its file cannot be used, one in memory."""
        try:
            with IndexFile(self.folders.index).opened(patience=_READER_PATIENCE) as tables:
                return work(self._in_step(tables))
        except IndexUnusableError:
            with closing(in_memory()) as tables:
                return work(self._in_step(tables))

    def _in_step(self, tables: Tables) -> Tables:
        if not index_table.is_in_step(tables, self.store, now=self.clock()):
            index_table.reconcile(tables, self.store, now=self.clock())
        return tables

    def _change(self, change: Callable[[Tables], None]) -> None:
        """Change the index; when it cannot be changed now, the next reader finds it out of step."""
        with suppress(IndexUnusableError), IndexFile(self.folders.index).opened(patience=_WRITER_PATIENCE) as tables:
            change(tables)

    # -- the records --------------------------------------------------------------------------------------------

    def _unsettled(self) -> dict[str, ScheduleExecution]:
        """Return, as they stand now, the executions that had not ended when the index was last told of them."""
        found = {name: self._load(name) for name in self._ask(index_query.active)}
        return {name: execution for name, execution in found.items() if execution is not None}

    def _load(self, name: str) -> ScheduleExecution | None:
        """Return one execution as it stands; None when its file is gone or cannot be believed."""
        try:
            return self.current.load(name)
        except (DamagedRecordError, NotFoundError):
            return None

    def _lifetime(self, schedule_id: str) -> Lifetime:
        try:
            return load_lifetime(self.folders.statistics, schedule_id)
        except DamagedRecordError:  # set aside by the next cleanup; what is recorded still counts
            return Lifetime(schedule_id=schedule_id)


def _age(execution: ScheduleExecution) -> tuple[float, str]:
    return execution.start_time, execution.execution_id
