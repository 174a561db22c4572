"""The pieces wired once: what the command line and the web server call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.inventory.unit import Inventory
from rebalancer.planning.plan import Plan
from rebalancer.planning.selection import Selection
from rebalancer.settings import Settings
from rebalancer.state import StateFolders
from rebalancer.transfer.messages import Message


@dataclass(frozen=True, slots=True)
class Engine:
    """One installation: its state folders, its settings, and where this machine's own files are looked up."""

    folders: StateFolders
    settings: Settings
    root: Path
    named_disks: Sequence[str] = ()

    def disks(self) -> tuple[Disk, ...]:
        """Return every disk, the unusable ones with their reason."""
        raise NotImplementedError

    def scan(self, selection: Selection, *, cancel: Cancel, on_progress: Callable[[str, int, int], None]) -> Inventory:
        """Read every usable disk once; ``on_progress(disk name, files so far, bytes so far)``."""
        raise NotImplementedError

    def plan(self, inventory: Inventory, selection: Selection) -> Plan:
        raise NotImplementedError

    def run(
        self, plan: Plan, selection: Selection, *, cancel: Cancel, on_message: Callable[[Message], None]
    ) -> ScheduleExecution:
        """Finish what an earlier run began, then carry the plan out; returns the final record."""
        raise NotImplementedError
