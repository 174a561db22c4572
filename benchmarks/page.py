"""The tables of a benchmark in docs/benchmarks.md, between two marks that name it."""

from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


def write(tables: Iterable[str], *, name: str, page: Path = PAGE) -> None:
    """Put the tables in place of what stands between ``<!-- {name} figures: begin -->`` and its end.

    Raises ValueError when the page has no such marks; nothing is written then.
    """
    begin, end = f"<!-- {name} figures: begin -->", f"<!-- {name} figures: end -->"
    before, opened, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise ValueError(f"{page} has no place for the {name} figures")
    page.write_text(f"{before}{begin}\n\n" + "\n".join(tables) + f"\n{end}{after}")
