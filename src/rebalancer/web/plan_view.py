"""A plan as its page shows it: each disk before and after, the first moves, and what stays, by reason."""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rebalancer.planning.plan import LeftBehind, Move, Plan, PlannedDisk
from rebalancer.planning.selection import Selection
from rebalancer.planning.words import explain
from rebalancer.quantities import format_size
from rebalancer.schedules.written import arguments_of
from rebalancer.web.starts import PROGRAM

MOVES_SHOWN = 200
REASONS_SHOWN = 40
NAMED = 5  # units that are named for each reason


@dataclass(frozen=True, slots=True)
class DiskChange:
    """One disk. Bytes, and percents of its size from 0 to 100."""

    name: str
    path: str
    size: int
    before: float
    after: float
    reserve: float  # percent of the disk that is kept free
    change: int
    gives: int  # moves
    receives: int


@dataclass(frozen=True, slots=True)
class Staying:
    """Units that stay for one reason; a row without a path stands for the whole disk."""

    reason: str
    count: int
    first: tuple[LeftBehind, ...]


@dataclass(frozen=True, slots=True)
class PlanView:
    """Everything on the page of a plan that is not in the plan itself."""

    plan: Plan
    disks: tuple[DiskChange, ...]
    files: int
    moves: tuple[Move, ...]  # the first ones
    more_moves: int
    staying: tuple[Staying, ...]
    more_reasons: int
    coarseness: str  # why the tolerance is missed, as a sentence; empty when it is not
    against_bound: str  # how near the least possible it is, as a sentence; empty when nothing is known of that
    sentences: tuple[str, ...]

    @property
    def givers(self) -> tuple[DiskChange, ...]:
        return tuple(disk for disk in self.disks if disk.gives)

    @property
    def receivers(self) -> tuple[DiskChange, ...]:
        return tuple(disk for disk in self.disks if disk.receives)


def view_of(plan: Plan) -> PlanView:
    """Return what the page of a plan shows, of a size that does not grow with the plan's."""
    gives = Counter(move.source for move in plan.moves)
    receives = Counter(move.destination for move in plan.moves)
    groups = _by_reason(plan.left_behind)
    return PlanView(
        plan=plan,
        disks=tuple(_change(disk, gives[disk.name], receives[disk.name]) for disk in plan.disks),
        files=sum(move.files for move in plan.moves),
        moves=plan.moves[:MOVES_SHOWN],
        more_moves=max(0, len(plan.moves) - MOVES_SHOWN),
        staying=tuple(groups[:REASONS_SHOWN]),
        more_reasons=max(0, len(groups) - REASONS_SHOWN),
        coarseness=f"{plan.coarseness[:1].upper()}{plan.coarseness[1:]}." if plan.coarseness else "",
        against_bound=_against_bound(plan),
        sentences=explain(plan),
    )


def command_line(selection: Selection, *, disks: Sequence[str]) -> str:
    """Return how a shell is told to make the same plan."""
    return shlex.join([PROGRAM, "plan", *(f"--disk={disk}" for disk in disks), *arguments_of(selection)])


def _change(disk: PlannedDisk, gives: int, receives: int) -> DiskChange:
    return DiskChange(
        name=disk.name,
        path=disk.path,
        size=disk.size_bytes,
        before=_percent(disk.used_bytes, disk),
        after=_percent(disk.planned_used_bytes, disk),
        reserve=_percent(disk.reserve_bytes, disk),
        change=disk.planned_used_bytes - disk.used_bytes,
        gives=gives,
        receives=receives,
    )


def _percent(size: int, disk: PlannedDisk) -> float:
    return min(100.0, max(0.0, 100 * size / disk.size_bytes)) if disk.size_bytes else 0.0


def _by_reason(rows: Iterable[LeftBehind]) -> list[Staying]:
    """Return the reasons, that of the most rows first."""
    found: dict[str, list[LeftBehind]] = {}
    for row in rows:
        found.setdefault(row.reason, []).append(row)
    groups = [Staying(reason, len(listed), tuple(listed[:NAMED])) for reason, listed in found.items()]
    return sorted(groups, key=lambda group: (-group.count, group.reason))


def _against_bound(plan: Plan) -> str:
    if not plan.moves or not plan.lower_bound_bytes:
        return ""
    least = format_size(plan.lower_bound_bytes)
    if plan.excess_percent < 0.05:
        return f"No plan could move less: {least} is the least possible."
    return f"That is {plan.excess_percent:.1f} % above {least}, the least possible if units were divisible."
