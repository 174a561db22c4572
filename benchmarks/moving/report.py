"""The figures as tables: medians, ratios with their spread, and the goals beside what was reached."""

from collections.abc import Iterable, Sequence
from statistics import median

from moving.rounds import Race


def of_race(race: Race, ours: str) -> str:
    """Return the table of one tree on one medium, everybody held against one of ours."""
    rows = [
        "| who | median | least-most | time / ours | processor |",
        "|---|---|---|---|---|",
    ]
    for name in race.runs:
        seconds = race.seconds(name)
        ratio = "" if name == ours else spread(race.ratios(name, ours))
        rows.append(
            f"| {_counted(race, name)} | {median(seconds):.2f} s | {min(seconds):.2f}-{max(seconds):.2f} | {ratio} |"
            f" {race.processor(name):.2f} s |"
        )
    size = race.tree.size / 2**20
    title = f"**{race.tree.name}, {race.medium.name}** ({race.tree.files:,} files, {size:,.0f} MiB, {_rounds(race)})"
    return f"{title}\n\n" + "\n".join(rows) + "\n"


def spread(ratios: Sequence[float]) -> str:
    """Return the median of some ratios, with the least and the most."""
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _counted(race: Race, name: str) -> str:
    share = race.shares.get(name, 1)
    return name if share == 1 else f"{name} (every {share}th file, times {share})"


def _rounds(race: Race) -> str:
    count = len(next(iter(race.runs.values()), []))
    return f"{count} rounds" if count != 1 else "1 round"
