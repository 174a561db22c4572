"""Tables from one set of rows: drawn by rich on a terminal, aligned with spaces in a pipe."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rebalancer import names
from rebalancer.cli import bars, output
from rebalancer.cli.bars import Fill

if TYPE_CHECKING:
    from rich.text import Text

Cell = str | Fill

GAP = 2  # spaces between two columns
SHORTEST_BAR, LONGEST_BAR = 4, 24
PERCENTAGE = 8  # characters of "100.0 %" and the space before it


@dataclass(frozen=True, slots=True)
class Column:
    """``is_number``: aligned right and never broken; ``may_break``: gives way first when the terminal is narrow."""

    title: str
    is_number: bool = False
    may_break: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[Column, ...]
    rows: Sequence[tuple[Cell, ...]]


def show(table: Table) -> None:
    """Print a table the way the reader can use: a drawing for a person, plain columns for a program."""
    if output.is_terminal():
        _draw(table)
        return
    for line in plain_lines(table):
        print(line)


def plain_lines(table: Table) -> list[str]:
    """Return the table as aligned text: two spaces between columns, nothing after the last one."""
    titles = tuple(column.title for column in table.columns)
    texts = [titles, *(tuple(names.display(str(cell)) for cell in row) for row in table.rows)]
    widths = [max(_cells(row[index]) for row in texts) for index in range(len(titles))]
    return [_line(row, widths, table.columns) for row in texts]


def _line(row: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> str:
    padded = []
    for text, width, column in zip(row, widths, columns, strict=True):
        padding = " " * (width - _cells(text))
        padded.append(padding + text if column.is_number else text + padding)
    return "  ".join(padded).rstrip()


def _cells(text: str) -> int:
    """Return how many columns of a terminal a text takes: East Asian characters take two, accents none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def _draw(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as Drawing

    console = Console(highlight=False, markup=False, emoji=False)
    width = bar_width(table, console.width)
    drawing = Drawing(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
    for column in table.columns:
        justify: Literal["left", "right"] = "right" if column.is_number else "left"
        drawing.add_column(column.title, justify=justify, no_wrap=not column.may_break, overflow="fold")
    for row in table.rows:
        drawing.add_row(*(_bar(cell, width) if isinstance(cell, Fill) else _text(cell) for cell in row))
    console.print(drawing)


def bar_width(table: Table, columns: int) -> int:
    """Return how long every bar of a table may be on a terminal of that many columns: all of them the same."""
    taken = bars_in_a_row = 0
    for index, column in enumerate(table.columns):
        cells = [row[index] for row in table.rows]
        if any(isinstance(cell, Fill) for cell in cells):
            bars_in_a_row += 1
        else:
            taken += max(_cells(names.display(text)) for text in (column.title, *map(str, cells))) + GAP
    if not bars_in_a_row:
        return 0
    return min(max((columns - taken) // bars_in_a_row - PERCENTAGE - GAP, SHORTEST_BAR), LONGEST_BAR)


def _text(cell: str) -> "Text":
    from rich.text import Text

    return Text(names.display(cell))


def _bar(fill: Fill, width: int) -> "Text":
    from rich.text import Text

    is_unicode = output.is_unicode()
    return Text.assemble(
        (bars.filled(fill.percent, width, is_unicode=is_unicode), fill.colour),
        (bars.rest(fill.percent, width, is_unicode=is_unicode), "dim"),
        f"{fill!s:>{PERCENTAGE}}",
    )
