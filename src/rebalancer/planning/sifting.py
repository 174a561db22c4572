"""From an inventory to a situation: the units that may move sorted by disk and size, the others with their reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from rebalancer.errors import UsageError
from rebalancer.inventory.unit import Inventory, Unit
from rebalancer.names import display
from rebalancer.planning.binding import Binding, Key, binding_of, bundle
from rebalancer.planning.capacity import cost_of
from rebalancer.planning.constraints import Rule, places_of, rules_of
from rebalancer.planning.left_behind import Remainder
from rebalancer.planning.limits import Constraints
from rebalancer.planning.plan import LeftBehind
from rebalancer.planning.reach import Reach
from rebalancer.planning.roles import Participant, participants_of, unwilling
from rebalancer.planning.selection import Selection, Strategy
from rebalancer.planning.situation import Situation, Stock
from rebalancer.quantities import format_size

_BY_BYTES = frozenset({Strategy.EVEN, Strategy.TARGET})


@dataclass(slots=True)
class _Sifted:
    """The units that may move by disk, how many of each must stay, which ties hold them, what bundles stand for."""

    movable: list[list[Unit]]
    fixed: list[int]
    anchored: set[Key]  # disk and tie
    staying: list[Unit] = field(default_factory=list)
    bundles: dict[Key, tuple[Unit, ...]] = field(default_factory=dict)


def sift(
    inventory: Inventory,
    selection: Selection,
    remainder: Remainder,
    constraints: Constraints = Constraints(),  # noqa: B008 - frozen
    *,
    spares_use: bool,
) -> Situation:
    """Return what a strategy may decide on, and note every unit of a giving disk that must stay.

    ``spares_use`` lets units stay of which somebody has a file open for writing.

    Raises UsageError for an inventory that contradicts itself and for names that nothing has.
    """
    disks = participants_of(inventory.disks, selection, constraints)
    places = places_of(inventory.units)
    rules = rules_of(inventory, selection, places, constraints, spares_use=spares_use)
    binding = binding_of(inventory.units, constraints)
    sifted = _sift_units(inventory, disks, rules, _Ground(binding, selection.strategy in _BY_BYTES, remainder))
    for left in inventory.left_alone:
        remainder.add_row(LeftBehind(disk=left.disk, path=left.path, path_base64=left.path_base64, reason=left.reason))
    for disk in inventory.disks:
        if not disk.is_usable and disk.reason:
            remainder.add_row(LeftBehind(disk=disk.name, path="", reason=f"takes no part: {disk.reason}"))
    for name in unwilling(inventory.disks, selection, disks):
        remainder.add_row(LeftBehind(disk=name, path="", reason="it was named as a giver, but it may not give"))
    _bind(sifted, binding, remainder)
    reach = Reach(disks, constraints, binding)
    position = {disk.name: index for index, disk in enumerate(disks)}
    return Situation(
        disks=disks,
        stocks=_stocks(disks, sifted, reach, remainder),
        holders={
            path: frozenset(position[name] for name in names if name in position)
            for path, names in places.split.items()
        },
        selection=selection,
        floors={
            rule.share: tuple(rule.floor_on(disk.size) for disk in disks)
            for rule in constraints.shares
            if rule.floor_bytes or rule.floor_percent
        },
        bundles=sifted.bundles,
        ties=binding.ties,
        staying=sifted.staying,
        misplaced=_misplaced(sifted, reach) if selection.strategy is Strategy.REPAIR else frozenset(),
    )


@dataclass(frozen=True, slots=True)
class _Ground:
    """What decides on a unit beside the rules; ``by_bytes``: moving what occupies nothing helps nobody."""

    binding: Binding
    by_bytes: bool
    remainder: Remainder

    def wants(self, unit: Unit) -> bool:
        return bool(unit.size_bytes or not self.by_bytes or self.binding.tie_of(unit))


def _sift_units(inventory: Inventory, disks: Sequence[Participant], rules: Sequence[Rule], ground: _Ground) -> _Sifted:
    found: dict[str, list[Unit]] = {disk.name: [] for disk in disks if disk.gives}
    known = {disk.name for disk in inventory.disks}
    staying: list[Unit] = []
    anchored: set[Key] = set()
    for unit in inventory.units:
        if unit.disk not in known or unit.size_bytes < 0 or unit.files < 0:
            raise UsageError(_contradiction(unit))
        if unit.disk not in found:
            if not ground.by_bytes:
                staying.append(unit)
            continue
        for rule in rules:
            if reason := rule.reason(unit):
                ground.remainder.add(rule.name, unit, reason)
                staying.append(unit)
                anchored.add((unit.disk, ground.binding.tie_of(unit)))
                break
        else:
            if ground.wants(unit):
                found[unit.disk].append(unit)
    fixed = Counter(unit.disk for unit in staying) + Counter(left.disk for left in inventory.left_alone)
    return _Sifted(
        [found.get(disk.name, []) for disk in disks], [fixed[disk.name] for disk in disks], anchored, staying
    )


def _contradiction(unit: Unit) -> str:
    if unit.size_bytes < 0 or unit.files < 0:
        return f"the inventory gives {display(unit.path)} a negative size or number of files"
    return f"the inventory has {display(unit.path)} on a disk {display(unit.disk)} that it does not list"


def _misplaced(sifted: _Sifted, reach: Reach) -> frozenset[Key]:
    return frozenset((unit.disk, unit.path) for units in sifted.movable for unit in units if not reach.is_at_home(unit))


def _bind(sifted: _Sifted, binding: Binding, remainder: Remainder) -> None:
    """Make one of the units that may only move together; none of them moves where one must stay."""
    if not binding.ties:
        return
    for index, units in enumerate(sifted.movable):
        free: list[Unit] = []
        for unit in units:
            tie = binding.tie_of(unit)
            if tie and (unit.disk, tie) in sifted.anchored:
                remainder.add("tied", unit, f"kept together with a part of {display(tie)} that must stay")
                sifted.fixed[index] += 1
            else:
                free.append(unit)
        sifted.movable[index], bundles = bundle(free, binding)
        sifted.bundles.update(bundles)


def _stocks(disks: Sequence[Participant], sifted: _Sifted, reach: Reach, remainder: Remainder) -> tuple[Stock, ...]:
    """Sort the units, and note those that no other disk may hold, or could even if it gave away all it can."""
    for index, units in enumerate(sifted.movable):
        if not reach.is_free:
            sifted.fixed[index] += _drop_unreachable(units, reach, remainder)
        if any(map(attrgetter("path_base64"), units)):  # two names may look alike and differ in their bytes
            units.sort(key=attrgetter("path_base64"))
        units.sort(key=attrgetter("path"))
        units.sort(key=attrgetter("size_bytes"))
    holds = [
        disk.room + sum(map(attrgetter("size_bytes"), units)) for disk, units in zip(disks, sifted.movable, strict=True)
    ]
    stocks = []
    for index, units in enumerate(sifted.movable):
        most = max((holds[other] for other, to in enumerate(disks) if other != index and to.receives), default=None)
        if most is not None:
            sifted.fixed[index] += _drop_too_large(units, most, remainder)
        sizes = list(map(attrgetter("size_bytes"), units))
        masks = None if reach.is_free else [reach.of(unit) for unit in units]
        stocks.append(Stock(units=units, sizes=sizes, total=sum(sizes), masks=masks, fixed=sifted.fixed[index]))
    return tuple(stocks)


def _drop_unreachable(units: list[Unit], reach: Reach, remainder: Remainder) -> int:
    kept: list[Unit] = []
    for unit in units:
        if reach.of(unit):
            kept.append(unit)
        else:
            remainder.add("reach", unit, reach.why_not(unit))
    dropped = len(units) - len(kept)
    units[:] = kept
    return dropped


def _drop_too_large(units: list[Unit], most: int, remainder: Remainder) -> int:
    before = len(units)
    while units and (cost := cost_of(units[-1])) > most:
        room = f"{format_size(cost)} needed, at most {format_size(max(0, most))} free above the reserve"
        remainder.add("room", units.pop(), f"no other disk could hold it even if it gave away all it may: {room}")
    return before - len(units)
