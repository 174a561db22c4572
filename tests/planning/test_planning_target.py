"""The strategy `target`, on arrays small enough to be checked by hand."""

import pytest
from planning_lab import GB, array, carry_out, disk, moved, percents, reason_for, titles

from rebalancer.errors import UsageError
from rebalancer.inventory.unit import Inventory
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection, Strategy


def at_most(percent: float, **more: object) -> Selection:
    return Selection(strategy=Strategy.TARGET, target_percent=percent, **more)  # type: ignore[arg-type]


def test_only_the_surplus_above_the_target_moves() -> None:
    uneven = array([("a", 100 * GB, [GB] * 90), ("b", 100 * GB, [GB] * 50), ("c", 100 * GB, [GB] * 10)])

    plan = make_plan(uneven, at_most(80))

    carry_out(uneven, plan)
    assert plan.bytes_to_move == plan.lower_bound_bytes == 10 * GB
    assert percents(plan) == [80, 50, 20]


def test_the_emptiest_disk_is_filled_first() -> None:
    uneven = array([("a", 100 * GB, [GB] * 90), ("b", 100 * GB, [GB] * 30), ("c", 100 * GB, [GB] * 20)])

    plan = make_plan(uneven, at_most(60))

    assert {destination for _, _, destination in moved(plan)[:10]} == {"c"}
    assert percents(plan) == [60, 40, 40]


def test_the_last_unit_is_the_one_that_overshoots_least() -> None:
    uneven = array([("a", 100 * GB, [30 * GB, 25 * GB, 12 * GB, 8 * GB, 7 * GB]), ("b", 100 * GB, [])])

    plan = make_plan(uneven, at_most(70))

    assert [move.size_bytes for move in plan.moves] == [12 * GB]


def test_two_units_move_where_they_overshoot_less_than_one() -> None:
    uneven = array([("a", 100 * GB, [40 * GB, 30 * GB, 9 * GB, 4 * GB]), ("b", 100 * GB, [])])

    plan = make_plan(uneven, at_most(70))

    assert sum(move.size_bytes for move in plan.moves) == 13 * GB


def test_no_receiver_ends_above_the_target_and_what_stays_says_why() -> None:
    full = array([("a", 100 * GB, [GB] * 95), ("b", 100 * GB, [GB] * 75)])

    plan = make_plan(full, at_most(80))

    assert percents(plan) == [90, 80]
    assert plan.bytes_to_move == plan.lower_bound_bytes == 5 * GB
    assert all(left.disk == "a" and left.reason for left in plan.left_behind)
    assert len([left for left in plan.left_behind if left.path]) == 90


def test_a_receiver_without_room_above_its_reserve_is_named_as_the_reason() -> None:
    full = Inventory(
        disks=(disk("a", 100 * GB, 90 * GB), disk("b", 100 * GB, 20 * GB, free_bytes=3 * GB)),
        units=titles("a", [10 * GB] * 9),
    )

    plan = make_plan(full, at_most(50))

    assert plan.moves == ()
    assert reason_for(plan, "films/a 00000").startswith("no other disk could hold it")


def test_a_disk_above_the_target_that_may_not_give_is_no_shortfall() -> None:
    full = array([("a", 100 * GB, [GB] * 95), ("b", 100 * GB, [GB] * 90), ("c", 100 * GB, [])])

    plan = make_plan(full, at_most(80, from_disks=("b",)))

    assert percents(plan) == [95, 80, 10]
    assert plan.left_behind == ()


def test_an_array_below_the_target_gives_an_empty_plan() -> None:
    assert make_plan(array([("a", 100 * GB, [GB] * 70), ("b", 100 * GB, [])]), at_most(80)).moves == ()


@pytest.mark.parametrize("percent", [-1.0, 101.0, float("nan")])
def test_a_target_that_is_no_percentage_is_refused(percent: float) -> None:
    with pytest.raises(UsageError, match="target"):
        make_plan(array([("a", 100 * GB, [])]), at_most(percent))
