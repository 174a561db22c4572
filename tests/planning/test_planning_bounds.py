"""The bound against what can be worked out by hand and against a fine search."""

import pytest
from planning_lab import seeded

from rebalancer.planning.bounds import Span, band_of, least_spread


def free(size: int, used: int) -> Span:
    return Span(size=size, used=used, floor=0, ceiling=size)


def test_equal_disks_meet_in_the_middle() -> None:
    band = band_of([free(100, 80), free(100, 20)], 0.0)

    assert band.bytes == pytest.approx(30)
    assert [band.bottom, band.top] == pytest.approx([0.5, 0.5])


def test_a_wider_band_moves_less() -> None:
    assert band_of([free(100, 80), free(100, 20)], 0.10).bytes == pytest.approx(25)


def test_a_large_disk_in_the_middle_takes_part_in_nothing() -> None:
    band = band_of([free(100, 90), free(100, 10), free(1000, 500)], 0.10)

    assert band.bytes == pytest.approx(35)
    assert [band.bottom, band.top] == pytest.approx([0.45, 0.55])


def test_the_least_spread_counts_what_cannot_leave() -> None:
    spans = [Span(100, 90, 90, 90), free(100, 60), free(100, 20)]

    assert least_spread(spans) == pytest.approx(0.5)
    assert band_of(spans, 0.5).bytes == pytest.approx(20)


def test_where_nothing_can_move_the_least_spread_is_the_one_there_is() -> None:
    assert least_spread([Span(100, 90, 90, 90), Span(100, 20, 20, 20)]) == pytest.approx(0.7)


@pytest.mark.parametrize("seed", range(20))
def test_no_band_on_a_fine_grid_moves_less(seed: int) -> None:
    rng = seeded(seed)
    spans = [free(size, int(size * rng.uniform(0.05, 0.95))) for size in rng.choices([200, 400, 1200], k=8)]
    spread = rng.uniform(0.0, 0.2)

    def moved(bottom: float) -> float:
        surplus = sum(max(0.0, span.used - (bottom + spread) * span.size) for span in spans)
        deficit = sum(max(0.0, bottom * span.size - span.used) for span in spans)
        return max(surplus, deficit)

    assert band_of(spans, spread).bytes == pytest.approx(min(moved(step / 20_000) for step in range(20_000)), abs=0.2)
