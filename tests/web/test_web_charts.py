"""Charts are plain data: whatever the figures, ticks are round, nothing leaves the drawing and no labels touch."""

import math
from datetime import datetime
from itertools import combinations, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer.executions.checking import LARGEST, LATEST
from rebalancer.schedules import moments
from rebalancer.web import charts
from rebalancer.web.charts import LETTER, WIDTH, Box, Dot, Drawing, Label, Line, Point, Share, Span, Words
from rebalancer.web.ticks import (
    BYTES,
    PERCENT,
    POINTS,
    RATE,
    SECONDS,
    percent_ticks,
    round_step,
    time_ticks,
    value_ticks,
)

WORDS = Words("Something", "what it shows")
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Australia/Lord_Howe"]
NOW = 1_795_000_000.0
times = st.one_of(st.floats(0, LATEST), st.floats(NOW - 4e6, NOW), st.floats(NOW, NOW + 90_000))
values = st.one_of(st.floats(0, LARGEST), st.floats(0, 1e4), st.integers(0, LARGEST).map(float))
zones = st.sampled_from(ZONES)
units = st.sampled_from([BYTES, RATE, SECONDS, PERCENT, POINTS])
points = st.lists(st.builds(Point, times, values), max_size=60)
names = st.text(max_size=40)


def demand_sound(drawing: Drawing) -> None:
    """Every shape lies within the drawing, every number is one, and no two labels touch at the largest letters."""
    for shape in drawing.shapes:
        for x, y in corners(shape):
            assert math.isfinite(x)
            assert math.isfinite(y)
            assert -0.2 <= x <= WIDTH + 0.2, shape
            assert -0.2 <= y <= drawing.height + 0.2, shape
    for one, other in combinations([label for label in drawing.labels if "letter" not in label.kind], 2):
        is_apart = one.right <= other.left or other.right <= one.left or abs(one.y - other.y) >= LETTER - 0.2
        assert is_apart, (one, other)


def corners(shape: charts.Shape) -> list[tuple[float, float]]:
    match shape:
        case Box():
            return [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
        case Dot():
            return [(shape.x, shape.y)]
        case Line():
            return list(shape.points)
        case Label():
            return [(shape.left, shape.y), (shape.right, shape.y)]


@settings(max_examples=150, deadline=None)
@given(points, units, zones)
def test_columns_are_sound_for_any_figures(found: list[Point], unit: str, zone: str) -> None:
    drawing = charts.columns(found, unit, WORDS, timezone=zone)

    demand_sound(drawing)
    assert sum(isinstance(shape, Box) for shape in drawing.shapes) == len(found)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(names, points), max_size=30), zones)
def test_lines_are_sound_for_any_figures_and_names(series: list[tuple[str, list[Point]]], zone: str) -> None:
    drawing = charts.lines(series, PERCENT, WORDS, timezone=zone)

    demand_sound(drawing)
    assert sum(isinstance(shape, Dot) for shape in drawing.shapes) == sum(bool(found) for _, found in series)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.builds(Span, times, values, values), max_size=60), zones)
def test_spans_are_sound_for_any_figures(found: list[Span], zone: str) -> None:
    demand_sound(charts.spans(found, POINTS, WORDS, timezone=zone))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.builds(Share, names, values, values), max_size=30))
def test_bars_are_sound_for_any_disks(shares: list[Share]) -> None:
    demand_sound(charts.bars(shares, WORDS))


@pytest.mark.parametrize("count", [0, 1, 20, 21, 365])
def test_a_strip_holds_a_cell_with_its_letter_for_each_execution(count: int) -> None:
    drawing = charts.strip([("C", "ok", "completed")] * count, WORDS)

    demand_sound(drawing)
    assert [label.text for label in drawing.labels] == ["C"] * count


@settings(max_examples=300, deadline=None)
@given(values, st.sampled_from([BYTES, RATE, SECONDS, POINTS]))
def test_ticks_of_values_are_few_round_and_reach_the_highest(highest: float, unit: str) -> None:
    ticks = value_ticks(highest, unit)

    steps = [later.at - earlier.at for earlier, later in pairwise(ticks)]
    assert ticks[0].at == 0
    assert 2 <= len(ticks) <= 6
    assert ticks[-1].at * (1 + 1e-9) >= highest
    assert len({tick.label for tick in ticks}) == len(ticks)
    assert steps == pytest.approx([steps[0]] * len(steps))
    if unit != SECONDS:
        assert f"{steps[0]:.6e}"[0] in "125"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=2).map(sorted))
def test_ticks_of_percents_show_as_much_of_the_scale_as_is_needed(ends: list[float]) -> None:
    lowest, highest = ends

    ticks = percent_ticks(lowest, highest)

    step = ticks[1].at - ticks[0].at
    assert step in {1, 2, 5, 10, 25}
    assert 0 <= ticks[0].at <= lowest
    assert highest <= ticks[-1].at <= 100
    assert 2 <= len(ticks) <= 6
    assert all(tick.at % step == 0 for tick in ticks)


@pytest.mark.parametrize(
    ("highest", "unit", "labels"),
    [
        (0, SECONDS, "0, 0.2 s, 0.4 s"),
        (47, SECONDS, "0, 10 s, 20 s, 30 s, 40 s, 50 s"),
        (200, SECONDS, "0, 1 min, 2 min, 3 min, 4 min"),
        (5400, SECONDS, "0, 30 min, 60 min, 90 min"),
        (9000, SECONDS, "0, 0.5 h, 1 h, 1.5 h, 2 h, 2.5 h"),
        (40_000, SECONDS, "0, 3 h, 6 h, 9 h, 12 h"),
        (900_000, SECONDS, "0, 5 d, 10 d, 15 d"),
        (3.2e12, BYTES, "0, 1 TB, 2 TB, 3 TB, 4 TB"),
        (1.1e9, BYTES, "0, 500 MB, 1 GB, 1.5 GB"),
        (0, BYTES, "0, 1 B"),
        (1.1e8, RATE, "0, 50 MB/s, 100 MB/s, 150 MB/s"),
        (34, POINTS, "0, 10, 20, 30, 40"),
    ],
)
def test_ticks_are_those_that_people_would_draw(highest: float, unit: str, labels: str) -> None:
    assert ", ".join(tick.label for tick in value_ticks(highest, unit)).startswith(labels)


@settings(max_examples=300, deadline=None)
@given(st.lists(times, max_size=10), zones, st.integers(3, 6))
def test_ticks_of_time_are_few_round_and_within_the_axis(found: list[float], zone: str, most: int) -> None:
    begin, end, ticks = time_ticks(found, zone, most=most)

    assert all(begin <= at <= end for at in found)
    assert end - begin >= 3599
    assert 1 <= len(ticks) <= most
    for tick in ticks:
        local = datetime.fromtimestamp(tick.at, ZoneInfo(zone))
        assert begin <= tick.at <= end
        assert local.minute in {0, 15, 30, 45}
        if end - begin > 86400 * 30:
            assert (local.hour, local.minute) in {(0, 0), (1, 0)}  # 1: midnight was left out when clocks went forward


def test_a_month_is_divided_at_midnights_of_the_zone_also_when_clocks_are_put_back() -> None:
    zone = ZoneInfo("Europe/Berlin")
    begin, end = (datetime(2026, 10, day, 12, tzinfo=zone).timestamp() for day in (20, 30))

    _, _, ticks = time_ticks([begin, end], "Europe/Berlin", most=6)

    assert [tick.label for tick in ticks] == ["21 Oct", "23 Oct", "25 Oct", "27 Oct", "29 Oct"]
    assert {datetime.fromtimestamp(tick.at, zone).hour for tick in ticks} == {0}


@given(st.floats(1e-6, 1e18))
def test_a_round_step_is_never_below_what_is_needed_nor_far_above(needed: float) -> None:
    assert needed * (1 - 1e-6) <= round_step(needed) <= needed * 2.51


def test_equal_figures_and_moments_are_drawn_inside_an_hour() -> None:
    drawing = charts.columns([Point(NOW, 5e9)] * 3, BYTES, WORDS, timezone="UTC")

    columns = [shape for shape in drawing.shapes if isinstance(shape, Box)]
    assert len({(column.x, column.height) for column in columns}) == 1
    assert columns[0].height == pytest.approx(170, abs=1)
    assert abs(columns[0].x - WIDTH / 2) < 60


def test_a_figure_that_is_no_number_is_not_drawn() -> None:
    drawing = charts.columns(
        [Point(NOW, math.nan), Point(NOW, math.inf), Point(NOW, 1.0)], SECONDS, WORDS, timezone="UTC"
    )

    demand_sound(drawing)
    assert sum(isinstance(shape, Box) for shape in drawing.shapes) == 1


@pytest.mark.parametrize("zone", ZONES)
def test_the_latest_moment_that_a_record_may_name_can_be_written_in_every_zone(zone: str) -> None:
    assert moments.in_words(LATEST, now=NOW, timezone=zone).split()[-2] in {"9999"}
