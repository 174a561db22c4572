"""Tables from one set of rows: drawn by rich on a terminal, aligned with spaces in a pipe."""

import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rebalancer import names
from rebalancer.cli import bars, output
from rebalancer.cli.bars import Fill

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.measure import Measurement

Cell = str | Fill


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

    drawing = Drawing(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in table.columns:
        drawing.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            no_wrap=not column.may_break,
            overflow="fold",
        )
    for row in table.rows:
        drawing.add_row(*(_drawn(cell) for cell in row))
    Console(highlight=False, markup=False, emoji=False).print(drawing)


def _drawn(cell: Cell) -> "RenderableType":
    from rich.text import Text

    return Bar(cell) if isinstance(cell, Fill) else Text(names.display(cell))


class Bar:
    """A fill as a bar with its percentage, as wide as the table lets it be."""

    NARROWEST, WIDEST = 4, 24
    NUMBER = 8  # characters of "100.0 %" and the space before it

    def __init__(self, fill: Fill) -> None:
        self.fill = fill

    def __rich_measure__(self, console: "Console", options: "ConsoleOptions") -> "Measurement":
        from rich.measure import Measurement

        return Measurement(self.NARROWEST + self.NUMBER, min(self.WIDEST + self.NUMBER, options.max_width))

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        width = max(options.max_width - self.NUMBER, self.NARROWEST)
        is_unicode = "utf" in (sys.stdout.encoding or "").lower()
        yield Text.assemble(
            (bars.filled(self.fill.percent, width, is_unicode=is_unicode), self.fill.colour),
            (bars.rest(self.fill.percent, width, is_unicode=is_unicode), "dim"),
            f"{self.fill!s:>{self.NUMBER}}",
            no_wrap=True,
        )
