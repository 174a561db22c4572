"""Planning on from where a plan ends, so that planning again once it was carried out finds nothing to move."""

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from rebalancer.array.disk import Disk
from rebalancer.inventory.unit import Inventory, Unit
from rebalancer.planning.situation import Situation, Step

Key = tuple[str, str]


def outcome(inventory: Inventory, situation: Situation, steps: Sequence[Step]) -> Inventory:
    """Return what a scan would find after the steps, but for folders that meet another part of themselves."""
    went = {_key(unit): situation.disks[step.destination].name for step in steps for unit in _units(situation, step)}
    change: Counter[str] = Counter()
    for unit in inventory.units:
        if _key(unit) in went:
            change[unit.disk] -= unit.size_bytes
            change[went[_key(unit)]] += unit.size_bytes
    return replace(
        inventory,
        disks=tuple(_filled(disk, change[disk.name]) for disk in inventory.disks),
        units=tuple(replace(unit, disk=went[_key(unit)]) if _key(unit) in went else unit for unit in inventory.units),
    )


def joined(situation: Situation, steps: Sequence[Step], later: Situation, more: Sequence[Step]) -> list[Step]:
    """Return steps, in no order, that take every unit at once to where it ends after both.

    ``more`` are steps from the outcome of ``steps``.
    """
    places = {_key(unit): step[:2] for step in _all_steps(situation) for unit in _units(situation, step)}
    numbers = {disk.name: number for number, disk in enumerate(situation.disks)}
    ends = {step[:2]: step.destination for step in steps}
    origins = {
        (situation.disks[step.destination].name, unit.path): step[:2]
        for step in steps
        for unit in _units(situation, step)
    }
    for step in more:
        for unit in _units(later, step):
            place = origins.get(_key(unit)) or places[_key(unit)]
            ends[place] = numbers[later.disks[step.destination].name]
    return [Step(*place, end) for place, end in ends.items() if end != place[0]]


def _all_steps(situation: Situation) -> Iterable[Step]:
    for disk, stock in enumerate(situation.stocks):
        for unit in range(len(stock.units)):
            yield Step(disk, unit, disk)


def _units(situation: Situation, step: Step) -> Sequence[Unit]:
    return situation.units_of(step.source, step.unit)


def _key(unit: Unit) -> Key:
    return unit.disk, unit.path


def _filled(disk: Disk, change: int) -> Disk:
    return replace(
        disk, used_bytes=disk.used_bytes + change, free_bytes=max(0, disk.free_bytes - change) if disk.free_bytes else 0
    )
