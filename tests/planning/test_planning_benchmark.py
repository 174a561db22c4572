"""The benchmark itself, in its quick form: it judges, it prints, and it writes only between its marks."""

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from planning_lab import GB, array

import page
from planner import judge, orders, report
from planner.arrays import Trial, small
from planner.trials import Exact, Result, exact, judged

ROOT = Path(__file__).parents[2]


def test_an_array_is_judged_by_the_bound_the_rivals_and_a_second_plan() -> None:
    result = judged(small(3))

    assert result.problems == ()
    assert result.bytes >= result.bound - 1
    assert set(result.rivals) == {"fullest to emptiest", "largest that fits", "shave", "best fit"}
    assert "| arrays | 1, seeds in order |" in report.of_arrays("One", [result])


def test_divisible_units_never_cost_more_than_whole_ones() -> None:
    trial = small(3)

    least = judge.least_spread(trial, is_exact=True)

    assert judge.least_spread(trial, is_exact=False) <= least + 1e-6
    poured = judge.least_bytes(trial, max(1.0, least + 1e-6), is_exact=False)
    whole = judge.least_bytes(trial, max(1.0, least + 1e-6), is_exact=True)
    assert poured.bytes <= whole.bytes + 1


def test_the_tables_replace_those_between_the_marks_and_nothing_else(tmp_path: Path) -> None:
    path, data = tmp_path / "page.md", tmp_path / "data.json"
    path.write_text("before\n<!-- x figures: begin -->\nold\n<!-- x figures: end -->\nafter\n")
    figures: dict[str, object] = {
        "small": [Exact(name="x", seconds=1.0, spread=1.0, least_spread=1.0, bytes=5, optimum=5.0, is_proven=True)]
    }

    page.write(["new"], name="x", page=path)
    report.write(data, figures)

    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "new" in text
    assert "old" not in text
    assert '"optimum":5.0' in data.read_text()


def test_the_page_of_the_benchmarks_has_the_marks() -> None:
    text = page.PAGE.read_text()

    assert text.index("<!-- planner figures: begin -->") < text.index("<!-- planner figures: end -->")


def test_a_page_without_the_marks_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("words of others\n")

    with pytest.raises(ValueError, match="no place for the x figures"):
        page.write(["new"], name="x", page=path)

    assert path.read_text() == "words of others\n"


def test_the_program_says_what_it_can_do() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "bench_planner.py", "--help"], check=True, capture_output=True, text=True
    )

    assert "--quick" in done.stdout


def test_a_result_says_whether_it_is_as_even_as_it_can_be() -> None:
    result = Result(
        name="x", disks=2, units=2, seconds=0.0, spread_before=9.0, spread=3.0, least_spread=2.0, bytes=10, bound=5.0,
        stated_bound=5, is_stated=True, problems=(), worse_steps=0, moves_again=0, rivals={},
    )  # fmt: skip

    assert (result.ratio, result.is_even) == (2.0, False)


def test_the_best_in_order_is_the_best_end_that_steps_with_room_lead_to() -> None:
    """Disk 1 has room for 1 GB above its reserve: it must give before it receives, and disk 2 has room for 9 GB."""
    inventory = array([("disk1", 100 * GB, [60 * GB, 37 * GB]), ("disk2", 100 * GB, [80 * GB, 9 * GB])])
    nothing = orders.Reached(8.0, 0)

    for keeps_spread in (True, False):
        found = orders.best_in_order(Trial("", inventory), nothing, tolerance=0.0, keeps_spread=keeps_spread)
        assert found == nothing
    less = array([("disk1", 100 * GB, [60 * GB, 37 * GB]), ("disk2", 120 * GB, [71 * GB, 9 * GB])])
    swap = orders.best_in_order(Trial("", less), orders.Reached(97 - 200 / 3, 0), tolerance=0.0, keeps_spread=True)
    assert swap.bytes == 46 * GB
    assert swap.missed == pytest.approx(21.0)


def test_a_rotation_is_out_of_reach_only_where_no_step_may_make_it_worse() -> None:
    trial = small(1)
    known = orders.Reached(2.6059019263999943, 109713297408)

    assert orders.best_in_order(trial, known, tolerance=1.0, keeps_spread=True) == known
    free = orders.best_in_order(trial, known, tolerance=1.0, keeps_spread=False)
    assert (free.missed, free.bytes) == (0.0, 3497087377408)


def test_what_no_order_leads_to_is_not_held_against_the_plan_and_the_table_names_it() -> None:
    result = exact(small(53))

    assert result.is_proven
    assert result.misses_solver > 10
    assert result.misses_by_room > 5
    assert (result.misses, result.gap) == (0.0, 0.0)
    table = report.of_optima([result])
    assert "| of those, no order at all has the room | small 53 |" in table
    assert "1 of 1" in table


def test_a_plan_that_is_worse_than_what_can_be_carried_out_is_found_out() -> None:
    worse = replace(exact(small(53)), spread=20.0)

    assert worse.misses == pytest.approx(20 - 15.569, abs=0.01)
