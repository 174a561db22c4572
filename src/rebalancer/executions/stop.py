"""Stopping one execution: leave the request, stop its processes, and see to it that its record says how it ended."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from rebalancer.errors import RebalancerError
from rebalancer.executions import request
from rebalancer.executions.execution import Event, ProcessIdentity, ScheduleExecution
from rebalancer.executions.family import PATIENCE, Family
from rebalancer.executions.live import told_by
from rebalancer.executions.process import boot_id
from rebalancer.executions.process_table import Table
from rebalancer.executions.request import StopRequest
from rebalancer.executions.settle import Remains, settled
from rebalancer.executions.store import ExecutionStore
from rebalancer.executions.telling import Teller
from rebalancer.executions.verdict import Ending, Verdict, detail_of, ending_of
from rebalancer.state import StateFolders

_TRIES = 5  # a record that keeps changing has somebody who looks after it


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One execution that is to end. ``heads`` are the processes it is known by; durations in seconds."""

    folders: StateFolders
    store: ExecutionStore
    clock: Callable[[], float]  # seconds since 1970 (UTC)
    execution_id: str
    request: StopRequest
    heads: tuple[ProcessIdentity, ...]
    through: ProcessIdentity | None = None  # its supervisor, which tells the others; None: all are told at once
    schedule_id: str = ""

    def gathered(self, table: Table) -> Family:
        """Return everything of it that lives, held, to be asked together with others and then given to `carry_out`."""
        family = Family(self.heads)
        family.gather(table)
        return family

    def carry_out(self, family: Family | None = None, *, grace: float, patience: float = PATIENCE) -> Verdict:
        """Stop it and write its final record, unless its supervisor did: a final record is never overwritten."""
        begun = time.monotonic()
        with family or self.gathered(Table()) as found:
            stopped = found.stop(grace=grace, patience=patience, through=self.through)
        ending, execution = ending_of(stopped), self._recorded()
        detail = detail_of(stopped, execution.disks_before if execution is not None else ())
        if ending is Ending.STOPPED:
            detail = self._conclude() or detail
        elif ending is Ending.KILL_PENDING:
            self._note_pending(detail)
        if ending is not Ending.KILL_PENDING:
            with suppress(OSError):
                request.forget(self.folders, self.execution_id)
        return self.verdict(ending, time.monotonic() - begun, detail=detail)

    def leave_request(self) -> None:
        """Tell the supervisor why it will be asked to stop; without the request it stops all the same."""
        with suppress(OSError, RebalancerError):
            request.write(self.folders, self.execution_id, self.request)

    def verdict(self, ending: Ending, seconds: float, *, detail: str = "") -> Verdict:
        schedule_id = self.schedule_id
        if not schedule_id and (execution := self._recorded()) is not None:
            schedule_id = execution.schedule_id
        return Verdict(
            execution_id=self.execution_id, schedule_id=schedule_id, verdict=ending, seconds=seconds, detail=detail
        )

    def _recorded(self) -> ScheduleExecution | None:
        try:
            return self.store.load(self.execution_id)
        except RebalancerError:
            return None

    def _conclude(self) -> str:
        """Write the final record when nobody else did; returns why that was not possible, else nothing."""
        try:
            for _ in range(_TRIES):
                seen = self.store.load(self.execution_id)
                if seen.status.is_final:
                    return ""
                ended = self._ended(seen)
                if self.store.update(ended, seen=seen):
                    Teller(self.folders, self.clock).ended(ended)
                    return ""
        except RebalancerError as error:
            return f"its record could not be finished: {error}"
        return "its record could not be finished: somebody else keeps it"

    def _ended(self, seen: ScheduleExecution) -> ScheduleExecution:
        """Return the final record, with the figures that the execution last told of itself."""
        now = self.clock()
        remains = Remains(progress=told_by(self.folders, self.execution_id), last_seen=now, request=self.request)
        return settled(seen, boot_id=boot_id(), is_alive=lambda _: False, now=now, remains=remains)

    def _note_pending(self, detail: str) -> None:
        """Let the record say that KILL was sent, so that whoever settles it later can tell."""
        with suppress(RebalancerError):
            seen = self.store.load(self.execution_id)
            if not seen.status.is_final:
                noted = replace(seen, timeline=(*seen.timeline, Event(self.clock(), "kill pending", detail)))
                self.store.update(noted, seen=seen)
