"""Runs the campaigns of tests/crash and publishes what they found: as JSON, and as the tables of docs/reliability.md.

Nothing is published until every campaign has passed. What passed is kept in ``.crash``, so that after a failure
``make crash AGAIN=1`` runs only what failed.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs/reliability.md"
FIGURES = REPOSITORY / "docs/reliability-figures.json"
KEPT = REPOSITORY / ".crash"
FOLDER = "REBALANCER_CRASH_FIGURES"
COUNTS = ("points", "fired", "states", "lost", "half", "unrecovered")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tier:
    """A set of campaigns: its letter in the names, and what pytest selects it by."""

    letter: str
    name: str
    selection: tuple[str, ...]


TIERS = (Tier("Q", "quick", ("-m", "not long")), Tier("L", "long", ("-m", "long")))


def main(jobs: str, *, again: bool) -> int:
    """Run both tiers, or what is missing of them; publish only when everything passed."""
    if not again:
        shutil.rmtree(KEPT, ignore_errors=True)
    published: dict[str, Any] = {
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    page = PAGE.read_text()
    for tier in TIERS:
        folder = KEPT / tier.name
        if code := _run_what_is_missing(tier, jobs, folder):
            sys.stderr.write(f"the {tier.name} tier failed; nothing is published; mend it, then: make crash AGAIN=1\n")
            return code
        minutes = round(_seconds(folder) / 60, 1)
        rows = merged(tier, (json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))))
        published[tier.name] = {"minutes": minutes, "campaigns": rows}
        page = with_table(page, tier, rows, minutes)
    FIGURES.write_text(json.dumps(published, indent=1) + "\n")
    PAGE.write_text(page)
    sys.stdout.write(page[page.index("## Figures") :])
    return 0


def merged(tier: Tier, lines: Iterable[Row]) -> list[Row]:
    """Return one row for each campaign and medium, with the sums of what its tests counted."""
    rows: dict[tuple[str, str, str], Row] = {}
    for line in lines:
        names = line["campaign"].split(", ")
        campaign = next((name for name in names if name.startswith(tier.letter)), names[0])
        row = rows.setdefault(
            (campaign, line["what"], line["where"]),
            {
                "campaign": campaign,
                "what": line["what"],
                "where": line["where"],
                "seeds": [],
                "notes": {},
                "seconds": 0.0,
            }
            | dict.fromkeys(COUNTS, 0),
        )
        for name in COUNTS:
            row[name] += line[name]
        row["seconds"] = round(row["seconds"] + line["seconds"], 1)
        row["seeds"] += [line["seed"]] if line["seed"] else []
        for words, count in line["notes"].items():
            row["notes"][words] = row["notes"].get(words, 0) + count
    return sorted(
        rows.values(),
        key=lambda row: (row["campaign"][0] != tier.letter, int(row["campaign"][1:]), row["what"], row["where"]),
    )


def with_table(page: str, tier: Tier, rows: list[Row], minutes: float) -> str:
    """Return the page with the table of a tier between its marks replaced."""
    lines = [
        "| | what | on | points | fired | states judged | lost | half-visible | unrecovered | seconds |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        counts = " | ".join(f"{row[name]:,}" for name in COUNTS)
        lines.append(f"| {row['campaign']} | {row['what']} | {row['where']} | {counts} | {row['seconds']:,.0f} |")
    sums = " | ".join(f"**{sum(row[name] for row in rows):,}**" for name in COUNTS)
    lines.append(f"| | **all, in {minutes} minutes on {os.cpu_count()} cores** | | {sums} | |")
    begin, end = f"<!-- {tier.name}: begin -->", f"<!-- {tier.name}: end -->"
    body = begin + "\n" + "\n".join(lines) + "\n" + end
    return re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: body, page, flags=re.DOTALL)


def _run_what_is_missing(tier: Tier, jobs: str, folder: Path) -> int:
    """Run a tier, or of one that was run before what failed; return the exit code."""
    if (folder / "passed").exists():
        return 0
    choice = ["--last-failed", "--last-failed-no-failures=none"] if folder.exists() else []
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    code = _run(tier, jobs, folder, choice)
    (folder / "seconds").write_text(str(_seconds(folder) + time.monotonic() - began))
    if code == 0:
        (folder / "passed").touch()
    return code


def _seconds(folder: Path) -> float:
    path = folder / "seconds"
    return float(path.read_text()) if path.exists() else 0.0


def _run(tier: Tier, jobs: str, folder: Path, choice: list[str]) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-n", jobs, "--dist", "loadgroup", *tier.selection, *choice]
    with tempfile.TemporaryDirectory() as scratch:
        command += ["--basetemp", f"{scratch}/pytest", "tests/crash"]
        variables = os.environ | {FOLDER: str(folder), "REBALANCER_NO_SKIPS": "1"}
        return subprocess.run(command, check=False, cwd=REPOSITORY, env=variables).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], again=sys.argv[2:] == ["again"]))
