"""The benchmark itself, in its quick form: it judges, it prints, and it writes only between its marks."""

import subprocess
import sys
from pathlib import Path

from planner import judge, report
from planner.arrays import small
from planner.trials import Exact, Result, judged

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
    page, data = tmp_path / "page.md", tmp_path / "data.json"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    figures: dict[str, object] = {
        "small": [Exact(name="x", seconds=1.0, spread=1.0, least_spread=1.0, bytes=5, optimum=5.0, is_proven=True)]
    }

    report.write(page, data, ["new"], figures)

    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "new" in text
    assert "old" not in text
    assert '"optimum":5.0' in data.read_text()


def test_the_page_of_the_benchmarks_has_the_marks() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()

    assert text.index(report.BEGIN) < text.index(report.END)


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
