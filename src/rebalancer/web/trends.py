"""How executions went over time: their charts, and beside each the same figures as a table; pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rebalancer import names
from rebalancer.executions.execution import DiskFill, ExecutionStatus, ScheduleExecution
from rebalancer.quantities import format_duration, format_size
from rebalancer.schedules.zones import zone
from rebalancer.web import charts
from rebalancer.web.charts import Drawing, Point, Span, Words
from rebalancer.web.history import why_of
from rebalancer.web.pages.layout import badge
from rebalancer.web.ticks import BYTES, PERCENT, POINTS, RATE, SECONDS

_PARTLY = "L"  # completed, and some files were left
_LETTERS = {
    ExecutionStatus.PENDING: "P",
    ExecutionStatus.RUNNING: "R",
    ExecutionStatus.COMPLETED: "C",
    ExecutionStatus.FAILED: "F",
    ExecutionStatus.CANCELLED: "X",
    ExecutionStatus.SUSPENDED: "S",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table; ``address`` is that of its execution's page."""

    address: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """``name`` tells the charts of a page apart; ``lines`` are newest first."""

    name: str
    heading: str
    drawing: Drawing
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """What a letter and a colour of the strip stand for, and how many there are."""

    letter: str
    kind: str
    status: str
    count: int


@dataclass(frozen=True, slots=True)
class Trends:
    """``marks`` explain the strip, which is the first of the charts."""

    charts: tuple[Chart, ...]
    marks: tuple[Mark, ...]


def trends_of(executions: Sequence[ScheduleExecution], *, timezone: str) -> Trends:
    """Return the charts of executions that were found newest first; none when there are no executions."""
    if not executions:
        return Trends((), ())
    oldest_first = list(reversed(executions))
    telling = _Telling(oldest_first, timezone)
    ended = [one for one in oldest_first if one.status.is_final]
    noted = [one for one in ended if len(one.disks_before) > 1 and len(one.disks_after) > 1]
    found = [telling.success(oldest_first)]
    if ended:
        found += [telling.durations(ended), telling.bytes_moved(ended)]
    if moved := [one for one in ended if one.bytes_moved and one.duration_seconds > 0]:
        found.append(telling.speeds(moved))
    if noted:
        found += [telling.spreads(noted), telling.fills(noted)]
    return Trends(tuple(found), _marks(executions))


@dataclass(frozen=True, slots=True)
class _Telling:
    executions: Sequence[ScheduleExecution]
    timezone: str

    def success(self, executions: Sequence[ScheduleExecution]) -> Chart:
        cells = [(letter_of(one), badge(one), f"{self._when(one)}: {one.status.value}") for one in executions]
        good = sum(map(_is_completed, executions))
        words = Words("How they ended", f"{good} of {len(executions)} completed, the oldest first")
        return self._chart(
            "success",
            charts.strip(cells, words),
            executions,
            {"Status": lambda one: one.status.value, "Why": lambda one: names.display(why_of(one))},
        )

    def durations(self, executions: Sequence[ScheduleExecution]) -> Chart:
        points = self._points(executions, lambda one: one.duration_seconds, format_duration)
        values = [point.value for point in points]
        words = Words("Duration", _range_in_words(values, format_duration))
        return self._chart(
            "duration",
            charts.columns(points, SECONDS, words, timezone=self.timezone),
            executions,
            {"Status": lambda one: one.status.value, "Duration": lambda one: format_duration(one.duration_seconds)},
        )

    def bytes_moved(self, executions: Sequence[ScheduleExecution]) -> Chart:
        points = self._points(executions, lambda one: float(one.bytes_moved), format_size)
        words = Words("Bytes moved", _range_in_words([point.value for point in points], format_size))
        return self._chart(
            "bytes",
            charts.columns(points, BYTES, words, timezone=self.timezone),
            executions,
            {
                "Status": lambda one: one.status.value,
                "Files": lambda one: f"{one.files_moved:,}",
                "Moved": lambda one: format_size(one.bytes_moved),
            },
        )

    def speeds(self, executions: Sequence[ScheduleExecution]) -> Chart:
        points = self._points(executions, _speed_of, _write_rate)
        words = Words("Mean speed", _range_in_words([point.value for point in points], _write_rate))
        return self._chart(
            "speed",
            charts.columns(points, RATE, words, timezone=self.timezone),
            executions,
            {"Status": lambda one: one.status.value, "Mean speed": lambda one: _write_rate(_speed_of(one))},
        )

    def spreads(self, executions: Sequence[ScheduleExecution]) -> Chart:
        def told(one: ScheduleExecution) -> str:
            return f"{spread_of(one.disks_before):.1f} → {spread_of(one.disks_after):.1f} points"

        changes = [
            Span(
                one.start_time,
                spread_of(one.disks_before),
                spread_of(one.disks_after),
                f"{self._when(one)}: {told(one)}",
            )
            for one in executions
        ]
        words = Words(
            "Spread between the fullest and the emptiest disk, in percentage points",
            f"a ring before and a dot after each execution; the last one: {told(executions[-1])}",
        )
        return self._chart(
            "spread",
            charts.spans(changes, POINTS, words, timezone=self.timezone),
            executions,
            {
                "Before": lambda one: f"{spread_of(one.disks_before):.1f}",
                "After": lambda one: f"{spread_of(one.disks_after):.1f}",
            },
        )

    def fills(self, executions: Sequence[ScheduleExecution]) -> Chart:
        series = _fills_by_disk(executions)
        ends = ", ".join(f"{name} {points[-1].value:.1f} %" for name, points in series)
        words = Words("How full each disk was, in percent", f"at the end: {ends}")
        return self._chart(
            "fill",
            charts.lines(series, PERCENT, words, timezone=self.timezone),
            executions,
            {name: _fill_of(name) for name, _ in series},
        )

    def _points(
        self,
        executions: Sequence[ScheduleExecution],
        value: Callable[[ScheduleExecution], float],
        write: Callable[[float], str],
    ) -> list[Point]:
        return [
            Point(
                one.start_time,
                value(one),
                "used" if _is_completed(one) else badge(one),
                f"{self._when(one)}: {write(value(one))}, {one.status.value}",
            )
            for one in executions
        ]

    def _chart(
        self,
        name: str,
        drawing: Drawing,
        executions: Sequence[ScheduleExecution],
        columns: dict[str, Callable[[ScheduleExecution], str]],
    ) -> Chart:
        lines = [
            Line(f"/executions/{one.execution_id}", (self._when(one), *(cell(one) for cell in columns.values())))
            for one in reversed(executions)
        ]
        return Chart(name, drawing.title, drawing, ("Started", *columns), tuple(lines))

    def _when(self, execution: ScheduleExecution) -> str:
        return f"{datetime.fromtimestamp(execution.start_time, zone(self.timezone)):%Y-%m-%d %H:%M}"


def spread_of(disks: Sequence[DiskFill]) -> float:
    """Return how many percentage points lie between the fullest and the emptiest disk."""
    percents = [percent_of(disk) for disk in disks if disk.size_bytes]
    return max(percents) - min(percents) if percents else 0.0


def percent_of(disk: DiskFill) -> float:
    return 100.0 * disk.used_bytes / disk.size_bytes if disk.size_bytes else 0.0


def _speed_of(execution: ScheduleExecution) -> float:
    return execution.bytes_moved / execution.duration_seconds


def _write_rate(rate: float) -> str:
    return f"{format_size(rate)}/s"


def _fills_by_disk(executions: Sequence[ScheduleExecution]) -> list[tuple[str, list[Point]]]:
    """Return the fill of each disk, before and after each execution, by its name made safe to show."""
    found: dict[str, list[Point]] = {}
    for one in executions:
        for disks, at in ((one.disks_before, one.start_time), (one.disks_after, one.end_time or one.start_time)):
            for disk in disks:
                percent = percent_of(disk)
                point = Point(at, percent, note=f"{percent:.1f} %")
                found.setdefault(names.display(disk.name), []).append(point)
    return [(name, sorted(points, key=lambda point: point.at)) for name, points in found.items()]


def _fill_of(name: str) -> Callable[[ScheduleExecution], str]:
    def cell(execution: ScheduleExecution) -> str:
        sides = (execution.disks_before, execution.disks_after)
        percents = [
            f"{percent_of(disk):.1f} %" for disks in sides for disk in disks if names.display(disk.name) == name
        ]
        return " → ".join(percents) or "not noted"

    return cell


def _range_in_words(values: Sequence[float], write: Callable[[float], str]) -> str:
    if len(values) == 1:
        return f"one execution: {write(values[0])}"
    return (
        f"{len(values)} executions, from {write(min(values))} to {write(max(values))}; the last one {write(values[-1])}"
    )


def letter_of(execution: ScheduleExecution) -> str:
    """Return the letter that tells how an execution stands where a colour alone would."""
    return _PARTLY if badge(execution) == "warn" and _is_completed(execution) else _LETTERS[execution.status]


def _is_completed(execution: ScheduleExecution) -> bool:
    return execution.status is ExecutionStatus.COMPLETED


def _marks(executions: Sequence[ScheduleExecution]) -> tuple[Mark, ...]:
    counted = Counter((letter_of(one), badge(one), one.status.value) for one in executions)
    return tuple(
        Mark(letter, kind, f"{status}, some left" if letter == _PARTLY else status, count)
        for (letter, kind, status), count in counted.most_common()
    )
