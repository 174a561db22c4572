"""The pieces wired once: what the command line and the web server call; the only room that reads the clock."""

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from rebalancer.cancel import Cancel
from rebalancer.errors import NotNowError, RebalancerError, RefusedError, UsageError
from rebalancer.executions.claims import claim, newest_slot
from rebalancer.executions.due import CLOCK, FiredBy
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.monitor import ScheduleMonitor
from rebalancer.executions.store import new_operation_id
from rebalancer.executions.taking import SlotTaker
from rebalancer.guards.options import EVERY_GUARD, GuardOptions
from rebalancer.planning.selection import Selection
from rebalancer.schedules.manager import ScheduleManager
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.slots import Slot, jitter_of, slot_of
from rebalancer.schedules.zones import machine_timezone, zone
from rebalancer.settings import Settings
from rebalancer.state import StateFolders

if TYPE_CHECKING:  # loaded by what uses it: whoever only asks whether something is due has no use for a planner
    from rebalancer.array.disk import Disk
    from rebalancer.executions.control import Control
    from rebalancer.executions.firing import Array
    from rebalancer.executions.health import ScheduleHealth
    from rebalancer.executions.index import Index
    from rebalancer.executions.runner import Runner
    from rebalancer.executions.telling import Teller
    from rebalancer.guards.watch import Watch
    from rebalancer.inventory.unit import Inventory
    from rebalancer.planning.plan import Plan
    from rebalancer.schedules.cron import CronManager
    from rebalancer.transfer.messages import Message
    from rebalancer.transfer.operation import Operation

SCRIPT = "unraid_rebalancer.py"
PLANNING_SECONDS = 60  # then the best plan so far is taken; arrays of a million units need a few
_MOSTLY_ENOUGH = 3  # newest executions of a schedule that mostly tell its health
_REMEMBERED = 50  # newest executions that are asked for the last slot when nothing else knows it
_KEPT = {"days": 30, "keep_failed_days": 90, "keep_at_least": 10}  # records of runs by hand
_NEEDED_LATER = (  # loaded before a wait that may take hours: the program may be another one afterwards
    "rebalancer.array.discovery",
    "rebalancer.array.medium",
    "rebalancer.executions.constraining",
    "rebalancer.guards.kinds",
    "rebalancer.inventory.scan",
    "rebalancer.planning.planner",
    "rebalancer.planning.traffic",
)
_WITHOUT_CRON = (
    "repair that and say 'schedule enable ID', or keep 'unraid-rebalancer serve' running, which needs no cron"
)
_FROM_THE_CLOCK = {FiredBy.CRON, FiredBy.CLOCK}


class SchedulingEngine:
    """The specification's integration class: schedules, the machine's cron and the monitor of one config folder.

    ``script_path`` is what cron starts again; ``config_dir`` is created when something is first written to it.
    """

    def __init__(self, script_path: Path | str, config_dir: Path | str = "./schedules") -> None:
        from rebalancer.schedules.cron import CronManager

        self.schedule_manager = ScheduleManager(config_dir)
        self.cron_manager = CronManager(script_path, config_dir)
        self.monitor = ScheduleMonitor(config_dir)


@dataclass(frozen=True, slots=True)
class Engine:
    """One installation: its state folders, its settings, and where this machine's own files are looked up."""

    folders: StateFolders
    settings: Settings
    root: Path
    named_disks: Sequence[str] = ()

    @property
    def schedules(self) -> ScheduleManager:
        return ScheduleManager(self.folders.config)

    @property
    def timezone(self) -> str:
        """The IANA name of the machine's time zone."""
        return machine_timezone(root=self.root, environment=os.environ)

    @property
    def cron(self) -> "CronManager":
        from rebalancer.schedules.cron import CronManager

        return CronManager(self.script, self.folders.config, root=self.root)

    @property
    def control(self) -> "Control":
        from rebalancer.executions.audit import actor_of
        from rebalancer.executions.control import Control

        return Control(
            folders=self.folders,
            manager=self.schedules,
            store=self.index.store,
            clock=time.time,
            actor=actor_of(os.environ, uid=os.geteuid()),
        )

    @property
    def index(self) -> "Index":
        from rebalancer.executions.index import Index

        return Index(self.folders)

    @property
    def script(self) -> Path:
        """What starts this program again: the script of a checkout, else the installed package."""
        script = Path(sys.argv[0]).absolute()
        return script if script.name == SCRIPT else Path(__file__).with_name("__main__.py")

    def tell_cron(self, done: str) -> list[str]:
        """Bring the lines of cron in step with the schedules; returns what to tell whoever changed one if that fails."""
        try:
            self.cron.synchronize(self.schedules.list())
        except (RebalancerError, OSError) as error:
            return [f"{done}, but cron could not be told: {error}; {_WITHOUT_CRON}"]
        return []

    def objections(self, schedule: Schedule, *, now: float) -> list[str]:
        """Return what the cron daemon of this machine would do differently from what the schedule says."""
        from rebalancer.schedules.lint import lint, which_daemon

        return lint(schedule, daemon=which_daemon(self.root), machine_timezone=self.timezone, now=now)

    def health(self, schedules: Sequence[Schedule], *, now: float) -> "list[ScheduleHealth]":
        """Return how these schedules fare, from their records, cron's lines and what runs now."""
        from rebalancer.executions.health import health_of
        from rebalancer.executions.story import holding_of
        from rebalancer.schedules.lint import lint, which_daemon

        try:
            lines = self.cron.installed()
        except (RebalancerError, OSError):  # cron cannot be asked
            lines = None
        timezone, daemon = self.timezone, which_daemon(self.root)
        running = reversed(ScheduleMonitor.of(self.folders).get_running_executions())
        holding = {one.schedule_id: what for one in running if (what := holding_of(one))}  # a newer one says it
        newest = self.index.newest_of_each([one.schedule_id for one in schedules], count=_MOSTLY_ENOUGH)
        found = []
        for schedule in schedules:
            executions, last_success_time = _history(self.index, schedule.schedule_id, newest[schedule.schedule_id])
            found.append(
                health_of(
                    schedule,
                    executions,
                    now=now,
                    machine_timezone=timezone,
                    last_success_time=last_success_time,
                    holding=holding.get(schedule.schedule_id, ""),
                    cron_line=None if lines is None else schedule.schedule_id in lines,
                    warnings=lint(schedule, daemon=daemon, machine_timezone=timezone, now=now),
                )
            )
        return found

    def disks(self) -> "tuple[Disk, ...]":
        """Return every disk, the unusable ones with their reason."""
        from rebalancer.array.discovery import find_disks

        return find_disks(root=self.root, settings=self.settings, named=self.named_disks)

    def scan(
        self, selection: Selection, *, cancel: Cancel, on_progress: Callable[[str, int, int], None]
    ) -> "Inventory":
        """Read every usable disk once; ``on_progress(disk name, files so far, bytes so far)``."""
        from rebalancer.executions.array_stop import stops_with_the_array

        with stops_with_the_array(cancel, root=self.root):
            return self._scan(selection, cancel, on_progress)

    def _scan(self, selection: Selection, cancel: Cancel, on_progress: Callable[[str, int, int], None]) -> "Inventory":
        from rebalancer.array.discovery import flush
        from rebalancer.array.unraid.server import read_server
        from rebalancer.executions.constraining import unit_depths
        from rebalancer.inventory.scan import scan

        for disk in self.disks():
            cancel.check()
            if disk.is_usable and not disk.is_folder:
                flush(disk)
        return scan(
            self.disks(),
            depth=selection.unit_depth,
            share_depths=unit_depths(self.settings, read_server(self.root)),
            now=time.time(),
            cancel=cancel,
            on_progress=on_progress,
        )

    def plan(self, inventory: "Inventory", selection: Selection, *, cancel: Cancel | None = None) -> "Plan":
        """Compute a plan within the rules of the settings and of the server; nothing is changed, and no disk is touched.

        Once asked to stop, the best plan so far is returned at once.
        """
        from rebalancer.array.unraid.server import read_server
        from rebalancer.executions.constraining import constraints_of
        from rebalancer.executions.journal import Journal
        from rebalancer.planning.planner import make_plan

        unfinished = Journal(self.folders.operations).unfinished(inventory.disks)
        constraints = constraints_of(self.settings, inventory, unfinished, read_server(self.root))
        until = time.monotonic() + PLANNING_SECONDS
        return make_plan(
            inventory,
            self._with_settings(selection),
            constraints,
            patience=lambda: time.monotonic() > until or (cancel is not None and cancel.is_requested),
        )

    def demand_nothing_holds(self, guards: GuardOptions) -> None:
        """Return when no guard holds work on the disks now; raises NotNowError with every reason."""
        from rebalancer.executions.waiting import advice
        from rebalancer.guards.hold import in_words

        watch = self._watch(guards)
        if watch.guards and (holds := watch.holds([disk for disk in self.disks() if disk.is_usable])):
            raise NotNowError(f"{in_words(holds)}{advice(holds)}")

    def finish_begun(
        self,
        selection: Selection,
        *,
        cancel: Cancel,
        on_message: "Callable[[Message], None]",
        guards: GuardOptions = EVERY_GUARD,
    ) -> ScheduleExecution | None:
        """Finish what an earlier run began and could not end, as an execution; None when there is nothing of that kind.

        A plan is better made afterwards: units that are split between two disks are whole again.
        """
        from rebalancer.executions.journal import Journal

        if not any(Journal(self.folders.operations).unfinished(self.disks())):
            return None
        return self.run(_nothing_new(), selection, cancel=cancel, on_message=on_message, guards=guards)

    def run(
        self,
        plan: "Plan",
        selection: Selection,
        *,
        cancel: Cancel,
        on_message: "Callable[[Message], None]",
        guards: GuardOptions = EVERY_GUARD,
    ) -> ScheduleExecution:
        """Finish what an earlier run began, then carry the plan out; returns the final record.

        A disk that must not be used now costs only its own moves. Raises UsageError when the plan was made for
        other disks, RefusedError when no move is left or a rule forbids one now, NotNowError when a guard or another
        run holds one of the disks.
        """
        from rebalancer.executions.array_stop import stops_with_the_array
        from rebalancer.executions.cleanup import WORTH_A_WRITE, clean_up
        from rebalancer.executions.job import Job

        watch = self._watch(guards)
        operation = self._operation(plan, self._with_settings(selection))
        job = Job(
            disks=lambda: operation.disks,
            prepare=lambda: operation,
            measure=self.disks,
            max_runtime=selection.max_runtime,
            holds=watch.holds,
            pauses=watch.holds,
        )
        runner = self._runner(cancel, on_message)
        with stops_with_the_array(cancel, root=self.root):
            execution = runner.run(job)
        runner.teller.ended(execution)
        with suppress(RebalancerError):  # that old records cannot be removed now is no reason to call the run failed
            clean_up(
                self.folders,
                schedule_id=execution.schedule_id,
                now=time.time(),
                dry_run=False,
                at_least=WORTH_A_WRITE,
                **_KEPT,
            )
        runner.teller.finish()
        return execution

    def fire(
        self,
        schedule_id: str,
        *,
        fired_by: str,
        slot: str | None,
        cancel: Cancel,
        on_message: "Callable[[Message], None]",
    ) -> ScheduleExecution | None:
        """Give a schedule its turn; returns the record of what came of it.

        None when there is nothing to do and nothing to say: the slot was taken already, none is due (a line of
        cron may fire more often than the schedule does), or the schedule is disabled. Raises NotFoundError.
        """
        schedule = self.schedules.get(schedule_id)
        by, due = FiredBy(fired_by), None
        if by is FiredBy.CRON:
            turn = self._taker(schedule_id).take_due(schedule, now=time.time(), machine_timezone=self.timezone)
            if turn is None:
                return None
            by, due = by if turn.fired_by == CLOCK else FiredBy(turn.fired_by), turn.slot
        elif by is not FiredBy.HAND:
            due = slot_of(slot or "")
            if not schedule.enabled or not claim(self.folders.slots, schedule_id, due, known=self._known(schedule_id)):
                return None
        return self._firing(schedule, by, due, cancel=cancel, on_message=on_message)

    def _firing(
        self,
        schedule: Schedule,
        by: FiredBy,
        due: Slot | None,
        *,
        cancel: Cancel,
        on_message: "Callable[[Message], None]",
    ) -> ScheduleExecution:
        from rebalancer.executions.array_stop import stops_with_the_array
        from rebalancer.executions.firing import Firing

        for name in _NEEDED_LATER:
            import_module(name)
        runner = self._runner(cancel, on_message)
        firing = Firing(
            schedule=schedule,
            manager=self.schedules,
            runner=runner,
            array=self._array_of(schedule, cancel),
            watch=lambda: self._watch(schedule.guards, only_when_idle=schedule.only_when_idle),
            fired_by=by,
            due=due,
            jitter=jitter_of(schedule, machine=platform.node()) if by in _FROM_THE_CLOCK else 0,
            timezone=zone(schedule.timezone or self.timezone),
            replace_running=lambda: self._replace(schedule.schedule_id),
        )
        with stops_with_the_array(cancel, root=self.root):
            return firing.carry_out()

    @property
    def teller(self) -> "Teller":
        from rebalancer.executions.telling import Teller

        return Teller(self.folders, time.time)

    def _runner(self, cancel: Cancel, on_message: "Callable[[Message], None]") -> "Runner":
        from rebalancer.executions.runner import Runner
        from rebalancer.executions.telling import Teller

        teller = Teller(self.folders, time.time, is_hurried=lambda: cancel.is_requested)
        return Runner(self.folders, cancel, on_message, time.time, teller)

    def _watch(self, options: GuardOptions, *, only_when_idle: bool = False) -> "Watch":
        from rebalancer.guards.kinds import guards_for
        from rebalancer.guards.watch import Watch

        return Watch(
            root=self.root,
            guards=guards_for(options, only_when_idle=only_when_idle),
            clock=time.monotonic,
        )

    def _taker(self, schedule_id: str) -> SlotTaker:
        return SlotTaker(self.folders.slots, self.index.store, self._known(schedule_id))

    def _known(self, schedule_id: str) -> Callable[[], Slot | None]:
        """Return how to find the newest slot on record, asked when the runtime folder was emptied by a reboot."""
        return lambda: newest_slot(self.index.latest(schedule_id, count=_REMEMBERED))

    def _replace(self, schedule_id: str) -> None:
        self.control.cancel_schedule(schedule_id, reason="a later firing takes its place")

    def _array_of(self, schedule: Schedule, cancel: Cancel) -> "Array":
        """Return what a schedule works on: the disks it remembers, else what is discovered when it is its turn."""
        from rebalancer.executions.firing import Array

        engine = replace(self, named_disks=schedule.disks)
        return Array(
            disks=lambda: tuple(disk for disk in engine.disks() if disk.is_usable),
            prepare=lambda: engine.prepare(schedule, cancel=cancel),
            measure=engine.disks,
        )

    def prepare(self, schedule: Schedule, *, cancel: Cancel) -> "Operation":
        """Scan and plan for a schedule; an operation without moves when no disk is as full as it asks for."""
        selection = self._with_settings(schedule.selection)
        disks = self.disks()
        above = schedule.above_percent
        if above is not None and all(disk.used_percent <= above for disk in disks if disk.is_usable):
            return self._operation(_nothing_new(), selection)
        inventory = self._scan(selection, cancel, _unseen)
        plan = self.plan(inventory, selection, cancel=cancel)
        cancel.check()
        return self._operation(plan, selection)

    def _with_settings(self, selection: Selection) -> Selection:
        """Fill in what the settings say where the selection says nothing."""
        return structs.replace(selection, reserve=selection.reserve or self.settings.reserve)

    def _demand_allowed(self, plan: "Plan", found: "Sequence[Disk]") -> None:
        """Raise RefusedError for a move that the rules forbid now: the plan may be from a file, and old."""
        from rebalancer.array.unraid.server import read_server
        from rebalancer.executions.constraining import constraints_of
        from rebalancer.inventory.unit import Inventory
        from rebalancer.planning.standing import objection_to

        rules = constraints_of(self.settings, Inventory(disks=tuple(found), units=()), (), read_server(self.root))
        if objection := objection_to(plan.moves, rules):
            raise RefusedError(f"{objection}; plan again")

    def _operation(self, plan: "Plan", selection: Selection) -> "Operation":
        from rebalancer.array.medium import medium_of
        from rebalancer.array.unraid.heat import has_parity
        from rebalancer.planning.capacity import reserve_of
        from rebalancer.planning.traffic import moves_at_once
        from rebalancer.transfer.operation import Operation

        now = time.time()
        planned = {disk.name: disk.reserve_bytes for disk in plan.disks}
        found = self.disks()
        _demand_planned_disks(plan, found)
        self._demand_allowed(plan, found)
        disks = tuple(disk for disk in found if disk.is_usable or disk.name in _disks_of(plan))
        return Operation(
            operation_id=new_operation_id(now=now),
            disks=disks,
            moves=plan.moves,
            reserves={disk.name: max(reserve_of(disk, selection), planned.get(disk.name, 0)) for disk in disks},
            verify=selection.verify,
            bandwidth_limit=selection.bandwidth_limit,
            at_once=moves_at_once(
                selection.moves_at_once, has_parity=has_parity(disks, self.root), processors=os.cpu_count() or 1
            ),
            media={disk.name: medium_of(disk) for disk in disks},
            min_age=selection.min_age,
            root=str(self.root),
            created_at=now,
        )


def _history(
    index: "Index", schedule_id: str, newest: list[ScheduleExecution]
) -> tuple[list[ScheduleExecution], float | None]:
    """Return what tells a schedule's health, the few newest where they are enough, and when it last succeeded."""
    from rebalancer.executions.health import is_enough

    if is_enough(newest):
        return newest, None
    if len(newest) < _MOSTLY_ENOUGH:
        return newest, index.success_before_records(schedule_id)
    statistics = index.statistics(schedule_id)
    last_success_time = statistics.last_success_time if statistics is not None else None
    return index.latest(schedule_id, count=_REMEMBERED), last_success_time


def _nothing_new() -> "Plan":
    from rebalancer.planning.plan import Plan

    return Plan(
        strategy="finish",
        disks=(),
        moves=(),
        bytes_to_move=0,
        lower_bound_bytes=0,
        spread_before=0.0,
        spread_after=0.0,
    )


def _unseen(_disk: str, _files: int, _size: int) -> None:
    return


def _disks_of(plan: "Plan") -> set[str]:
    return {name for move in plan.moves for name in (move.source, move.destination)}


def _demand_planned_disks(plan: "Plan", found: "Sequence[Disk]") -> None:
    """Make sure that every disk a move names is the one that the plan was made for, and that one move can be made."""
    paths = {disk.name: disk.path for disk in plan.disks}
    here = {disk.name: disk for disk in found}
    for name in sorted(_disks_of(plan)):
        if name not in here or here[name].path != paths[name]:
            raise UsageError(f"the plan was made for {name} at {paths[name]}, which is not a disk of this array")
    refused = {name for name in _disks_of(plan) if not here[name].is_usable}
    if plan.moves and all({move.source, move.destination} & refused for move in plan.moves):
        name = min(refused)
        raise RefusedError(f"{name} must not be used now: {here[name].reason}")
