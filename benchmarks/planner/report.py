"""The figures as tables: as text, and behind it as JSON."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import msgspec

from planner.rivals import RIVALS
from planner.trials import Exact, Result

_HEAD = "| what | figure |\n|---|---|\n"


def of_arrays(title: str, results: Sequence[Result]) -> str:
    """Return the table of what plans for `even` cost and reach."""
    ratios = sorted(result.ratio for result in results)
    above = [result for result in results if not result.is_even]
    rows = [
        ("arrays", f"{len(results)}, seeds in order"),
        ("disks; units", f"{_range(r.disks for r in results)}; {_range(r.units for r in results)}"),
        (
            "within the tolerance, or the least spread of divisible units",
            f"{len(results) - len(above)} of {len(results)}",
        ),
        ("spread of those above it, in points", ", ".join(f"{r.spread:.2f}" for r in above[:12]) or "none"),
        ("above it without saying why", f"{sum(not r.is_stated for r in results)}"),
        ("bytes moved / bound: least, median, ninth decile, worst", _quantiles(ratios)),
        ("arrays above 1.01; above 1.05", f"{sum(x > 1.01 for x in ratios)}; {sum(x > 1.05 for x in ratios)}"),
        (
            "the plan's own bound is above the judge's (more than 0.1 %)",
            f"{sum(r.stated_bound > r.bound * 1.001 + 1 for r in results)}",
        ),
        ("plans that break a rule or a reserve at a step", f"{sum(bool(r.problems) for r in results)}"),
        (
            "plans with a step after which the disks are less even than at the start",
            f"{sum(r.worse_steps > 0 for r in results)}",
        ),
        ("second plans that move something", f"{sum(r.moves_again > 0 for r in results)}"),
        (
            "seconds to plan: median, worst",
            f"{median(r.seconds for r in results):.2f}, {max(r.seconds for r in results):.2f}",
        ),
    ]
    return f"**{title}**\n\n" + _table(rows) + "\n" + _rivals(results)


def of_optima(results: Sequence[Exact]) -> str:
    """Return the table of small arrays beside their optimum."""
    met = [result for result in results if not result.misses]
    gaps = sorted(result.gap for result in met if result.is_proven) or [0.0]
    rows = [
        ("arrays", f"{len(results)}, of which {sum(r.is_proven for r in results)} with a proven optimum"),
        ("at the optimum of the solver, which ignores the order of moves", f"{sum(r.is_at_solver for r in results)}"),
        *_by_order(results),
        ("reach the least spread that can be carried out, or the tolerance", f"{len(met)} of {len(results)}"),
        ("points missed by the others", ", ".join(f"{r.misses:.2f}" for r in results if r.misses) or "none"),
        (
            "bytes above the optimum that can be carried out, in percent: median, ninth decile, worst",
            f"{median(gaps):.2f}, {gaps[len(gaps) * 9 // 10]:.2f}, {gaps[-1]:.2f}",
        ),
        ("more than 2 % above it", f"{sum(gap > 2 for gap in gaps)}"),
        ("seconds to plan: worst", f"{max((r.seconds for r in results), default=0.0):.2f}"),
    ]
    return "**Small arrays beside their exact optimum (MILP, and all orders where it is not reached)**\n\n" + _table(
        rows
    )


def _by_order(results: Sequence[Exact]) -> list[tuple[str, str]]:
    """Return what the order of moves keeps from the solver's optimum: want of room, or the promise to stay as even."""
    looked_at = [result for result in results if result.in_order is not None]
    spread = [result for result in looked_at if result.misses_solver]
    return [
        ("its spread is not reached; every end nearer to it was looked at, and all orders to there", _names(spread)),
        ("of those, no order at all has the room", _names(r for r in spread if r.misses_by_room)),
        ("only its bytes are not reached, looked at likewise", _names(r for r in looked_at if not r.misses_solver)),
    ]


def write(data: Path, figures: dict[str, object]) -> None:
    """Write the figures behind the tables as JSON."""
    plain = json.loads(msgspec.json.encode(figures), parse_float=lambda text: round(float(text), 4))
    data.write_text(json.dumps(plain, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")


def _rivals(results: Sequence[Result]) -> str:
    lines = [
        "| rule of others | median spread | within the tolerance | median bytes / ours where it is | nearer than the plan | cheaper than the plan |",
        "|---|---|---|---|---|---|",
    ]
    for name in RIVALS:
        found = [(result, result.rivals[name]) for result in results]
        inside = [rival.bytes / result.bytes for result, rival in found if rival.spread <= 1.001 and result.bytes]
        lines.append(
            f"| {name} | {median(rival.spread for _, rival in found):.2f} | {len(inside)} |"
            f" {f'{median(inside):.3f}' if inside else '-'} |"
            f" {sum(rival.is_nearer for _, rival in found)} | {sum(rival.is_cheaper for _, rival in found)} |"
        )
    return "\n".join(lines) + "\n"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return _HEAD + "".join(f"| {what} | {figure} |\n" for what, figure in rows)


def _names(results: Iterable[Exact]) -> str:
    return ", ".join(result.name for result in results) or "none"


def _range(values: Iterable[int]) -> str:
    listed = list(values)
    return f"{min(listed):,}-{max(listed):,}"


def _quantiles(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in (values[0], median(values), values[len(values) * 9 // 10], values[-1]))
