"""How long a plan takes, what it needs and how near it comes to the bound: 1,000,000 heavy-tailed units on 30 disks."""

import argparse
import random
import resource
import time
from dataclasses import dataclass

from rebalancer.array.disk import Disk
from rebalancer.inventory.unit import Inventory, Unit
from rebalancer.planning.bounds import least_bytes_for_spread
from rebalancer.planning.left_behind import Remainder
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection, Strategy
from rebalancer.planning.sifting import sift
from rebalancer.quantities import format_size

_TB = 10**12
_SIZES = (2, 4, 8, 12, 16, 18, 20, 24)


@dataclass(frozen=True, slots=True)
class Case:
    disks: int
    units: int
    seed: int
    fill: float  # mean share of the space that is used


def generate(case: Case) -> Inventory:
    """Return an array whose disks are 2 to 24 TB, filled unevenly with units of Pareto-distributed sizes."""
    rng = random.Random(case.seed)
    capacities = [rng.choice(_SIZES) * _TB for _ in range(case.disks)]
    fills = [min(0.97, max(0.02, rng.gauss(case.fill, 0.18))) for _ in capacities]
    wanted = [int(capacity * fill) for capacity, fill in zip(capacities, fills, strict=True)]
    homes = rng.choices(range(case.disks), weights=wanted, k=case.units)
    weights = [min(rng.paretovariate(1.1), 2000.0) for _ in homes]
    totals = [1e-9] * case.disks
    for home, weight in zip(homes, weights, strict=True):
        totals[home] += weight
    units = tuple(
        Unit(
            disk=f"disk{home + 1}",
            share=f"share{number % 12}",
            path=f"share{number % 12}/title {number:08d}",
            size_bytes=int(wanted[home] * weight / totals[home]) // 4096 * 4096 + 4096,
            files=1 + number % 40,
        )
        for number, (home, weight) in enumerate(zip(homes, weights, strict=True))
    )
    used = [0] * case.disks
    for home, unit in zip(homes, units, strict=True):
        used[home] += unit.size_bytes
    return Inventory(disks=tuple(map(_disk, range(1, case.disks + 1), capacities, used)), units=units)


def _disk(number: int, size: int, used: int) -> Disk:
    return Disk(
        name=f"disk{number}", path=f"/mnt/disk{number}", size_bytes=size, used_bytes=used, free_bytes=size - used
    )


def measure(case: Case, selection: Selection) -> None:
    inventory = generate(case)
    start = time.perf_counter()
    plan = make_plan(inventory, selection)
    seconds = time.perf_counter() - start
    reached = least_bytes_for_spread(sift(inventory, selection, Remainder(), spares_use=True), plan.spread_after)
    print(
        f"{selection.strategy.value:7} seed {case.seed:<3} {case.units:>9,} units {case.disks:>4} disks"
        f"  {seconds:6.2f} s  peak of the process {_peak() >> 20} MiB"
        f"  {len(plan.moves):>7,} moves {format_size(plan.bytes_to_move):>8}"
        f"  x bound {_ratio(plan.bytes_to_move, plan.lower_bound_bytes)}"
        f" (at the spread reached {_ratio(plan.bytes_to_move, reached)})"
        f"  spread {plan.spread_before:.2f} -> {plan.spread_after:.3f}  {len(plan.left_behind):,} left behind",
        flush=True,
    )


def _ratio(moved: int, bound: int) -> str:
    return f"{moved / bound:.4f}" if bound else "-"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--disks", type=int, default=30)
    parser.add_argument("--units", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=1, help="how many arrays, from seed 1 on")
    parser.add_argument("--fill", type=float, default=0.7)
    parser.add_argument("--strategy", choices=[strategy.value for strategy in Strategy], default="even")
    asked = parser.parse_args()
    selection = Selection(strategy=Strategy(asked.strategy))
    for seed in range(1, asked.seeds + 1):
        measure(Case(disks=asked.disks, units=asked.units, seed=seed, fill=asked.fill), selection)


if __name__ == "__main__":
    main()
