"""Where units end, while a search changes it."""

from planning_lab import GB, array

from rebalancer.planning.layout import Layout, Resident
from rebalancer.planning.left_behind import Remainder
from rebalancer.planning.selection import Selection
from rebalancer.planning.sifting import sift
from rebalancer.planning.situation import Step
from rebalancer.planning.strategies.exact import Outcome, enumerate_ends


def layout() -> Layout:
    inventory = array([("a", 100 * GB, [10 * GB, 20 * GB, 30 * GB]), ("b", 100 * GB, [5 * GB]), ("c", 100 * GB, [])])
    return Layout(sift(inventory, Selection(), Remainder(), spares_use=True))


def test_a_unit_that_changes_its_end_twice_counts_once_and_one_that_comes_home_not_at_all() -> None:
    found = layout()
    largest = Resident(30 * GB, 0, 2)

    found.put(largest, 0, 1)
    found.put(largest, 1, 2)
    assert (found.moved, found.used, found.steps()) == (30 * GB, [30 * GB, 5 * GB, 30 * GB], [Step(0, 2, 2)])

    found.put(largest, 2, 0)
    assert (found.moved, found.used, found.steps()) == (0, [60 * GB, 5 * GB, 0], [])


def test_the_neighbours_of_a_size_are_those_that_are_still_there() -> None:
    found = layout()
    found.put(Resident(20 * GB, 0, 1), 0, 1)

    assert [one.size for one in found.near(0, 20 * GB)] == [30 * GB, 10 * GB]
    assert [one.size for one in found.near(1, 20 * GB)] == [5 * GB, 20 * GB]


def test_the_best_of_all_ends_is_found_or_nothing_when_the_best_is_known() -> None:
    situation = layout().situation

    steps = enumerate_ends(situation, Outcome(100.0, 0))

    assert steps is not None
    best = Layout(situation, steps)
    assert (best.moved, sorted(best.used)) == (30 * GB, [15 * GB, 20 * GB, 30 * GB])
    assert enumerate_ends(situation, Outcome(14.0, 30 * GB)) is None
