"""What a plan must respect here: the server's rules, those in the owner's settings, and what was begun before."""

import fnmatch
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rebalancer.array.disk import Disk
from rebalancer.array.unraid.immovable import Immovable as NamedPath
from rebalancer.array.unraid.server import Server
from rebalancer.array.unraid.shares import Share
from rebalancer.inventory.unit import Inventory
from rebalancer.planning.limits import Begun, Constraints, DiskRule, Immovable, ShareRule
from rebalancer.settings import Settings, ShareSettings
from rebalancer.transfer.operation import Operation

_NOTHING_SAID = ShareSettings()
_APART = "config.toml and Unraid's settings have no disk for it in common"


def constraints_of(
    settings: Settings, inventory: Inventory, unfinished: Iterable[Operation], server: Server | None = None
) -> Constraints:
    """Return the rules as the planner reads them, and every unit that an operation has yet to settle.

    The owner's settings narrow what the server allows. Only ``locked = false`` and ``movable`` lift what it forbids.
    """
    ground = _Ground.of(inventory, server)
    return Constraints(
        shares=tuple(_share_rules(settings, ground)),
        disks=tuple(
            DiskRule(
                disk=name,
                is_excluded=limit.excluded,
                gives=limit.gives,
                receives=limit.receives,
                floor_bytes=limit.floor_bytes,
            )
            for name, limit in settings.limits.items()
        ),
        pinned=settings.pinned,
        immovable=tuple(_immovable(settings, ground)),
        keep_together=settings.keep_together,
        begun=tuple(one for operation in unfinished for one in _begun(operation, inventory.disks)),
    )


def unit_depths(settings: Settings, server: Server | None) -> Mapping[str, int]:
    """Return how deep the units of a share are, where its split level decides: folders below the share."""
    known = () if server is None else server.shares.known
    levels = {
        name: _level(settings.shares.get(name, _NOTHING_SAID), _said(server, name))
        for name in (*settings.shares, *known)
    }
    return {name: level for name, level in levels.items() if level}


@dataclass(frozen=True, slots=True)
class _Ground:
    """The array that rules are made for: the server, when its data disks take part, and who has which share."""

    server: Server | None
    names: Mapping[str, str]  # of the disks that take part, by Unraid's name
    holders: Mapping[str, Collection[str]]  # names of disks, by share

    @classmethod
    def of(cls, inventory: Inventory, server: Server | None) -> "_Ground":
        here = {disk.path: disk.name for disk in inventory.disks}
        paths = {} if server is None else server.disks
        names = {name: here[path] for name, path in paths.items() if path in here}
        holders: dict[str, dict[str, None]] = {}
        for unit in inventory.units:
            for share in {unit.share, *(member.path.partition("/")[0] for member in unit.also)}:
                holders.setdefault(share, {})[unit.disk] = None
        return cls(server if names else None, names, holders)

    def name(self, disk: str) -> str:
        """Return what the inventory calls a disk of Unraid's; a disk that is not there keeps its path as its name."""
        return self.names.get(disk, f"/mnt/{disk}")


def _share_rules(settings: Settings, ground: _Ground) -> Iterator[ShareRule]:
    """Yield a rule for each share of the settings, and for the others that the server has something to say of."""
    others = [] if ground.server is None else sorted({*ground.holders, *ground.server.shares.known})
    for share in dict.fromkeys((*settings.shares, *others)):
        rule = _share_rule(share, settings.shares.get(share, _NOTHING_SAID), ground)
        if share in settings.shares or rule != ShareRule(share=share):
            yield rule


def _share_rule(name: str, own: ShareSettings, ground: _Ground) -> ShareRule:
    said = _said(ground.server, name)
    include = _homes(name, own, said, ground)
    lock = "" if own.locked is False else said.lock
    if include is None:
        lock = lock or _APART
    floor, other = own.space_to_leave, said.floor
    return ShareRule(
        share=name,
        include=include or (),
        exclude=tuple(dict.fromkeys((*own.exclude, *map(ground.name, said.exclude)))),
        is_locked=bool(own.locked or lock),
        lock_reason="" if own.locked else lock,
        split_level=_level(own, said),
        floor_bytes=max(floor.size, other.size),
        floor_percent=max(floor.percent, other.percent),
    )


def _homes(name: str, own: ShareSettings, said: Share, ground: _Ground) -> tuple[str, ...] | None:
    """Return the disks that both let a share live on, empty for every disk; None when there is none."""
    limits = [tuple(map(ground.name, said.include)), own.include]
    if said.split_level == 0 and own.locked is False and not own.include:
        limits.append(tuple(ground.holders.get(name, ())))  # Unraid itself would put it nowhere else
    limits = [limit for limit in limits if limit]
    homes = tuple(disk for disk in limits[-1] if all(disk in limit for limit in limits)) if limits else ()
    return homes if homes or not limits else None


def _said(server: Server | None, name: str) -> Share:
    return Share(name=name) if server is None else server.share(name)


def _level(own: ShareSettings, said: Share) -> int | None:
    """Return the split level: the coarser of the two; what Unraid leaves to be split by hand moves as the owner says."""
    if said.split_level == 0 and own.locked is False:
        return 1 if own.split_depth is None else own.split_depth
    levels = [level for level in (own.split_depth, said.split_level) if level is not None]
    return min(levels, default=None)


def _immovable(settings: Settings, ground: _Ground) -> Iterator[Immovable]:
    for one in () if ground.server is None else ground.server.immovable:
        is_here = not one.disk or one.disk in ground.names
        if is_here and not _is_lifted(one, settings):
            disk = ground.names[one.disk] if one.disk else ""
            yield Immovable(path=one.path, disk=disk, reason=f"{one.reason} ({one.written})")


def _is_lifted(one: NamedPath, settings: Settings) -> bool:
    """Say whether the owner lets a path move: by its name, or by unlocking the share that it is."""
    share = settings.shares.get(one.path, _NOTHING_SAID)
    written = one.written.rstrip("/")
    is_movable = any(fnmatch.fnmatchcase(written, glob.rstrip("/")) for glob in settings.movable)
    return is_movable or (share.locked is False and not one.disk)


def _begun(operation: Operation, disks: Sequence[Disk]) -> Iterable[Begun]:
    """Yield the units of an operation with the names that its disks have now; a disk is known by its path."""
    now = {disk.path: disk.name for disk in disks}
    names = {disk.name: now[disk.path] for disk in operation.disks if disk.path in now}
    for move in operation.moves:
        for member in move.members:
            yield Begun(path=member.path, source=names[move.source], destination=names[move.destination])
