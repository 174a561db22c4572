"""One array, planned and judged: what the plan costs, what it reaches, what others reach, and whether it is sound."""

import time
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from planner import judge, orders
from planner.arrays import Trial
from planner.checker import problems_of, worse_steps
from planner.orders import Reached
from planner.rivals import compete
from rebalancer.inventory.unit import Inventory
from rebalancer.planning.plan import Plan
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection

TOLERANCE = 1.0
_SELECTION = Selection(tolerance=TOLERANCE)
_EDGE = 1e-3  # points
_TRACE = 1e-5  # of the bytes: what the solver's own tolerances may be worth


class Rival(Struct, frozen=True):
    """Where a greedy rule ended, and on which measure it was ahead of the plan."""

    spread: float
    bytes: int
    is_nearer: bool  # a smaller spread, where the plan misses the tolerance
    is_cheaper: bool  # no more spread than the plan, or within the tolerance, for fewer bytes


class Result(Struct, frozen=True, kw_only=True):
    """Figures of one array. ``bound`` is the judge's own, for divisible units and the same rules."""

    name: str
    disks: int
    units: int
    seconds: float
    spread_before: float
    spread: float
    least_spread: float  # what divisible units could reach
    bytes: int
    bound: float
    stated_bound: int
    is_stated: bool  # the tolerance is reached, or the plan says why not
    problems: tuple[str, ...]
    worse_steps: int  # moves after which the disks are less even than at the start
    moves_again: int  # moves of a second plan, after the first was carried out
    rivals: dict[str, Rival]

    @property
    def ratio(self) -> float:
        return self.bytes / self.bound if self.bound > 1 else 1.0

    @property
    def is_even(self) -> bool:
        return self.spread <= max(TOLERANCE, self.least_spread) + _EDGE


class Exact(Struct, frozen=True, kw_only=True):
    """A small array beside its optimum. Gaps in percent of bytes, and in points of spread.

    The solver ignores the order of steps. Where the plan is not at the solver's optimum, every better end and every
    order of its steps was looked at: ``in_order`` is the best that a plan can be, ``by_room`` the best where steps may
    leave the disks less even than at the start on the way, as long as they fit.
    """

    name: str
    seconds: float
    spread: float
    least_spread: float
    bytes: int
    optimum: float
    is_proven: bool
    in_order: Reached | None = None  # None: the plan is at the solver's optimum, or there are too many ends to look at
    by_room: Reached | None = None

    @property
    def misses_solver(self) -> float:
        """Return how many points more spread the plan has than whole units could reach, beyond the tolerance."""
        return max(0.0, self.spread - max(TOLERANCE, self.least_spread) - _EDGE)

    @property
    def is_at_solver(self) -> bool:
        return not self.misses_solver and self.bytes <= self.optimum * (1 + _TRACE)

    @property
    def misses(self) -> float:
        """Return how many points more spread the plan has than any plan could reach, beyond the tolerance."""
        if self.in_order is None:
            return self.misses_solver
        return max(0.0, self.spread - TOLERANCE - self.in_order.missed - _EDGE)

    @property
    def misses_by_room(self) -> float:
        """Return the points that no plan could reach even if its steps had to do nothing but fit."""
        goal = max(TOLERANCE, self.least_spread) + _EDGE
        return 0.0 if self.by_room is None else max(0.0, TOLERANCE + self.by_room.missed - goal)

    @property
    def gap(self) -> float:
        optimum = self.optimum if self.in_order is None else self.in_order.bytes
        return 100 * (self.bytes / optimum - 1) if optimum > 1 else 100.0 * bool(self.bytes)


def judged(trial: Trial) -> Result:
    """Plan for the array and hold the plan against the judge, the rivals, the checker and a second plan."""
    start = time.perf_counter()
    plan = make_plan(trial.inventory, _SELECTION, trial.constraints)
    seconds = time.perf_counter() - start
    least = judge.least_spread(trial, is_exact=False)
    verdict = judge.least_bytes(trial, max(TOLERANCE, plan.spread_after, least + 1e-6), is_exact=False)
    again = make_plan(carried_out(trial.inventory, [plan]), _SELECTION, trial.constraints)
    return Result(
        name=trial.name,
        disks=len(trial.inventory.disks),
        units=len(trial.inventory.units),
        seconds=seconds,
        spread_before=plan.spread_before,
        spread=plan.spread_after,
        least_spread=least,
        bytes=plan.bytes_to_move,
        bound=verdict.bytes,
        stated_bound=plan.lower_bound_bytes,
        is_stated=plan.spread_after <= TOLERANCE or bool(plan.coarseness),
        problems=tuple(problems_of(trial.inventory, plan, trial.constraints, _SELECTION)),
        worse_steps=len(worse_steps(trial.inventory, plan, trial.constraints)),
        moves_again=len(again.moves),
        rivals=_rivals(trial, plan),
    )


def exact(trial: Trial) -> Exact:
    """Plan for a small array and find the optimum: the least spread, then the least bytes that reach the goal.

    The goal is the tolerance, or the least spread where that is above it.
    """
    start = time.perf_counter()
    plan = make_plan(trial.inventory, _SELECTION, trial.constraints)
    seconds = time.perf_counter() - start
    least = judge.least_spread(trial, is_exact=True)
    verdict = judge.least_bytes(trial, max(TOLERANCE, least + 1e-6, plan.spread_after), is_exact=True)
    result = Exact(
        name=trial.name,
        seconds=seconds,
        spread=plan.spread_after,
        least_spread=least,
        bytes=plan.bytes_to_move,
        optimum=verdict.bytes,
        is_proven=verdict.is_proven,
    )
    return result if result.is_at_solver or orders.count_of(trial) > orders.MOST else _in_order(trial, result)


def _in_order(trial: Trial, result: Exact) -> Exact:
    known = orders.Reached(max(0.0, result.spread - TOLERANCE), result.bytes)
    in_order, by_room = (
        orders.best_in_order(trial, known, tolerance=TOLERANCE, keeps_spread=keeps_spread)
        for keeps_spread in (True, False)
    )
    return replace(result, in_order=in_order, by_room=by_room, is_proven=True)


def carried_out(inventory: Inventory, plans: Sequence[Plan]) -> Inventory:
    """Return the inventory that a scan would find when these plans were carried out."""
    for plan in plans:
        went = {(move.source, move.path): move.destination for move in plan.moves}
        used = {disk.name: disk.planned_used_bytes for disk in plan.disks}
        inventory = replace(
            inventory,
            disks=tuple(
                replace(
                    disk,
                    used_bytes=used.get(disk.name, disk.used_bytes),
                    free_bytes=max(0, disk.free_bytes + disk.used_bytes - used.get(disk.name, disk.used_bytes)),
                )
                for disk in inventory.disks
            ),
            units=tuple(replace(unit, disk=went.get((unit.disk, unit.path), unit.disk)) for unit in inventory.units),
        )
    return inventory


def _rivals(trial: Trial, plan: Plan) -> dict[str, Rival]:
    allowed = max(TOLERANCE, plan.spread_after) + _EDGE
    return {
        name: Rival(
            outcome.spread,
            outcome.bytes,
            plan.spread_after > TOLERANCE and outcome.spread < plan.spread_after - _EDGE,
            outcome.spread <= allowed and outcome.bytes < plan.bytes_to_move,
        )
        for name, outcome in compete(trial, TOLERANCE).items()
    }
