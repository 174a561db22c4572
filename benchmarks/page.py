"""The page of figures: each benchmark replaces what stands between its own two marks."""

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"


def marks(name: str) -> tuple[str, str]:
    return f"<!-- {name} figures: begin -->", f"<!-- {name} figures: end -->"


def fill(name: str, tables: Iterable[str], *, page: Path = PAGE) -> None:
    """Put the tables between its `marks`. Raises ValueError when a mark is missing."""
    begin, end = marks(name)
    text = page.read_text()
    before, rest = text[: text.index(begin)], text[text.index(end) :]
    page.write_text(f"{before}{begin}\n\n" + "\n".join(tables) + f"\n{rest}")
