"""Charts as plain data: shapes on a plane whose ticks are round and whose labels never touch; pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rebalancer.web.ticks import PERCENT, Tick, percent_ticks, time_ticks, value_ticks

WIDTH = 480.0  # units; a style sheet draws letters at most LETTER high, so that labels keep their distance on a phone
LETTER = 16.0
_PER_CHARACTER = 9.4  # units at that height, for digits and most letters
_GAP = 6.0
_PLOT_HEIGHT = 170.0
_LONGEST_NAME = 12  # characters
_CELLS_IN_ROW = 20
_CELL = WIDTH / _CELLS_IN_ROW
_SERIES = 6  # kinds of lines that can be told apart


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; ``kind`` is its class in the style sheet, ``note`` what a pointer is told."""

    tag: ClassVar = "rect"
    x: float
    y: float
    width: float
    height: float
    kind: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    tag: ClassVar = "circle"
    x: float
    y: float
    radius: float
    kind: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    tag: ClassVar = "polyline"
    points: tuple[tuple[float, float], ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Label:
    """``x`` and ``y`` are where its base line starts, ends or has its middle."""

    tag: ClassVar = "text"
    x: float
    y: float
    text: str
    anchor: str = "start"
    kind: str = ""

    @property
    def left(self) -> float:
        shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor]
        return self.x - shift * width_of(self.text)

    @property
    def right(self) -> float:
        return self.left + width_of(self.text)


Shape = Box | Dot | Line | Label


@dataclass(frozen=True, slots=True)
class Drawing:
    """``title`` and ``description`` say in words what the shapes show."""

    width: float
    height: float
    title: str
    description: str
    shapes: tuple[Shape, ...]

    @property
    def labels(self) -> list[Label]:
        return [shape for shape in self.shapes if isinstance(shape, Label)]


@dataclass(frozen=True, slots=True)
class Words:
    """What a chart says of itself."""

    title: str
    description: str


@dataclass(frozen=True, slots=True)
class Point:
    """A value at a moment in seconds since 1970 (UTC)."""

    at: float
    value: float
    kind: str = "used"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """What a value was before and after something that happened at a moment."""

    at: float
    before: float
    after: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a whole was taken before and after, each from 0 to 100 percent."""

    name: str
    before: float
    after: float


def columns(points: Sequence[Point], unit: str, words: Words, *, timezone: str) -> Drawing:
    """Draw a column for each point, where its moment lies."""
    shown = [point for point in points if _is_drawable(point.at, point.value)]
    width = min(max(0.6 * (WIDTH - 60) / max(len(shown), 1), 1.5), 14.0)
    plot = _Plot.of([point.at for point in shown], [point.value for point in shown], unit, timezone, inset=width / 2)
    bars = []
    for point in shown:
        top = min(plot.y(point.value), plot.bottom - 2)
        bars.append(
            Box(_r(plot.x(point.at) - width / 2), top, _r(width), _r(plot.bottom - top), point.kind, point.note)
        )
    return plot.drawing(words, bars)


def spans(changes: Sequence[Span], unit: str, words: Words, *, timezone: str) -> Drawing:
    """Draw for each change where the value came from, as a ring, and where it went, as a dot."""
    shown = [one for one in changes if _is_drawable(one.at, one.before, one.after)]
    values = [value for one in shown for value in (one.before, one.after)]
    plot = _Plot.of([one.at for one in shown], values, unit, timezone, inset=5.0)
    radius = 4.0 if len(shown) <= 60 else 2.5
    shapes: list[Shape] = []
    for one in shown:
        x, before, after = plot.x(one.at), plot.y(one.before), plot.y(one.after)
        shapes.append(Line(((x, before), (x, after)), "stem"))
        shapes.append(Dot(x, before, radius, "ring", one.note))
        shapes.append(Dot(x, after, radius, "used", one.note))
    return plot.drawing(words, shapes)


def lines(series: Sequence[tuple[str, Sequence[Point]]], unit: str, words: Words, *, timezone: str) -> Drawing:
    """Draw a line for each named series of points in order of time, with its name where it ends."""
    shown = [(name, [point for point in points if _is_drawable(point.at, point.value)]) for name, points in series]
    shown = [(name, points) for name, points in shown if points]
    every = [point for _, points in shown for point in points]
    margin = max((width_of(shortened(name)) for name, _ in shown), default=0.0) + _GAP
    plot = _Plot.of(
        [point.at for point in every], [point.value for point in every], unit, timezone, inset=4.0, margin=margin
    )
    shapes: list[Shape] = []
    ends = []
    for number, (name, points) in enumerate(shown):
        kind = f"s{number % _SERIES}"
        path = tuple((plot.x(point.at), plot.y(point.value)) for point in points)
        shapes.append(Line(path, f"line {kind}"))
        shapes.append(Dot(*path[-1], 3.0, f"{kind} end", f"{name}: {points[-1].note}".removesuffix(": ")))
        ends.append(Label(_r(plot.right + _GAP), path[-1][1], shortened(name), kind=f"name {kind}"))
    return plot.drawing(words, [*shapes, *_apart(ends, plot.bottom + LETTER / 2)])


def strip(cells: Sequence[tuple[str, str, str]], words: Words) -> Drawing:
    """Draw a cell for each letter, kind and note, in rows from the left."""
    shapes: list[Shape] = []
    for number, (letter, kind, note) in enumerate(cells):
        x, y = _CELL * (number % _CELLS_IN_ROW), _CELL * (number // _CELLS_IN_ROW)
        shapes.append(Box(_r(x + 1), _r(y + 1), _CELL - 2, _CELL - 2, f"cell {kind}", note))
        shapes.append(Label(_r(x + _CELL / 2), _r(y + _CELL / 2 + 5.5), letter, "middle", f"letter {kind}"))
    rows = max(1, math.ceil(len(cells) / _CELLS_IN_ROW))
    return Drawing(WIDTH, rows * _CELL, words.title, words.description, tuple(shapes))


def bars(shares: Sequence[Share], words: Words) -> Drawing:
    """Draw two bars for each whole: what was taken before, thin, and what is taken after, thick."""
    row, left = 34.0, max((width_of(shortened(one.name)) for one in shares), default=0.0) + _GAP
    right = WIDTH - width_of("100.0 %") - _GAP
    long = right - left
    shapes: list[Shape] = []
    for number, one in enumerate(shares):
        y = number * row
        before, after = (
            min(max(value, 0.0), 100.0) if math.isfinite(value) else 0.0 for value in (one.before, one.after)
        )
        shapes += [
            Label(0.0, _r(y + 21), shortened(one.name), kind="name"),
            Box(_r(left), _r(y + 3), _r(long), 7.0, "track"),
            Box(_r(left), _r(y + 3), _r(long * before / 100), 7.0, "reserve", f"before {before:.1f} %"),
            Box(_r(left), _r(y + 12), _r(long), 14.0, "track"),
            Box(_r(left), _r(y + 12), _r(long * after / 100), 14.0, "used", f"after {after:.1f} %"),
            Label(WIDTH, _r(y + 21), f"{after:.1f} %", "end"),
        ]
    return Drawing(WIDTH, max(1, len(shares)) * row, words.title, words.description, tuple(shapes))


def width_of(text: str) -> float:
    """Return the units that a label takes at most, when it is drawn LETTER high."""
    return len(text) * _PER_CHARACTER


def shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


@dataclass(frozen=True, slots=True)
class _Plot:
    """The place where values are drawn, and its two axes."""

    left: float
    right: float
    bottom: float
    x: Callable[[float], float]
    y: Callable[[float], float]
    axes: tuple[Shape, ...]

    @classmethod
    def of(
        cls,
        moments: Sequence[float],
        values: Sequence[float],
        unit: str,
        timezone: str,
        *,
        inset: float,
        margin: float = 0.0,
    ) -> "_Plot":
        """``inset`` is kept free for half a shape at either end, ``margin`` for what stands right of the plot."""
        marks = _marks(values, unit)
        left = max(width_of(mark.label) for mark in marks) + _GAP
        right, top, bottom = WIDTH - margin - 1, LETTER / 2, LETTER / 2 + _PLOT_HEIGHT
        begin, end, times = time_ticks(moments, timezone, most=int((right - left) // 80))
        low, high = marks[0].at, marks[-1].at

        def x(at: float) -> float:
            return _r(left + inset + (right - left - 2 * inset) * min(max((at - begin) / (end - begin), 0.0), 1.0))

        def y(value: float) -> float:
            return _r(bottom - (bottom - top) * min(max((value - low) / (high - low), 0.0), 1.0))

        axes = [*_value_axis(marks, y, left, right), *_time_axis(times, x, bottom)]
        return cls(left, right, bottom, x, y, tuple(axes))

    def drawing(self, words: Words, shapes: Sequence[Shape]) -> Drawing:
        height = self.bottom + LETTER + 2 * _GAP
        return Drawing(WIDTH, height, words.title, words.description, (*self.axes, *shapes))


def _marks(values: Sequence[float], unit: str) -> list[Tick]:
    if unit != PERCENT:
        return value_ticks(max(values, default=0.0), unit)
    held = [min(max(value, 0.0), 100.0) for value in values]
    return percent_ticks(min(held, default=0.0), max(held, default=100.0))


def _value_axis(marks: Sequence[Tick], y: Callable[[float], float], left: float, right: float) -> list[Shape]:
    shapes: list[Shape] = []
    for mark in marks:
        height = y(mark.at)
        shapes.append(Line(((_r(left), height), (_r(right), height)), "axis"))
        shapes.append(Label(_r(left - _GAP), _r(height + 4.5), mark.label, "end"))
    return shapes


def _time_axis(times: Sequence[Tick], x: Callable[[float], float], bottom: float) -> list[Shape]:
    """Mark each moment; its label is moved to stay inside, and left out where it would touch the one before."""
    shapes: list[Shape] = []
    taken = -math.inf
    for mark in times:
        at, half = x(mark.at), width_of(mark.label) / 2
        middle = min(max(at, half), WIDTH - 1 - half)
        shapes.append(Line(((at, bottom), (at, bottom + 4)), "axis"))
        if middle - half >= taken + _GAP:
            shapes.append(Label(_r(middle), _r(bottom + LETTER + _GAP), mark.label, "middle"))
            taken = middle + half
    return shapes


def _apart(ends: Sequence[Label], lowest: float) -> list[Label]:
    """Return labels moved so far up or down that they keep their distance; some are left out when all have no room."""
    ordered = sorted(ends, key=lambda label: label.y)
    room = int(lowest // LETTER)
    if len(ordered) > room:
        ordered = [ordered[number * len(ordered) // room] for number in range(room)]
    heights: list[float] = []
    for label in ordered:
        heights.append(max(label.y, heights[-1] + LETTER if heights else 0.0))
    limit = lowest
    for number in range(len(heights) - 1, -1, -1):
        heights[number] = min(heights[number], limit)
        limit = heights[number] - LETTER
    return [
        Label(label.x, _r(y + 4.5), label.text, label.anchor, label.kind)
        for label, y in zip(ordered, heights, strict=True)
    ]


def _is_drawable(*numbers: float) -> bool:
    return all(map(math.isfinite, numbers))


def _r(number: float) -> float:
    return round(number, 1)
