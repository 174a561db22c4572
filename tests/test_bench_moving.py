"""What the benchmark of moving concludes from its figures, and how it writes them down."""

from pathlib import Path

import pytest

import page
from moving import report, trees
from moving.accounts import Account
from moving.figures import CAREFUL, PROGRAM, WORKER, Figures
from moving.goals import Goal, goals
from moving.media import XFS
from moving.rounds import Race, weigh


def _figures(seconds: dict[str, list[float]], *, share: int = 1) -> Figures:
    runs = {name: [Account(one, one / 2) for one in each] for name, each in seconds.items()}
    return Figures(races={"large-xfs": Race(trees.large(2**20), XFS, runs, dict.fromkeys(seconds, share))})


def _goal(figures: Figures, what: str) -> Goal:
    return next(goal for goal in goals(figures) if what in goal.what)


def test_a_ratio_is_taken_within_its_round_and_the_median_decides() -> None:
    figures = _figures({WORKER: [1, 10, 1], PROGRAM: [2, 20, 2], CAREFUL: [2, 18, 1.5]})

    worker = _goal(figures, f"{WORKER}, times as fast as {CAREFUL}")
    program = _goal(figures, f"{PROGRAM}, times as fast as {CAREFUL}")

    assert (worker.reached, worker.is_reached) == ("1.80 (1.50-2.00)", False)
    assert (program.reached, program.is_reached) == ("0.90 (0.75-1.00)", False)


def test_a_goal_is_reached_from_its_bound_on() -> None:
    assert _goal(_figures({WORKER: [1], CAREFUL: [1.85]}), WORKER).is_reached


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    assert {goal.is_reached for goal in goals(Figures())} == {None}


def test_a_part_of_the_files_counts_as_often_as_it_is_short_of_them() -> None:
    race = _figures({WORKER: [1]}, share=50).races["large-xfs"]

    assert race.seconds(WORKER) == [50]
    assert "every 50th file, times 50" in report.of_race(race)


@pytest.mark.parametrize(
    "tree", [trees.large(2**20), trees.small(450), trees.one_unit(501), trees.sparse(2**24, 2**20)]
)
def test_a_tree_has_the_files_and_bytes_that_it_says(tree: trees.Tree, tmp_path: Path) -> None:
    tree.make(tmp_path)

    assert weigh(tmp_path) == (tree.files, tree.size)


def test_the_tables_stand_between_the_marks_of_the_page(tmp_path: Path) -> None:
    at, data = tmp_path / "page.md", tmp_path / "data.json"
    at.write_text("before\n<!-- moving figures: begin -->\nold\n<!-- moving figures: end -->\nafter\n")
    figures = _figures({WORKER: [1], CAREFUL: [2]})

    page.write(report.tables(figures), name="moving", page=at)
    report.write(data, figures)

    text = at.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert CAREFUL in text
    assert CAREFUL in data.read_text()
