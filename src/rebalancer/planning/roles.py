"""Who takes part: which disks may give, which may receive, and how much room each of them has."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rebalancer.array.disk import Disk
from rebalancer.errors import RefusedError, UsageError
from rebalancer.names import display
from rebalancer.planning.capacity import free_of, reserve_of
from rebalancer.planning.limits import Constraints, DiskRule
from rebalancer.planning.selection import Selection


@dataclass(frozen=True, slots=True)
class Participant:
    """A disk that gives, receives or both. ``room`` is its free space above the reserve; it may be negative."""

    name: str
    size: int
    used: int
    room: int
    gives: bool
    receives: bool
    reserve: int = 0


def participants_of(disks: Sequence[Disk], selection: Selection, constraints: Constraints) -> tuple[Participant, ...]:
    """Return the disks that take part, in the order given; a disk without a size never does.

    Raises UsageError for an unknown or doubled name, RefusedError for a named disk that cannot be used.
    """
    _check_names(disks)
    rules = {rule.disk: rule for rule in constraints.disks}
    givers = _named(selection.from_disks, disks)
    receivers = _named(selection.to_disks, disks)
    judged = (
        Participant(
            name=disk.name,
            size=disk.size_bytes,
            used=disk.used_bytes,
            room=free_of(disk) - reserve_of(disk, selection, constraints),
            gives=disk.gives and rule.gives and (not selection.from_disks or disk.name in givers),
            receives=disk.receives and rule.receives and (not selection.to_disks or disk.name in receivers),
            reserve=reserve_of(disk, selection, constraints),
        )
        for disk in disks
        for rule in (rules.get(disk.name) or DiskRule(disk=disk.name),)
        if disk.is_usable and disk.size_bytes > 0 and not rule.is_excluded
    )
    return tuple(participant for participant in judged if participant.gives or participant.receives)


def unwilling(disks: Sequence[Disk], selection: Selection, participants: Sequence[Participant]) -> tuple[str, ...]:
    """Return the disks that were named as givers and may not give."""
    giving = {participant.name for participant in participants if participant.gives}
    return tuple(sorted(_named(selection.from_disks, disks) - giving))


def _check_names(disks: Sequence[Disk]) -> None:
    seen: set[str] = set()
    for disk in disks:
        if disk.name in seen:
            raise UsageError(f"two disks are called {display(disk.name)}; every disk needs a name of its own")
        if disk.size_bytes < 0 or disk.used_bytes < 0:
            raise UsageError(f"the disk {display(disk.name)} has a negative size")
        seen.add(disk.name)


def _named(wanted: Iterable[str], disks: Sequence[Disk]) -> frozenset[str]:
    return frozenset(_find(word, disks).name for word in wanted)


def _find(word: str, disks: Sequence[Disk]) -> Disk:
    path = word.rstrip("/") or word
    for disk in disks:
        if word == disk.name or path == (disk.path.rstrip("/") or disk.path):
            if not disk.is_usable:
                raise RefusedError(
                    f"the disk {display(disk.name)} cannot take part: {disk.reason or disk.status.value}"
                )
            return disk
    known = ", ".join(display(disk.name) for disk in disks) or "none"
    raise UsageError(f"no disk is called {display(word)}; the disks are: {known}")
