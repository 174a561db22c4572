"""The judge: a linear program for what divisible units would cost, and an integer program for the exact optimum."""

from collections import defaultdict
from dataclasses import dataclass, field

import highspy

from planner.arrays import Trial
from planner.checker import Rulebook

_SECONDS = 20.0
_SCALE = 1e9  # sizes in GB keep the solver's tolerances meaningful


@dataclass(frozen=True, slots=True)
class Verdict:
    """The least bytes within a spread; ``is_proven`` when the solver says that nothing less exists."""

    bytes: float
    spread: float
    is_proven: bool


@dataclass(slots=True)
class _Model:
    """Variables ``moved[parcel, disk]`` from 0 to a limit, the disks' levels between ``bottom`` and ``bottom + width``."""

    solver: highspy.Highs = field(default_factory=highspy.Highs)
    bottom: int = 0
    width: int = 1
    flows: list[int] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)


def least_spread(trial: Trial, *, is_exact: bool) -> float:
    """Return the smallest spread in points that can be reached; with whole units when ``is_exact``."""
    model = _model(trial, is_exact=is_exact)
    model.solver.changeColCost(model.width, 1.0)
    model.solver.run()
    return 100 * float(model.solver.getInfo().objective_function_value)


def least_bytes(trial: Trial, spread: float, *, is_exact: bool) -> Verdict:
    """Return the least bytes that bring the disks within a spread in points."""
    model = _model(trial, is_exact=is_exact)
    model.solver.changeColBounds(model.width, 0.0, spread / 100 + 1e-9)
    for flow, cost in zip(model.flows, model.costs, strict=True):
        model.solver.changeColCost(flow, cost)
    model.solver.run()
    is_proven = model.solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return Verdict(float(model.solver.getInfo().objective_function_value) * _SCALE, spread, is_proven)


def _model(trial: Trial, *, is_exact: bool) -> _Model:
    model = _Model()
    solver = model.solver
    solver.silent()
    solver.setOptionValue("time_limit", _SECONDS)
    solver.setOptionValue("mip_rel_gap", 1e-6)
    solver.addVar(0.0, 1.0)
    solver.addVar(0.0, 1.0)
    rules = Rulebook(trial.inventory, trial.constraints)
    changes: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for source, size, places in _parcels(trial, rules, is_exact=is_exact):
        chosen = []
        for place in places:
            column = len(model.flows) + 2
            solver.addVar(0.0, 1.0)
            if is_exact:
                solver.changeColIntegrality(column, highspy.HighsVarType.kInteger)
            model.flows.append(column)
            model.costs.append(size)
            chosen.append(column)
            changes[source].append((column, -size))
            changes[place].append((column, size))
        if chosen:
            solver.addRow(0.0, 1.0, len(chosen), chosen, [1.0] * len(chosen))
    for disk in trial.inventory.disks:
        _add_disk(model, changes[disk.name], (disk.used_bytes, disk.size_bytes, rules.reserves[disk.name]))
    return model


def _add_disk(model: _Model, changes: list[tuple[int, float]], figures: tuple[int, int, int]) -> None:
    used, size, reserve = (figure / _SCALE for figure in figures)
    columns = [column for column, _ in changes]
    shares = [amount / size for _, amount in changes]
    level = used / size
    infinity = highspy.kHighsInf
    model.solver.addRow(-level, infinity, len(columns) + 1, [*columns, model.bottom], [*shares, -1.0])
    both = [*columns, model.bottom, model.width]
    model.solver.addRow(-infinity, -level, len(both), both, [*shares, -1.0, -1.0])
    if columns:
        model.solver.addRow(-infinity, max(0.0, 1 - reserve / size - level), len(columns), columns, shares)


def _parcels(trial: Trial, rules: Rulebook, *, is_exact: bool) -> list[tuple[str, float, list[str]]]:
    """Return what may move as source, size in GB and places: the units, or all of a share on a disk poured together."""
    poured: dict[tuple[str, str], tuple[float, list[str]]] = {}
    single: list[tuple[str, float, list[str]]] = []
    names = [disk.name for disk in trial.inventory.disks]
    for unit in trial.inventory.units:
        if rules.stays(unit):
            continue
        key = unit.disk, unit.share
        if is_exact:
            single.append((unit.disk, unit.size_bytes / _SCALE, [n for n in names if rules.may_hold(unit, n)]))
        elif key in poured:
            poured[key] = poured[key][0] + unit.size_bytes / _SCALE, poured[key][1]
        else:
            poured[key] = unit.size_bytes / _SCALE, [n for n in names if rules.may_hold(unit, n)]
    return single or [(source, size, places) for (source, _), (size, places) in poured.items()]
