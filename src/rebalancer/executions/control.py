"""Control over what runs: one execution, those of a schedule, or all at once, with verdicts that can be believed."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from msgspec import Struct

from rebalancer import records
from rebalancer.errors import DamagedRecordError, NotFoundError, RebalancerError, RefusedError
from rebalancer.executions import audit, pausing
from rebalancer.executions.active import Active
from rebalancer.executions.array_stop import ARRAY_STOPS
from rebalancer.executions.background import Background
from rebalancer.executions.current import Current
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.family import Family
from rebalancer.executions.process_table import Table
from rebalancer.executions.request import StopAction, StopRequest
from rebalancer.executions.stop import Stop
from rebalancer.executions.store import ExecutionStore
from rebalancer.executions.telling import Teller
from rebalancer.executions.verdict import Ending, Verdict
from rebalancer.schedules.manager import ScheduleManager
from rebalancer.schedules.schedule import Schedule, Suspension
from rebalancer.state import StateFolders, ensure

GRACE = 10.0  # seconds between TERM and KILL
EMERGENCY_GRACE = 1.5
_EMERGENCY_PATIENCE = 0.6  # seconds after KILL
_EMERGENCY_LIMIT = 2.5  # seconds after which whatever has not answered is reported as it is
_LISTING_LIMIT = 0.5  # seconds for the records to say what else runs, once all supervisors have been asked to stop
_NOTING_LIMIT = 0.2  # seconds for the audit log
_TELLING_LIMIT = 0.3  # seconds to start the process that tells the owner


class HoldNote(Struct, frozen=True, kw_only=True):
    """What keeps everything new from starting; ``since`` is seconds since 1970 (UTC)."""

    reason: str
    actor: str
    since: float


@dataclass(frozen=True, slots=True)
class Control:
    """Every action is noted in the audit log; ``clock`` returns seconds since 1970 (UTC)."""

    folders: StateFolders
    manager: ScheduleManager
    store: ExecutionStore
    clock: Callable[[], float]
    actor: str

    def cancel(self, execution_id: str, *, reason: str = "", grace: float = GRACE) -> Verdict:
        """Stop one execution and everything it started; it ends as CANCELLED.

        1. Leave the request.  2. Ask its supervisor, which stops its worker and writes the final record.  3. After
        ``grace`` seconds, KILL everything of it.  4. Write the final record if nobody else did.
        Raises NotFoundError, DamagedRecordError, and RefusedError where others could have planted a record.
        """
        self._refuse_open_records()
        execution = self._current.load(execution_id)
        stop = self._stop_of(execution, self._request(StopAction.CANCEL, reason))
        if not execution.status.is_final:
            stop.leave_request()
        verdict = stop.carry_out(grace=grace)
        self._note("cancel", execution_id, reason, [verdict])
        return verdict

    def cancel_schedule(self, schedule_id: str, *, reason: str = "") -> list[Verdict]:
        """Stop what runs or waits of a schedule, other than this process; it ends as CANCELLED."""
        verdicts = self._stop_all_of(schedule_id, self._request(StopAction.CANCEL, reason))
        self._note("cancel", schedule_id, reason, verdicts)
        return verdicts

    def cancel_all(self, *, reason: str = "") -> list[Verdict]:
        """Stop whatever runs or waits, all at the same time and each with the time to end cleanly."""
        verdicts = self._stop_all_of(None, self._request(StopAction.CANCEL, reason))
        self._note("cancel", "", reason, verdicts)
        return verdicts

    def stop_with_the_array(self) -> list[Verdict]:
        """Stop whatever runs or waits because its disks are about to be unmounted; it ends as CANCELLED.

        Returns when nothing of it lives any more, or when the kernel does not let go of what was killed.
        """
        verdicts = self._stop_all_of(None, self._request(StopAction.ARRAY_STOP, ARRAY_STOPS))
        self._note("array stop", "", ARRAY_STOPS, verdicts)
        return verdicts

    def pause(self, execution_id: str, *, reason: str = "") -> ScheduleExecution:
        """Let an execution wait after the chunk it is in, or before it begins, until `go_on`; returns it as it stood.

        Its supervisor looks every two seconds. Raises NotFoundError, DamagedRecordError, and RefusedError for one that
        has ended, that another program runs, or when the note cannot be written.
        """
        execution = self._listening(execution_id)
        note = pausing.PauseNote(reason=reason, actor=self.actor, since=self.clock())
        try:
            pausing.pause(self.folders, execution_id, note)
        except OSError as error:
            raise RefusedError(f"the pause cannot be written: {(error.strerror or str(error)).lower()}") from error
        self._note("pause", execution_id, reason, ())
        return execution

    def go_on(self, execution_id: str) -> bool:
        """Let an execution that was paused by hand go on; returns whether it was. What guards hold, they go on holding.

        Raises what `pause` raises.
        """
        self._listening(execution_id)
        try:
            was_paused = pausing.let_go(self.folders, execution_id)
        except OSError as error:
            raise RefusedError(f"the pause cannot be removed: {(error.strerror or str(error)).lower()}") from error
        self._note("go on", execution_id, "", ())
        return was_paused

    def _listening(self, execution_id: str) -> ScheduleExecution:
        execution = self._current.load(execution_id)
        if execution.status.is_final:
            raise RefusedError(f"{execution_id} has ended ({execution.status.value})")
        if not execution.timeline:  # only our supervisors keep one
            raise RefusedError(f"{execution_id} is run by another program, which cannot be paused")
        return execution

    def suspend(self, schedule_id: str, *, reason: str = "", until: float | None = None) -> list[Verdict]:
        """Keep a schedule from firing and stop what runs of it, which ends as SUSPENDED with the reason.

        ``until`` is seconds since 1970 (UTC); None: until somebody resumes it. Returns a verdict for each execution
        that was active. Raises NotFoundError, DamagedRecordError, and UsageError for a time that is past.
        """
        suspension = Suspension(reason=reason, actor=self.actor, since=self.clock(), until=until)
        self.manager.suspend(schedule_id, suspension)
        verdicts = self._stop_all_of(schedule_id, self._request(StopAction.SUSPEND, reason))
        self._note("suspend", schedule_id, reason, verdicts)
        return verdicts

    def resume(self, schedule_id: str) -> Schedule:
        """Let a schedule fire again; nothing happens when it was not suspended.

        Raises NotFoundError and DamagedRecordError.
        """
        schedule = self.manager.resume(schedule_id, now=self.clock())
        self._note("resume", schedule_id, "", ())
        return schedule

    # -- everything at once -------------------------------------------------------------------------------------

    def emergency_stop(self, *, hold_reason: str | None = None) -> list[Verdict]:
        """Stop all executions of this installation at once; returns a verdict for each, within 3 seconds.

        Supervisors are found by the locks that they hold in memory, so that neither the index nor a healthy state
        folder is needed; the records add what `start_execution` registered. With a reason, nothing new starts until
        `release`; raises RefusedError, after all was stopped, when that cannot be written down.
        """
        begun = time.monotonic()
        holding = None if hold_reason is None else Background(lambda: self.hold(hold_reason))
        verdicts = self._stop_everything(self._request(StopAction.EMERGENCY, hold_reason or ""), begun)
        noting = Background(lambda: self._note("emergency stop", "", hold_reason or "", verdicts))
        telling = Background(lambda: self._tell(verdicts, hold_reason))
        if holding is not None:
            holding.result_within(begun + _EMERGENCY_LIMIT - time.monotonic())
        noting.result_within(_NOTING_LIMIT)
        telling.result_within(_TELLING_LIMIT)
        return verdicts

    def hold(self, reason: str) -> None:
        """Keep everything new from starting until `release`; raises RefusedError when that cannot be written."""
        note = HoldNote(reason=reason, actor=self.actor, since=self.clock())
        ensure(self.folders.hold.parent)
        try:
            records.write(self.folders.hold, note)
        except OSError as error:
            raise RefusedError(f"the hold cannot be written: {(error.strerror or str(error)).lower()}") from error
        self._note("hold", "", reason, ())

    def release(self) -> bool:
        """Let executions start again; returns whether anything held them. Raises RefusedError."""
        was_held = os.path.lexists(self.folders.hold)
        if was_held:
            try:
                records.remove(self.folders.hold)
            except OSError as error:
                raise RefusedError(f"the hold cannot be removed: {(error.strerror or str(error)).lower()}") from error
        self._note("release", "", "", ())
        return was_held

    def _tell(self, verdicts: Sequence[Verdict], hold_reason: str | None) -> None:
        """Tell the owner, unless nothing ran and nothing is held: then nothing has changed."""
        if verdicts or hold_reason is not None:
            Teller(self.folders, self.clock).emergency(verdicts, actor=self.actor, hold_reason=hold_reason)

    def _stop_everything(self, asked: StopRequest, begun: float) -> list[Verdict]:
        """Ask all to stop before the first is waited for; what does not answer in time is reported as it is."""
        supervised = list(self._by_their_locks(asked))
        families = _ask(supervised)
        by_record, problem = self._by_their_records(asked)
        asked_already = {stop.execution_id for stop in supervised}
        others = [stop for stop in by_record if stop.execution_id not in asked_already]
        families += _ask(others)
        grace = max(0.2, begun + EMERGENCY_GRACE - time.monotonic())
        stops = [*supervised, *others]
        ways = [
            Background(partial(stop.carry_out, family, grace=grace, patience=_EMERGENCY_PATIENCE))
            for stop, family in zip(stops, families, strict=True)
        ]
        return [*(_verdict_of(stop, way, begun) for stop, way in zip(stops, ways, strict=True)), *problem]

    def _by_their_locks(self, asked: StopRequest) -> Iterator[Stop]:
        for execution_id, supervisors in self._active.supervisors().items():
            yield self._stop(execution_id, asked, heads=tuple(supervisors))

    def _by_their_records(self, asked: StopRequest) -> tuple[list[Stop], list[Verdict]]:
        """Return what the records say is active, or the reason why they say nothing."""
        try:
            found = Background(self._active_executions).result_within(_LISTING_LIMIT)
        except RebalancerError as error:
            return [], [_unreadable(str(error))]
        if found is None:
            return [], [_unreadable(f"the records in {self.folders.executions} do not answer")]
        return [replace(self._stop_of(execution, asked), through=None) for execution in found], []

    # -- one schedule -------------------------------------------------------------------------------------------

    def _stop_all_of(self, schedule_id: str | None, asked: StopRequest) -> list[Verdict]:
        """Stop the active executions of a schedule, or all of them (None)."""
        active = self._active_executions()
        found = [one for one in active if schedule_id is None or one.schedule_id == schedule_id]
        stops = [self._stop_of(execution, asked) for execution in found if not _is_this_process(execution)]
        for stop in stops:
            stop.leave_request()
        ways = [Background(partial(stop.carry_out, grace=GRACE)) for stop in stops]
        verdicts = [way.result_within(None) for way in ways]
        return [verdict for verdict in verdicts if verdict is not None]

    # -- what both need -----------------------------------------------------------------------------------------

    @property
    def _active(self) -> Active:
        return Active(self.folders, self.clock)

    @property
    def _current(self) -> Current:
        return Current(self.folders, self.store, self.clock)

    def _active_executions(self) -> list[ScheduleExecution]:
        self._refuse_open_records()
        found = []
        for execution_id in self._active.ids():
            with suppress(NotFoundError, DamagedRecordError):
                found.append(self._current.load(execution_id))
        return [execution for execution in found if not execution.status.is_final]

    def _refuse_open_records(self) -> None:
        """Whoever can plant a record could choose which processes are signalled as this user."""
        if self.folders.executions.is_dir():
            ensure(self.folders.executions)

    def _stop_of(self, execution: ScheduleExecution, asked: StopRequest) -> Stop:
        """Return how to stop an execution; of one that has ended, only what carries its token may live on."""
        known = (execution.process, execution.worker)
        is_over = execution.status.is_final
        heads = tuple(head for head in known if head is not None and (head.token or not is_over))
        # only our supervisors keep a timeline; what `start_execution` registered is told directly, with all of its own
        through = execution.process if execution.timeline and not is_over else None
        return self._stop(
            execution.execution_id, asked, heads=heads, through=through, schedule_id=execution.schedule_id
        )

    def _stop(self, execution_id: str, asked: StopRequest, **details: object) -> Stop:
        return Stop(
            folders=self.folders,
            store=self.store,
            clock=self.clock,
            execution_id=execution_id,
            request=asked,
            **details,  # type: ignore[arg-type]
        )

    def _request(self, action: StopAction, reason: str) -> StopRequest:
        return StopRequest(action=action, reason=reason, actor=self.actor, at=self.clock())

    def _note(self, action: str, target: str, reason: str, verdicts: Sequence[Verdict]) -> None:
        results = [f"{verdict.execution_id} {verdict.verdict.value} {verdict.detail}".strip() for verdict in verdicts]
        entry = audit.Entry(
            at=self.clock(),
            actor=self.actor,
            action=action,
            target=target,
            reason=reason,
            result="; ".join(results) or "done",
        )
        audit.append(self.folders.audit, entry)


def _ask(stops: Sequence[Stop]) -> list[Family]:
    """Ask all of them at once; returns everything of theirs, found in one search before the first signal."""
    table = Table()
    families = [stop.gathered(table) for stop in stops]
    for stop in stops:
        stop.leave_request()
    for family in families:
        family.ask()
    return families


def _verdict_of(stop: Stop, way: Background[Verdict], begun: float) -> Verdict:
    verdict = way.result_within(begun + _EMERGENCY_LIMIT - time.monotonic())
    if verdict is None:
        return Verdict(
            execution_id=stop.execution_id,
            schedule_id=stop.schedule_id,
            verdict=Ending.KILL_PENDING,
            seconds=time.monotonic() - begun,
            detail="its record or its processes have not answered yet",
        )
    return verdict


def _unreadable(reason: str) -> Verdict:
    return Verdict(execution_id="", schedule_id="", verdict=Ending.REFUSED, seconds=0.0, detail=reason)


def _is_this_process(execution: ScheduleExecution) -> bool:
    return execution.process is not None and execution.process.pid == os.getpid()
