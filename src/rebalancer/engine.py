"""The pieces wired once: what the command line and the web server call; the only room that reads the clock."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from rebalancer.array.discovery import find_disks
from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.errors import RefusedError, UsageError
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.job import Job
from rebalancer.executions.journal import Journal
from rebalancer.executions.runner import Runner
from rebalancer.executions.store import new_operation_id
from rebalancer.inventory.scan import scan
from rebalancer.inventory.unit import Inventory
from rebalancer.planning.capacity import reserve_of
from rebalancer.planning.plan import Plan
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection
from rebalancer.settings import Settings
from rebalancer.state import StateFolders
from rebalancer.transfer.messages import Message
from rebalancer.transfer.operation import Operation

_NOTHING_NEW = Plan(
    strategy="finish",
    disks=(),
    moves=(),
    bytes_to_move=0,
    lower_bound_bytes=0,
    spread_before=0.0,
    spread_after=0.0,
)


@dataclass(frozen=True, slots=True)
class Engine:
    """One installation: its state folders, its settings, and where this machine's own files are looked up."""

    folders: StateFolders
    settings: Settings
    root: Path
    named_disks: Sequence[str] = ()

    def disks(self) -> tuple[Disk, ...]:
        """Return every disk, the unusable ones with their reason."""
        return find_disks(root=self.root, settings=self.settings, named=self.named_disks)

    def scan(self, selection: Selection, *, cancel: Cancel, on_progress: Callable[[str, int, int], None]) -> Inventory:
        """Read every usable disk once; ``on_progress(disk name, files so far, bytes so far)``."""
        return scan(self.disks(), depth=selection.unit_depth, now=time.time(), cancel=cancel, on_progress=on_progress)

    def plan(self, inventory: Inventory, selection: Selection) -> Plan:
        """Compute a plan; nothing is changed."""
        return make_plan(inventory, self._with_settings(selection))

    def finish_begun(
        self, selection: Selection, *, cancel: Cancel, on_message: Callable[[Message], None]
    ) -> ScheduleExecution | None:
        """Finish what an earlier run began and could not end, as an execution; None when there is nothing of that kind.

        A plan is better made afterwards: units that are split between two disks are whole again.
        """
        if not any(Journal(self.folders.operations).unfinished(self.disks())):
            return None
        return self.run(_NOTHING_NEW, selection, cancel=cancel, on_message=on_message)

    def run(
        self, plan: Plan, selection: Selection, *, cancel: Cancel, on_message: Callable[[Message], None]
    ) -> ScheduleExecution:
        """Finish what an earlier run began, then carry the plan out; returns the final record.

        A disk that must not be used now costs only its own moves. Raises UsageError when the plan was made for
        other disks, RefusedError when no move is left, NotNowError when another run works on one of the disks.
        """
        operation = self._operation(plan, self._with_settings(selection))
        job = Job(
            disks=lambda: operation.disks,
            prepare=lambda: operation,
            measure=self.disks,
            max_runtime=selection.max_runtime,
        )
        return Runner(self.folders, cancel, on_message, time.time).run(job)

    def _with_settings(self, selection: Selection) -> Selection:
        """Fill in what the settings say where the selection says nothing."""
        return structs.replace(selection, reserve=selection.reserve or self.settings.reserve)

    def _operation(self, plan: Plan, selection: Selection) -> Operation:
        now = time.time()
        planned = {disk.name: disk.reserve_bytes for disk in plan.disks}
        found = self.disks()
        _demand_planned_disks(plan, found)
        disks = tuple(disk for disk in found if disk.is_usable or disk.name in _disks_of(plan))
        return Operation(
            operation_id=new_operation_id(now=now),
            disks=disks,
            moves=plan.moves,
            reserves={disk.name: max(reserve_of(disk, selection), planned.get(disk.name, 0)) for disk in disks},
            verify=selection.verify,
            bandwidth_limit=selection.bandwidth_limit,
            min_age=selection.min_age,
            root=str(self.root),
            created_at=now,
        )


def _disks_of(plan: Plan) -> set[str]:
    return {name for move in plan.moves for name in (move.source, move.destination)}


def _demand_planned_disks(plan: Plan, found: Sequence[Disk]) -> None:
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
