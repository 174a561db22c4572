"""How good a plan is: beside the bound, beside exact optima, beside the greedy rules of others; and what it costs."""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import page
from planner import arrays, report, trials
from planner.trials import Exact, Result
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection, Strategy

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "benchmarks" / "planner" / "results.json"
_LARGE = ((30, 1_000_000), (300, 1_000_000))  # 10,000,000 on 1,000 by hand: make bench has no such memory to ask for


def judge_mixed(seed: int) -> Result:
    return trials.judged(arrays.mixed(seed))


def judge_coarse(seed: int) -> Result:
    return trials.judged(arrays.coarse(seed))


def judge_small(seed: int) -> Exact:
    return trials.exact(arrays.small(seed))


def measure(disks: int, units: int, strategy: str) -> str:
    """Plan for one array in this process and return a row: time, memory of the whole process, distance to the bound."""
    trial = arrays.huge(disks, units, seed=1)
    before = _peak()
    start, start_cpu = time.perf_counter(), time.process_time()
    plan = make_plan(trial.inventory, Selection(strategy=Strategy(strategy)))
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    ratio = f"{plan.bytes_to_move / plan.lower_bound_bytes:.4f}" if plan.lower_bound_bytes else "-"
    return (
        f"| {strategy}: {trial.name} | {seconds:.1f} s ({cpu:.1f} s of a core) | {before >> 20:,} MiB | {_peak() >> 20:,} MiB |"
        f" {ratio} | {plan.spread_before:.2f} → {plan.spread_after:.3f} | {len(plan.moves):,} |"
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _large(cases: Sequence[tuple[int, int]]) -> str:
    """Measure each array in a process of its own, so that the peak is its own."""
    rows = [
        "| array | planning | memory with the inventory | peak | bytes / bound | spread | moves |",
        "|---|---|---|---|---|---|---|",
    ]
    for disks, units in cases:
        command = [sys.executable, __file__, "--one", "--disks", str(disks), "--units", str(units)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        rows.append(
            done.stdout.strip() or f"| {units:,} units on {disks:,} disks | ended with {done.returncode} | | | | | |"
        )
    return "**Large arrays, one process each**\n\n" + "\n".join(rows) + "\n"


def _compare(asked: argparse.Namespace) -> None:
    with ProcessPoolExecutor(asked.jobs) as pool:
        mixed = list(pool.map(judge_mixed, range(1, asked.arrays + 1)))
        coarse = list(pool.map(judge_coarse, range(1, asked.arrays // 5 + 1)))
        small = list(pool.map(judge_small, range(1, asked.small + 1)))
    tables = [
        *([report.of_arrays("Media-like arrays", mixed)] if mixed else []),
        *([report.of_arrays("Coarse arrays: a few hundred units of up to several TB", coarse)] if coarse else []),
        *([report.of_optima(small)] if small else []),
    ]
    if not asked.quick:
        tables.append(_large(_LARGE))
    print("\n".join(tables))
    if asked.write:
        page.write(tables, name="planner")
        report.write(DATA, {"mixed": mixed, "coarse": coarse, "small": small})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arrays", type=int, default=200)
    parser.add_argument("--small", type=int, default=60, help="arrays that are held against their exact optimum")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a few arrays only; nothing is written")
    parser.add_argument(
        "--write", action="store_true", help=f"put the tables into {page.PAGE.name} and the figures into {DATA.name}"
    )
    parser.add_argument("--one", action="store_true", help="one large array, as a row: --disks, --units, --strategy")
    parser.add_argument("--disks", type=int, default=30)
    parser.add_argument("--units", type=int, default=1_000_000)
    parser.add_argument("--strategy", choices=[strategy.value for strategy in Strategy], default="even")
    asked = parser.parse_args()
    if asked.one:
        print(measure(asked.disks, asked.units, asked.strategy))
        return
    if asked.quick:
        asked.arrays, asked.small, asked.write = 6, 4, False
    _compare(asked)


if __name__ == "__main__":
    main()
