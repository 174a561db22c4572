"""Tells the owner what became of executions, as the settings ask for; nothing that goes wrong here reaches a run."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rebalancer import settings
from rebalancer.errors import RebalancerError, UsageError
from rebalancer.executions import report
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.report import Report
from rebalancer.executions.verdict import Verdict
from rebalancer.notify import delivery
from rebalancer.notify.delivery import Delivery
from rebalancer.notify.errand import Delivered, Errand, Notification, Ping, Signal
from rebalancer.notify.unraid import is_there
from rebalancer.schedules.manager import ScheduleManager
from rebalancer.schedules.upcoming import upcoming
from rebalancer.schedules.zones import machine_timezone
from rebalancer.settings import NotifySettings
from rebalancer.state import StateFolders, ensure

PATIENCE = 10.0  # seconds that the end of a run waits for its notification, in all
_START_PATIENCE = 4.0  # of these, for the ping of its start, which must not arrive after that of its end


@dataclass(eq=False)
class Teller:
    """Whoever writes a final record tells of it, afterwards. ``clock`` returns seconds since 1970 (UTC).

    The settings are read when there is something to tell, and their addresses are handed to the process that
    delivers and to nobody else. That process outlives this one; to wait for it is a choice.
    """

    folders: StateFolders
    clock: Callable[[], float]
    is_hurried: Callable[[], bool] = delivery.never  # somebody waits for this process to end
    _deadline: float = 0.0
    _under_way: list[Delivery] = field(default_factory=list)

    @property
    def held_after(self) -> float:
        """How many seconds an execution may be held before that is told."""
        return self._settings().held_after_seconds

    def started(self, execution: ScheduleExecution) -> None:
        """Tell the schedule's monitors that its work has begun."""
        self._tell(execution, (), signal=Signal.START, text=execution.execution_id)

    def held(
        self, execution: ScheduleExecution, *, reasons: Sequence[str], seconds: float, gives_up_after: float | None
    ) -> None:
        """Tell that an execution waits (or, when it never gives up, pauses) for long."""
        told = report.long_hold_of(execution, reasons=reasons, seconds=seconds, gives_up_after=gives_up_after)
        self._tell(execution, [told])

    def ended(self, execution: ScheduleExecution, *, suspended_because: str = "") -> None:
        """Tell of a final record, when its schedule was suspended because of it of that instead."""
        self._deadline = time.monotonic() + PATIENCE
        self._wait(_START_PATIENCE)
        if not self._has_readers(execution.schedule_id):
            return
        found = report.ending_of(execution, next_run=self._next_run(execution.schedule_id))
        reports = [found] if found is not None else []
        if suspended_because:
            reports.insert(0, report.suspension_of(execution, reason=suspended_because))
        self._tell(execution, reports, signal=report.signal_of(execution), text=report.text_of(execution))

    def emergency(self, verdicts: Sequence[Verdict], *, actor: str, hold_reason: str | None) -> None:
        """Tell of an emergency stop, once for everything that it stopped."""
        wanted = self._settings()
        notification = _wanted([report.emergency_of(verdicts, actor=actor, hold_reason=hold_reason)], wanted)
        if notification is not None:
            self._send(self._errand(wanted, notification, log="notify.log"))

    def test(self) -> list[Delivered]:
        """Use every channel that is set up and return what came of each.

        Raises UsageError when there is none or the settings are wrong.
        """
        from rebalancer.notify.courier import ways_of

        wanted = settings.load(self.folders.settings).notify
        text = "\n".join(report.trial().lines)
        pings = tuple(
            Ping(name=name, addresses=wanted.pings_of(name), signal=Signal.SUCCESS, text=text) for name in wanted.pings
        )
        errand = self._errand(wanted, report.trial(), pings=pings)
        if errand.is_empty:
            raise UsageError(f"nobody is told anything yet: write [notify] into {self.folders.settings}")
        ensure(self.folders.locks)
        found = {one.channel: one for one in delivery.start(errand).wait(PATIENCE)}
        unknown = "it could not be found out whether it arrived"
        return [found.get(name) or Delivered(channel=name, ok=False, detail=unknown) for name, _ in ways_of(errand)]

    def finish(self) -> None:
        """Wait for what `ended` told, ten seconds in all; what takes longer goes on without us."""
        self._wait(self._deadline - time.monotonic())

    # -- what is told, and to whom ------------------------------------------------------------------------------

    def _tell(
        self, execution: ScheduleExecution, reports: Sequence[Report], *, signal: Signal | None = None, text: str = ""
    ) -> None:
        wanted, schedule_id = self._settings(), execution.schedule_id
        pings: tuple[Ping, ...] = ()
        if signal is not None and (addresses := wanted.pings_of(schedule_id)):
            pings = (Ping(name=schedule_id, addresses=addresses, signal=signal, text=text),)
        log = f"{execution.execution_id}.log"
        self._send(self._errand(wanted, _wanted(reports, wanted), pings=pings, log=log))

    def _errand(
        self, wanted: NotifySettings, notification: Notification | None, *, pings: tuple[Ping, ...] = (), log: str = ""
    ) -> Errand:
        root = self.folders.root
        return Errand(
            root=str(root),
            turns=str(self.folders.locks / "notify.turn"),
            log=str(self.folders.logs / log) if log else "",
            notification=notification,
            to_unraid=is_there(root) if wanted.unraid is None else wanted.unraid,
            services=wanted.apprise,
            pings=pings,
        )

    def _has_readers(self, schedule_id: str) -> bool:
        wanted = self._settings()
        return bool(self._errand(wanted, None).to_unraid or wanted.apprise or wanted.pings_of(schedule_id))

    def _settings(self) -> NotifySettings:
        """Return what the owner wants now; while the settings cannot be read, what holds without any."""
        try:
            return settings.load(self.folders.settings).notify
        except RebalancerError:
            return NotifySettings()

    def _next_run(self, schedule_id: str) -> str:
        with suppress(RebalancerError):
            schedule = ScheduleManager(self.folders.config).get(schedule_id)
            zone = machine_timezone(root=self.folders.root, environment=os.environ)
            slots = upcoming(schedule, now=self.clock(), count=1, machine_timezone=zone)
            return slots[0].local if slots else ""
        return ""

    # -- on its way ---------------------------------------------------------------------------------------------

    def _send(self, errand: Errand) -> None:
        if errand.is_empty:
            return
        with suppress(OSError, RebalancerError):  # not even a process can be started: nobody is left to be told
            for folder in (Path(errand.turns).parent, self.folders.logs):
                ensure(folder)
            self._under_way.append(delivery.start(errand))

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for one in self._under_way:
            one.wait(deadline - time.monotonic(), unless=self.is_hurried)


def _wanted(reports: Sequence[Report], wanted: NotifySettings) -> Notification | None:
    """Return the first that the owner wants to be told of: one run is told of once."""
    return next((notification for occasion, notification in reports if occasion in wanted.on), None)
