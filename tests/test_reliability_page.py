"""The page about reliability names tests that exist, and figures in which nothing was lost."""

import json
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs/reliability.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    defined = set()
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        defined.update(re.findall(r"^def (test_\w+)", path.read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", PAGE))

    assert len(named) > 40
    assert named - defined == set()


def test_every_promise_has_a_test() -> None:
    rows = [line for line in PAGE[: PAGE.index("## `full`")].splitlines() if line.startswith("| ")]

    assert [row for row in rows if "`test_" not in row] == ["| promise | held by |"] * 3


def test_the_published_figures_are_those_of_the_table_and_nothing_was_lost() -> None:
    figures = json.loads((REPOSITORY / "docs/reliability-figures.json").read_text())
    rows = figures["quick"]["campaigns"] + figures["long"]["campaigns"]

    assert {name for row in rows for name in ("lost", "half", "unrecovered") if row[name]} == set()
    assert all(row["fired"] == row["points"] > 0 for row in rows)
    assert all(f"| {row['points']:,} | {row['fired']:,} | {row['states']:,} |" in PAGE for row in rows)
    assert {row["campaign"] for row in rows} >= {f"L{number}" for number in range(1, 11)} | {
        "Q1",
        "Q2",
        "Q3",
        "Q4",
        "Q7",
    }


def test_ten_planted_faults_were_caught() -> None:
    figures = json.loads((REPOSITORY / "docs/reliability-figures.json").read_text())
    (row,) = [row for row in figures["quick"]["campaigns"] if row["campaign"] == "Q4"]

    assert len(row["notes"]) == 10
    assert row["fired"] == 10
