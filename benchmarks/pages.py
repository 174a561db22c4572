"""Figures in docs/benchmarks.md: each benchmark owns what is between its two marks, and nothing else."""

from collections.abc import Iterable
from pathlib import Path


def marks(name: str) -> tuple[str, str]:
    return f"<!-- {name} figures: begin -->", f"<!-- {name} figures: end -->"


def put(page: Path, name: str, tables: Iterable[str]) -> None:
    """Replace what is between ``<!-- NAME figures: begin -->`` and its end; raises ValueError when the marks are missing."""
    begin, end = marks(name)
    before, found, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{page.name} has no marks for the {name} figures")
    page.write_text(f"{before}{begin}\n\n" + "\n".join(tables) + f"\n{end}{after}")
