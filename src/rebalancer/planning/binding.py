"""Which units move as one: parts of a folder that may not be split, and groups that are kept together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from rebalancer.inventory.unit import Unit
from rebalancer.planning.constraints import glob_matcher
from rebalancer.planning.limits import Constraints

Key = tuple[str, str]  # disk and path


@dataclass(frozen=True, slots=True)
class Binding:
    """The folder or group that a unit belongs to as a whole, and the disks that have a part of it."""

    ties: Mapping[Key, str] = field(default_factory=dict)
    homes: Mapping[str, frozenset[str]] = field(default_factory=dict)  # only what is on several disks

    def tie_of(self, unit: Unit) -> str:
        return self.ties.get((unit.disk, unit.path), "")


def binding_of(units: Iterable[Unit], constraints: Constraints) -> Binding:
    """Find the ties. A group binds before a folder; a unit has one tie at most."""
    levels = {rule.share: rule.split_level for rule in constraints.shares if rule.split_level}
    groups = [glob_matcher(group) for group in constraints.keep_together]
    if not levels and not groups:
        return Binding()
    ties: dict[Key, str] = {}
    homes: dict[str, set[str]] = {}
    for unit in units:
        tie = next((f"group {number}" for number, match in enumerate(groups, start=1) if match(unit)), "")
        level = levels.get(unit.share)
        if not tie and level:
            tie = "/".join(unit.path.split("/")[: level + 1])
        if tie:
            ties[unit.disk, unit.path] = tie
            homes.setdefault(tie, set()).add(unit.disk)
    return Binding(ties=ties, homes={tie: frozenset(disks) for tie, disks in homes.items() if len(disks) > 1})


def bundle(units: Sequence[Unit], binding: Binding) -> tuple[list[Unit], dict[Key, tuple[Unit, ...]]]:
    """Return the units of one disk with those of one tie made one, and what each of these stands for."""
    if not binding.ties:
        return list(units), {}
    tied: dict[str, list[Unit]] = {}
    result: list[Unit] = []
    for unit in units:
        tie = binding.tie_of(unit)
        if tie:
            tied.setdefault(tie, []).append(unit)
        else:
            result.append(unit)
    bundles: dict[Key, tuple[Unit, ...]] = {}
    for together in tied.values():
        together.sort(key=lambda unit: (unit.path, unit.path_base64))
        one = _joined(together)
        result.append(one)
        if len(together) > 1:
            bundles[one.disk, one.path] = tuple(together)
    return result, bundles


def _joined(units: Sequence[Unit]) -> Unit:
    if len(units) == 1:
        return units[0]
    return replace(
        units[0],
        size_bytes=sum(unit.size_bytes for unit in units),
        files=sum(unit.files for unit in units),
        also=(*units[0].also, *(member for unit in units[1:] for member in unit.members)),
    )
