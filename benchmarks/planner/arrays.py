"""Arrays from seeds: mixed disks, media-like sizes with a heavy tail, shares of which some are constrained."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from rebalancer.array.disk import Disk
from rebalancer.inventory.unit import Inventory, Unit
from rebalancer.planning.limits import Constraints, ShareRule

TB = 10**12
GB = 10**9
CAPACITIES = (2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24)
_FULLEST = 0.985
_TAIL = 2000.0  # how much larger than the smallest a unit can be
_BLOCK = 4096
_MEAN = 100 * GB
_LARGEST = 500 * GB


@dataclass(frozen=True, slots=True)
class Trial:
    """An array and the rules it lives by."""

    name: str
    inventory: Inventory
    constraints: Constraints = field(default_factory=Constraints)
    fill: float = 0.0
    constrained: float = 0.0  # the part of the shares that has a rule


def mixed(seed: int) -> Trial:
    """Return an array of 4-30 disks and 100-100,000 units, 70-98 % full, with rules on 0-60 % of its shares.

    Few units are on few and small disks, as in life: a unit is some 100 GB in the mean at most, 500 GB at the largest.
    """
    rng = random.Random(seed)
    count = int(100 * 1000 ** rng.random())
    capacities = [rng.choice(CAPACITIES) * TB for _ in range(rng.randint(4, 30))]
    while len(capacities) > 4 and sum(capacities) > count * _MEAN:
        capacities.pop()
    if sum(capacities) > count * _MEAN:
        capacities = [rng.choice((2, 4)) * TB for _ in range(4)]
    return _with_rules(rng, f"mixed {seed}", count, capacities)


def coarse(seed: int) -> Trial:
    """Return the same without that care: a hundred units may fill thirty disks, of several TB each."""
    rng = random.Random(seed)
    count = int(100 * 1000 ** (rng.random() / 3))
    return _with_rules(rng, f"coarse {seed}", count, [rng.choice(CAPACITIES) * TB for _ in range(rng.randint(4, 30))])


def _with_rules(rng: random.Random, name: str, count: int, capacities: Sequence[int]) -> Trial:
    fill, constrained = rng.uniform(0.70, 0.98), rng.uniform(0.0, 0.6)
    shares = [f"share{number}" for number in range(rng.randint(3, 12))]
    mean = fill * sum(capacities) / count
    tail = min(_TAIL, max(8.0, 4 * _LARGEST / mean)) if name.startswith("mixed") else _TAIL
    inventory = _filled(rng, capacities, uneven(rng, capacities, fill), _Contents(count, shares, tail))
    ruled = shares[: round(constrained * len(shares))]
    names = [disk.name for disk in inventory.disks]
    rules = tuple(_rule(rng, share, names) for share in ruled)
    return Trial(name, inventory, Constraints(shares=rules), fill, len(ruled) / len(shares))


def small(seed: int) -> Trial:
    """Return an array small enough for its exact optimum: 3-5 disks with 8-14 units that may go anywhere."""
    rng = random.Random(seed)
    capacities = [rng.choice((2, 3, 4)) * TB for _ in range(rng.randint(3, 5))]
    fill = rng.uniform(0.4, 0.75)
    inventory = _filled(
        rng, capacities, uneven(rng, capacities, fill), _Contents(rng.randint(8, 14), ["films"], tail=8.0)
    )
    return Trial(f"small {seed}", inventory, fill=fill)


def huge(disks: int, units: int, seed: int, fill: float = 0.7) -> Trial:
    """Return an array of that many disks and units without rules."""
    rng = random.Random(seed)
    capacities = [rng.choice(CAPACITIES) * TB for _ in range(disks)]
    shares = [f"share{number}" for number in range(12)]
    inventory = _filled(rng, capacities, uneven(rng, capacities, fill), _Contents(units, shares))
    return Trial(f"{units:,} units on {disks:,} disks", inventory, fill=fill)


def uneven(rng: random.Random, capacities: Sequence[int], fill: float) -> list[int]:
    """Return the bytes on each disk: some nearly full, some newly added, all together filled to ``fill``."""
    weights = [rng.betavariate(2.0, 0.9) + 0.02 for _ in capacities]
    total, low, high = fill * sum(capacities), 0.0, 100.0
    for _ in range(60):
        scale = (low + high) / 2
        held = sum(min(_FULLEST, scale * weight) * size for weight, size in zip(weights, capacities, strict=True))
        low, high = (scale, high) if held < total else (low, scale)
    return [int(min(_FULLEST, high * weight) * size) for weight, size in zip(weights, capacities, strict=True)]


@dataclass(frozen=True, slots=True)
class _Contents:
    count: int
    shares: Sequence[str]
    tail: float = _TAIL


def _filled(rng: random.Random, capacities: Sequence[int], wanted: Sequence[int], contents: _Contents) -> Inventory:
    homes = rng.choices(range(len(capacities)), weights=wanted, k=contents.count)
    weights = [min(rng.paretovariate(1.1), contents.tail) for _ in homes]
    totals = [1e-9] * len(capacities)
    for home, weight in zip(homes, weights, strict=True):
        totals[home] += weight
    units = tuple(
        _unit(f"disk{home + 1}", share, number, int(wanted[home] * weight / totals[home]))
        for number, (home, weight, share) in enumerate(
            zip(homes, weights, rng.choices(contents.shares, k=contents.count), strict=True)
        )
    )
    used = [0] * len(capacities)
    for home, unit in zip(homes, units, strict=True):
        used[home] += unit.size_bytes
    disks = (
        Disk(name=f"disk{n}", path=f"/mnt/disk{n}", size_bytes=size, used_bytes=held, free_bytes=size - held)
        for n, (size, held) in enumerate(zip(capacities, used, strict=True), start=1)
    )
    return Inventory(disks=tuple(disks), units=units)


def _unit(disk: str, share: str, number: int, size: int) -> Unit:
    rounded = max(1, size // _BLOCK) * _BLOCK
    return Unit(disk=disk, share=share, path=f"{share}/title {number:08d}", size_bytes=rounded, files=1 + number % 40)


def _rule(rng: random.Random, share: str, names: Sequence[str]) -> ShareRule:
    kind = rng.choice(("include", "exclude", "locked"))
    if kind == "include":
        return ShareRule(share=share, include=tuple(sorted(rng.sample(names, max(2, len(names) // 2)))))
    if kind == "exclude":
        return ShareRule(share=share, exclude=tuple(sorted(rng.sample(names, max(1, len(names) // 4)))))
    return ShareRule(share=share, is_locked=True)
