"""Which units move as one: parts of a folder that may not be split, and groups that are kept together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from rebalancer.inventory.unit import Unit
from rebalancer.planning.constraints import glob_matcher
from rebalancer.planning.limits import Constraints

Key = tuple[str, str]  # disk and path


@dataclass(frozen=True, slots=True)
class Binding:
    """The folder or group that a unit belongs to as a whole, and where its other parts are."""

    ties: Mapping[Key, str] = field(default_factory=dict)
    homes: Mapping[str, frozenset[str]] = field(
        default_factory=dict
    )  # only of what is on several disks: where it may go

    def tie_of(self, unit: Unit) -> str:
        return self.ties.get((unit.disk, unit.path), "")


def binding_of(units: Iterable[Unit], constraints: Constraints) -> Binding:
    """Find the ties; a unit of several, such as a hard-link group over two folders, makes them one."""
    levels = {rule.share: rule.split_level for rule in constraints.shares if rule.split_level}
    groups = [glob_matcher(group) for group in constraints.keep_together]
    if not levels and not groups:
        return Binding()
    ties: dict[Key, str] = {}
    homes: dict[str, set[str]] = {}
    joined: dict[str, str] = {}
    for unit in units:
        found = _ties_of(unit, groups, levels)
        for tie in found:
            homes.setdefault(tie, set()).add(unit.disk)
            _join(joined, found[0], tie)
        if found:
            ties[unit.disk, unit.path] = found[0]
    if joined:
        ties = {key: _first(joined, tie) for key, tie in ties.items()}
    return Binding(ties=ties, homes=_meeting_places(homes, joined))


def _ties_of(unit: Unit, groups: Sequence[Callable[[Unit], str]], levels: Mapping[str, int]) -> list[str]:
    group = next((f"group {number}" for number, match in enumerate(groups, start=1) if match(unit)), "")
    found = {group: None} if group else {}
    for member in unit.members if unit.also else (unit,):
        names = member.path.split("/")
        if level := levels.get(names[0]):
            found["/".join(names[: level + 1])] = None
    return list(found)


def _join(joined: dict[str, str], one: str, other: str) -> None:
    one, other = _first(joined, one), _first(joined, other)
    if one != other:
        joined[max(one, other)] = min(one, other)


def _first(joined: Mapping[str, str], tie: str) -> str:
    while tie in joined:
        tie = joined[tie]
    return tie


def _meeting_places(homes: Mapping[str, set[str]], joined: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return the disks where a tie that is on several may be brought together: those that have a part of each of its own."""
    places: dict[str, frozenset[str]] = {}
    for tie, disks in homes.items():
        if len(disks) > 1:
            first = _first(joined, tie)
            places[first] = places.get(first, frozenset(disks)) & disks
    return places


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
