"""A plan in sentences."""

from planning_lab import GB, array

from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection
from rebalancer.planning.words import explain


def test_every_disk_is_told_what_becomes_of_it() -> None:
    lines = explain(make_plan(array([("a", 100 * GB, [GB] * 60), ("b", 100 * GB, [GB] * 20)]), Selection()))

    assert lines[0] == "20 units move 20.0 GB; the spread goes from 40.00 to 0.00 points."
    assert lines[1].startswith("If units were divisible, 19.5 GB would have to move")
    assert "a was 60.0 % full, gives 20 units (20.0 GB), and ends 40.0 % full." in lines
    assert "b was 20.0 % full, receives 20 units (20.0 GB), and ends 40.0 % full." in lines


def test_a_missed_tolerance_and_what_stays_are_explained() -> None:
    lines = explain(make_plan(array([("a", 100 * GB, [30 * GB]), ("b", 100 * GB, [])]), Selection()))

    assert any(line.startswith("The tolerance is missed: 30.00 points is the best found") for line in lines)
    assert any(line.startswith("  films/a 00000 stays: moving it would overshoot") for line in lines)
