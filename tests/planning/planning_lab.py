"""Small arrays written by hand, and a simulation of carrying a plan out that shares no code with the planner."""

import random
from collections.abc import Iterable, Sequence

from rebalancer.array.disk import Disk
from rebalancer.inventory.unit import Inventory, Unit, UnitKind
from rebalancer.planning.plan import Plan

GB = 10**9
TB = 10**12


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - arrays are made up, not secrets


def disk(name: str, size: int, used: int, **more: object) -> Disk:
    fields = {"free_bytes": max(0, size - used), "filesystem": "xfs", "path": f"/mnt/{name}", **more}
    return Disk(name=name, size_bytes=size, used_bytes=used, **fields)  # type: ignore[arg-type]


def unit(on: str, path: str, size: int, **more: object) -> Unit:
    fields = {"share": path.partition("/")[0], "files": 1, **more}
    return Unit(disk=on, path=path, size_bytes=size, **fields)  # type: ignore[arg-type]


def file(on: str, path: str, size: int, **more: object) -> Unit:
    return unit(on, path, size, kind=UnitKind.FILE, **more)


def titles(on: str, sizes: Iterable[int], share: str = "films") -> tuple[Unit, ...]:
    return tuple(unit(on, f"{share}/{on} {number:05d}", size) for number, size in enumerate(sizes))


def array(disks: Sequence[tuple[str, int, Sequence[int]]], **more: object) -> Inventory:
    """Return an inventory of disks given as name, size and the sizes of the units that fill it."""
    return Inventory(
        disks=tuple(disk(name, size, sum(sizes)) for name, size, sizes in disks),
        units=tuple(one for name, _, sizes in disks for one in titles(name, sizes)),
        **more,  # type: ignore[arg-type]
    )


def percents(plan: Plan, names: Iterable[str] | None = None) -> list[float]:
    wanted = set(names) if names is not None else {one.name for one in plan.disks}
    return [
        100 * one.planned_used_bytes / one.size_bytes for one in plan.disks if one.name in wanted and one.size_bytes
    ]


def carry_out(inventory: Inventory, plan: Plan) -> list[dict[str, int]]:
    """Take the moves one by one and return the used bytes per disk at the start and after each.

    Fails when a unit is not where the plan says, or when a destination cannot hold it above its reserve
    while the source still has its copy.
    """
    reserve = {one.name: one.reserve_bytes for one in plan.disks}
    used = {one.name: one.used_bytes for one in inventory.disks}
    free = {one.name: one.free_bytes for one in inventory.disks}
    where = {(one.disk, one.path): one.size_bytes for one in inventory.units}
    history = [dict(used)]
    for move in plan.moves:
        size = where.pop((move.source, move.path))
        assert size == move.size_bytes
        assert free[move.destination] - size >= reserve[move.destination], move
        used[move.destination] += size
        free[move.destination] -= size
        used[move.source] -= size
        free[move.source] += size
        history.append(dict(used))
    return history


def spread(inventory: Inventory, used: dict[str, int]) -> float:
    levels = [100 * used[one.name] / one.size_bytes for one in inventory.disks if one.size_bytes]
    return max(levels) - min(levels) if len(levels) > 1 else 0.0


def reason_for(plan: Plan, path: str, on: str | None = None) -> str:
    return next((left.reason for left in plan.left_behind if left.path == path and on in {None, left.disk}), "")


def moved(plan: Plan) -> list[tuple[str, str, str]]:
    return [(move.path, move.source, move.destination) for move in plan.moves]
