"""In which order the steps of a plan are taken."""

from itertools import pairwise

from planning_lab import GB, array, carry_out, spread

from rebalancer.planning.order import waves_of
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection


def test_moves_of_one_pair_and_moves_on_other_disks_share_a_wave() -> None:
    assert waves_of([("a", "b"), ("c", "d"), ("a", "b"), ("a", "d"), ("c", "b")]) == [0, 0, 0, 1, 1]
    assert waves_of([]) == []


def test_a_move_back_between_the_same_disks_stays_in_the_wave() -> None:
    assert waves_of([("a", "b"), ("b", "a"), ("b", "c")]) == [0, 0, 1]


def test_the_first_tenth_of_the_bytes_brings_gain_already() -> None:
    uneven = array([("a", 100 * GB, [GB // 4] * 360), ("b", 100 * GB, [GB] * 40), ("c", 100 * GB, [GB] * 10)])
    plan = make_plan(uneven, Selection())

    history = [spread(uneven, used) for used in carry_out(uneven, plan)]

    assert max(history) == history[0]
    assert history[len(plan.moves) // 10] < history[0] - 2


def test_few_pairs_of_disks_take_turns() -> None:
    uneven = array(
        [(f"full{number}", 100 * GB, [GB // 2] * 180) for number in range(4)]
        + [(f"empty{number}", 100 * GB, [GB // 2] * 20) for number in range(4)]
    )

    plan = make_plan(uneven, Selection())

    pairs = [(move.source, move.destination) for move in plan.moves]
    turns = 1 + sum(one != other for one, other in pairwise(pairs))
    assert turns < len(pairs) / 3
