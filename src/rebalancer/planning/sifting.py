"""From an inventory to a situation: the units that may move sorted by disk and size, the others with their reason."""

from collections.abc import Sequence
from operator import attrgetter

from rebalancer.errors import UsageError
from rebalancer.inventory.unit import Inventory, Unit
from rebalancer.names import display
from rebalancer.planning.capacity import cost_of
from rebalancer.planning.constraints import Rule, places_of, rules_of
from rebalancer.planning.left_behind import Remainder
from rebalancer.planning.plan import LeftBehind
from rebalancer.planning.roles import Participant, participants_of
from rebalancer.planning.selection import Selection
from rebalancer.planning.situation import Situation, Stock
from rebalancer.quantities import format_size


def sift(inventory: Inventory, selection: Selection, remainder: Remainder, *, spares_use: bool) -> Situation:
    """Return what a strategy may decide on, and note every unit of a giving disk that must stay.

    ``spares_use`` lets units stay of which somebody has a file open for writing.

    Raises UsageError for an inventory that contradicts itself and for names that nothing has.
    """
    disks = participants_of(inventory.disks, selection)
    places = places_of(inventory.units)
    rules = rules_of(inventory, selection, places, spares_use=spares_use)
    movable = _movable(inventory, disks, rules, remainder)
    for left in inventory.left_alone:
        remainder.add_row(LeftBehind(disk=left.disk, path=left.path, path_base64=left.path_base64, reason=left.reason))
    position = {disk.name: index for index, disk in enumerate(disks)}
    return Situation(
        disks=disks,
        stocks=_stocks(disks, movable, remainder),
        holders={
            path: frozenset(position[name] for name in names if name in position)
            for path, names in places.split.items()
        },
        selection=selection,
    )


def _movable(
    inventory: Inventory, disks: Sequence[Participant], rules: Sequence[Rule], remainder: Remainder
) -> list[list[Unit]]:
    found: dict[str, list[Unit]] = {disk.name: [] for disk in disks if disk.gives}
    known = {disk.name for disk in inventory.disks}
    for unit in inventory.units:
        if unit.disk not in known or unit.size_bytes < 0 or unit.files < 0:
            raise UsageError(_contradiction(unit))
        if unit.disk not in found:
            continue
        for rule in rules:
            if reason := rule.reason(unit):
                remainder.add(rule.name, unit, reason)
                break
        else:
            if unit.size_bytes:  # moving what occupies nothing helps nobody
                found[unit.disk].append(unit)
    return [found.get(disk.name, []) for disk in disks]


def _contradiction(unit: Unit) -> str:
    if unit.size_bytes < 0 or unit.files < 0:
        return f"the inventory gives {display(unit.path)} a negative size or number of files"
    return f"the inventory has {display(unit.path)} on a disk {display(unit.disk)} that it does not list"


def _stocks(disks: Sequence[Participant], movable: Sequence[list[Unit]], remainder: Remainder) -> tuple[Stock, ...]:
    """Sort the units, and note those that no other disk could hold even if it gave away all it can."""
    for units in movable:
        if any(map(attrgetter("path_base64"), units)):  # two names may look alike and differ in their bytes
            units.sort(key=attrgetter("path_base64"))
        units.sort(key=attrgetter("path"))
        units.sort(key=attrgetter("size_bytes"))
    holds = [disk.room + sum(map(attrgetter("size_bytes"), units)) for disk, units in zip(disks, movable, strict=True)]
    stocks = []
    for index, units in enumerate(movable):
        most = max((holds[other] for other, to in enumerate(disks) if other != index and to.receives), default=None)
        if most is not None:
            _drop_too_large(units, most, remainder)
        sizes = list(map(attrgetter("size_bytes"), units))
        stocks.append(Stock(units=units, sizes=sizes, total=sum(sizes)))
    return tuple(stocks)


def _drop_too_large(units: list[Unit], most: int, remainder: Remainder) -> None:
    while units and (cost := cost_of(units[-1])) > most:
        room = f"{format_size(cost)} needed, at most {format_size(max(0, most))} free above the reserve"
        remainder.add("room", units.pop(), f"no other disk could hold it even if it gave away all it may: {room}")
