"""Which units may move, as a list of rules: each names itself and says in words why a unit must stay."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rebalancer.errors import UsageError
from rebalancer.inventory.unit import Inventory, Unit, UnitKind
from rebalancer.names import decode, display
from rebalancer.planning.limits import Constraints, Immovable, ShareRule
from rebalancer.planning.selection import Selection
from rebalancer.quantities import format_duration, format_size


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason to stay; ``reason`` returns nothing for a unit that the rule lets go."""

    name: str
    reason: Callable[[Unit], str]


@dataclass(frozen=True, slots=True)
class Places:
    """Paths that more than one disk has, each with the disks: split folders, and files that must not move."""

    split: Mapping[str, frozenset[str]] = field(default_factory=dict)
    doubled: Mapping[str, frozenset[str]] = field(default_factory=dict)


def rules_of(
    inventory: Inventory, selection: Selection, places: Places, constraints: Constraints, *, spares_use: bool
) -> tuple[Rule, ...]:
    """Return the rules that this selection and these constraints switch on, the most telling reason first.

    ``spares_use`` leaves units alone of which somebody has a file open for writing. Raises UsageError for a share that no disk has.
    """
    _check_shares(inventory, selection)
    rules = [Rule("left alone", lambda unit: unit.left_alone)]
    if spares_use:
        rules.append(Rule("in use", lambda unit: unit.in_use))
    if selection.shares or selection.exclude_shares:
        rules.append(_share_rule(frozenset(selection.shares), frozenset(selection.exclude_shares)))
    if selection.exclude:
        rules.append(_glob_rule("exclude", "excluded", selection.exclude))
    rules.extend(_rules_of_the_array(constraints, places))
    if places.doubled:
        rules.append(_doubled_rule(places.doubled))
    if selection.min_unit_size or selection.max_unit_size is not None:
        rules.append(_size_rule(selection.min_unit_size, selection.max_unit_size))
    if selection.min_age:
        rules.append(_age_rule(selection.min_age, inventory.scanned_at))
    if selection.max_bytes is not None:
        rules.append(_limit_rule(selection.max_bytes))
    return tuple(rules)


def places_of(units: Iterable[Unit]) -> Places:
    """Find the paths that several disks have.

    Where one of them is a loose file, the union view shows one copy and hides the others; moving any of them could
    change which. Folders are merged by the view, so their parts may move.
    """
    first: dict[str, Unit] = {}
    shared: dict[str, set[str]] = {}
    with_file: set[str] = set()

    def meet(path: str, unit: Unit) -> None:
        other = first.setdefault(path, unit)
        if other.disk != unit.disk:
            shared.setdefault(path, {other.disk}).add(unit.disk)
            if UnitKind.FILE in {unit.kind, other.kind}:
                with_file.add(path)

    for unit in units:
        if first.setdefault(unit.path, unit) is not unit:
            meet(unit.path, unit)
        for member in unit.also:
            meet(member.path, unit)
    return Places(
        split={path: frozenset(disks) for path, disks in shared.items() if path not in with_file},
        doubled={path: frozenset(shared[path]) for path in with_file},
    )


def _rules_of_the_array(constraints: Constraints, places: Places) -> Iterator[Rule]:
    if constraints.pinned:
        yield _glob_rule("pinned", "pinned", constraints.pinned)
    if locked := {rule.share: rule for rule in constraints.shares if rule.is_locked or rule.split_level == 0}:
        yield _locked_rule({share: _why_locked(rule) for share, rule in locked.items()})
    if constraints.immovable:
        yield _immovable_rule(constraints.immovable)
    if levels := {rule.share: rule.split_level for rule in constraints.shares if rule.split_level}:
        yield _coarse_rule(levels, places.split)


def _check_shares(inventory: Inventory, selection: Selection) -> None:
    if not selection.shares and not selection.exclude_shares:
        return
    known = {unit.share for unit in inventory.units} | {left.path.split("/")[0] for left in inventory.left_alone}
    for share in (*selection.shares, *selection.exclude_shares):
        if share not in known:
            listed = ", ".join(display(name) for name in sorted(known) if name) or "none"
            raise UsageError(f"no disk has a share {display(share)}; the shares are: {listed}")


def _share_rule(shares: frozenset[str], excluded: frozenset[str]) -> Rule:
    def reason(unit: Unit) -> str:
        if unit.share in excluded:
            return f"the share {display(unit.share)} is excluded"
        return "" if not shares or unit.share in shares else f"the share {display(unit.share)} was not selected"

    return Rule("shares", reason)


def glob_matcher(globs: Iterable[str]) -> Callable[[Unit], str]:
    """Return a function that names the glob which a unit matches, if any.

    A glob is held against the path from the disk's root, and every run of names within it, as bytes that may not be
    UTF-8. ``*`` also matches a slash; upper and lower case differ.
    """
    matchers = {glob: re.compile(fnmatch.translate(glob.rstrip("/"))).match for glob in globs}
    matches_any = re.compile("|".join(fnmatch.translate(glob.rstrip("/")) for glob in matchers)).match
    known: dict[str, str] = {"": ""}

    def glob_over(path: str) -> str:
        parent = path.rpartition("/")[0]
        if parent not in known:
            known[parent] = glob_over(parent)
        ending = "" if known[parent] else path
        while ending:
            if matches_any(ending):
                return next(glob for glob, matches in matchers.items() if matches(ending))
            ending = ending.partition("/")[2]
        return known[parent]

    def match(unit: Unit) -> str:
        for member in unit.members if unit.also else (unit,):
            raw = decode(member.path, member.path_base64) if member.path_base64 else None
            glob = glob_over(member.path if raw is None else raw.decode("utf-8", "surrogateescape"))
            if glob:
                return glob
        return ""

    return match


def _glob_rule(name: str, verb: str, globs: Iterable[str]) -> Rule:
    match = glob_matcher(globs)

    def reason(unit: Unit) -> str:
        glob = match(unit)
        return f"{verb} by {display(glob)}" if glob else ""

    return Rule(name, reason)


def _why_locked(rule: ShareRule) -> str:
    if not rule.lock_reason:
        return f"the share {display(rule.share)} is locked by its settings"
    return f"nothing of the share {display(rule.share)} moves: {rule.lock_reason}"


def _locked_rule(reasons: Mapping[str, str]) -> Rule:
    def reason(unit: Unit) -> str:
        for member in unit.members if unit.also else (unit,):
            if found := reasons.get(member.path.partition("/")[0]):
                return found
        return ""

    return Rule("locked", reason)


def _immovable_rule(paths: Iterable[Immovable]) -> Rule:
    """Hold a path against those that must stay: it is one, it is in one, or it holds one."""
    stays = {(one.disk, one.path): one.reason for one in paths}
    holding = {
        (disk, above): f"it holds {display(path)}, {reason}"
        for (disk, path), reason in stays.items()
        for above in _folders_above(path)
    }

    def reason(unit: Unit) -> str:
        for member in unit.members if unit.also else (unit,):
            for disk in (unit.disk, ""):
                for path in (member.path, *_folders_above(member.path), ""):
                    if found := stays.get((disk, path)):
                        return found
                if found := holding.get((disk, member.path)):
                    return found
        return ""

    return Rule("immovable", reason)


def _folders_above(path: str) -> list[str]:
    return [path[:index] for index, character in enumerate(path) if character == "/"]


def _coarse_rule(levels: Mapping[str, int], split: Mapping[str, frozenset[str]]) -> Rule:
    """Keep what was scanned as one although its parts may be apart: which of them are split cannot be seen."""

    def reason(unit: Unit) -> str:
        for member in unit.members if unit.also else (unit,):
            share, *below = member.path.split("/")
            if len(below) < levels.get(share, 0) and member.path in split:
                others = ", ".join(display(name) for name in sorted(split[member.path] - {unit.disk}))
                return f"a part of it is on {others}, and it was scanned too coarsely for its split level: scan again"
        return ""

    return Rule("coarse", reason)


def _doubled_rule(doubled: Mapping[str, frozenset[str]]) -> Rule:
    def reason(unit: Unit) -> str:
        for member in unit.members if unit.also else (unit,):
            if member.path in doubled:
                others = ", ".join(display(name) for name in sorted(doubled[member.path] - {unit.disk}))
                return f"the same file is also on {others}"
        return ""

    return Rule("doubled", reason)


def _size_rule(least: int, most: int | None) -> Rule:
    def reason(unit: Unit) -> str:
        if unit.size_bytes < least:
            return f"smaller than the least unit size of {format_size(least)}"
        return (
            ""
            if most is None or unit.size_bytes <= most
            else f"larger than the largest unit size of {format_size(most)}"
        )

    return Rule("unit size", reason)


def _age_rule(min_age: int, now: float) -> Rule:
    def reason(unit: Unit) -> str:
        age = now - unit.newest_mtime
        if age >= min_age:
            return ""
        return (
            f"changed {format_duration(max(0.0, age))} before the scan, which is less than {format_duration(min_age)}"
        )

    return Rule("age", reason)


def _limit_rule(limit: int) -> Rule:
    def reason(unit: Unit) -> str:
        return f"larger than the limit of {format_size(limit)} for this run" if unit.size_bytes > limit else ""

    return Rule("limit", reason)
