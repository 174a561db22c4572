"""Whether a plan breaks anything, step by step: written from the rules' descriptions, without the planner's code."""

import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Iterator

from rebalancer.inventory.unit import Inventory, Unit, UnitKind
from rebalancer.planning.limits import Constraints, DiskRule, ShareRule
from rebalancer.planning.plan import Move, Plan
from rebalancer.planning.selection import Selection
from rebalancer.quantities import parse_reserve

_NO_SHARE = ShareRule(share="")
_NO_DISK = DiskRule(disk="")


class Rulebook:
    """Answers what may be where, from the constraints and the selection."""

    def __init__(self, inventory: Inventory, constraints: Constraints, selection: Selection = Selection()) -> None:  # noqa: B008
        self.constraints = constraints
        self.selection = selection
        self.shares = {rule.share: rule for rule in constraints.shares}
        self.disks = {rule.disk: rule for rule in constraints.disks}
        self.begun = {(one.source, one.path): one.destination for one in constraints.begun}
        self.reserves = {
            disk.name: self._reserve(disk.name, disk.size_bytes, disk.reserve_bytes or 0) for disk in inventory.disks
        }
        self._known = {disk.name: disk for disk in inventory.disks}

    def stays(self, unit: Unit) -> bool:
        """Say whether no rule lets the unit leave its disk."""
        rule = self.disks.get(unit.disk, _NO_DISK)
        if rule.is_excluded or not rule.gives or not self._known[unit.disk].gives or unit.left_alone:
            return True
        if self.selection.from_disks and unit.disk not in self.selection.from_disks:
            return True
        return any(self._is_locked(member.path) for member in unit.members)

    def may_hold(self, unit: Unit, disk: str) -> bool:
        """Say whether the rules let the unit arrive on the disk, whatever room there is."""
        rule = self.disks.get(disk, _NO_DISK)
        if rule.is_excluded or not rule.receives or not self._known[disk].receives or disk == unit.disk:
            return False
        if self.selection.to_disks and disk not in self.selection.to_disks:
            return False
        for member in unit.members:
            share = self.shares.get(member.path.split("/")[0], _NO_SHARE)
            if (share.include and disk not in share.include) or disk in share.exclude:
                return False
            if self.begun.get((unit.disk, member.path), disk) != disk:
                return False
        return True

    def floor(self, unit: Unit, disk: str) -> int:
        """Return what has to stay free on the disk when the unit arrives."""
        return max(self.reserves[disk], self.shares.get(unit.share, _NO_SHARE).floor_bytes)

    def groups(self, unit: Unit) -> Iterator[tuple[str, ...]]:
        """Name the groups whose members on one disk move as one."""
        for number, globs in enumerate(self.constraints.keep_together):
            if any(_matches(member.path, globs) for member in unit.members):
                yield ("group", str(number))
                return
        level = self.shares.get(unit.share, _NO_SHARE).split_level
        names = unit.path.split("/")
        if level and len(names) > level:
            yield ("folder", *names[: level + 1])

    def _is_locked(self, path: str) -> bool:
        share = self.shares.get(path.split("/", maxsplit=1)[0], _NO_SHARE)
        return share.is_locked or share.split_level == 0 or _matches(path, self.constraints.pinned)

    def _reserve(self, name: str, size: int, own: int) -> int:
        given = self.selection.reserve
        chosen = min(size * 2 // 100, 20 * 2**30) if given is None else parse_reserve(given).of(size)
        return max(own, chosen, self.disks.get(name, _NO_DISK).floor_bytes, self.constraints.in_flight_bytes)


class Walk:
    """An array on which a plan is carried out; ``problems`` says in words what went wrong."""

    def __init__(self, inventory: Inventory, rules: Rulebook) -> None:
        self.rules = rules
        self.used = {disk.name: disk.used_bytes for disk in inventory.disks}
        self.free = {
            disk.name: _free(disk.free_bytes, disk.size_bytes, disk.used_bytes, disk.filesystem)
            for disk in inventory.disks
        }
        self.size = {disk.name: disk.size_bytes for disk in inventory.disks}
        self.where = {(unit.disk, unit.path): unit for unit in inventory.units}
        self.names: dict[tuple[str, str], UnitKind] = {
            (unit.disk, member.path): unit.kind for unit in inventory.units for member in unit.members
        }
        self.went: dict[tuple[str, str], str] = {}
        self.problems: list[str] = []

    def take(self, number: int, move: Move) -> None:
        unit = self.where.pop((move.source, move.path), None)
        if unit is None or unit.size_bytes != move.size_bytes:
            self.problems.append(f"move {number}: {move.path} is not on {move.source} as the plan says")
            return
        self.problems += [
            f"move {number}, {move.path} to {move.destination}: {what}" for what in self._wrong(unit, move)
        ]
        for member in unit.members:
            del self.names[move.source, member.path]
            self.names[move.destination, member.path] = unit.kind
        self.went[move.source, move.path] = move.destination
        self.used[move.source] -= unit.size_bytes
        self.free[move.source] += unit.size_bytes
        self.used[move.destination] += unit.size_bytes
        self.free[move.destination] -= unit.size_bytes

    def spread(self, names: Iterable[str]) -> float:
        levels = [100 * self.used[name] / self.size[name] for name in names if self.size[name]]
        return max(levels) - min(levels) if len(levels) > 1 else 0.0

    def _wrong(self, unit: Unit, move: Move) -> Iterator[str]:
        if self.rules.stays(unit):
            yield "a rule says that it stays"
        if not self.rules.may_hold(unit, move.destination):
            yield "a rule forbids it there"
        if self.free[move.destination] - unit.size_bytes < self.rules.floor(unit, move.destination):
            yield "the reserve is broken"
        for member in unit.members:
            there = self.names.get((move.destination, member.path))
            if there is not None and UnitKind.FILE in {there, unit.kind}:
                yield "a file of that name is there"


def problems_of(
    inventory: Inventory,
    plan: Plan,
    constraints: Constraints = Constraints(),  # noqa: B008 - frozen
    selection: Selection = Selection(),  # noqa: B008 - frozen
) -> list[str]:
    """Carry the plan out on paper and return everything that it breaks; nothing for a sound plan."""
    walk = Walk(inventory, Rulebook(inventory, constraints, selection))
    for number, move in enumerate(plan.moves, start=1):
        walk.take(number, move)
    walk.problems += [
        f"{disk.name} ends otherwise than promised"
        for disk in plan.disks
        if disk.planned_used_bytes != walk.used[disk.name]
    ]
    return walk.problems + list(_torn(inventory, walk))


def worse_steps(inventory: Inventory, plan: Plan, constraints: Constraints = Constraints()) -> list[int]:  # noqa: B008 - frozen
    """Return the moves, counted from 1, after which the disks are less even than at the start."""
    walk = Walk(inventory, Rulebook(inventory, constraints))
    judged = [disk.name for disk in inventory.disks if _takes_part(walk.rules, disk.name)]
    before = walk.spread(judged)
    found = []
    for number, move in enumerate(plan.moves, start=1):
        walk.take(number, move)
        if walk.spread(judged) > before + 1e-6:
            found.append(number)
    return found


def _takes_part(rules: Rulebook, disk: str) -> bool:
    return not rules.disks.get(disk, _NO_DISK).is_excluded


def _torn(inventory: Inventory, walk: Walk) -> Iterator[str]:
    """Name the groups of which one disk's members went to different places."""
    ends: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for unit in inventory.units:
        for group in walk.rules.groups(unit):
            ends[unit.disk, *group].add(walk.went.get((unit.disk, unit.path), unit.disk))
    for (disk, *names), places in ends.items():
        if len(places) > 1:
            yield f"{' '.join(names)} on {disk} was torn apart: {sorted(places)}"


def _matches(path: str, globs: Iterable[str]) -> bool:
    names = path.split("/")
    runs = ["/".join(names[start:end]) for start in range(len(names)) for end in range(start + 1, len(names) + 1)]
    return any(fnmatch.fnmatchcase(run, glob.rstrip("/")) for glob in globs for run in runs)


def _free(free: int, size: int, used: int, filesystem: str) -> int:
    unused = max(0, size - used)
    return unused if free == 0 and not filesystem else min(free, unused)
