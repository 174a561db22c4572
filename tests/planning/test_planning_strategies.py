"""The strategies that look at places: `evacuate`, `gather`, `pack` and `repair`, on arrays checked by hand."""

import pytest
from planning_lab import GB, array, carry_out, disk, moved, reason_for, titles, unit

from rebalancer.errors import UsageError
from rebalancer.inventory.unit import Inventory
from rebalancer.planning.limits import Begun, Constraints, DiskRule, ShareRule
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection, Strategy


def test_an_evacuated_disk_ends_empty_and_its_units_go_to_the_emptiest() -> None:
    inventory = array([("a", 100 * GB, [GB] * 20), ("b", 100 * GB, [GB] * 30), ("c", 100 * GB, [GB] * 10)])

    plan = make_plan(inventory, Selection(strategy=Strategy.EVACUATE, from_disks=("a",)))

    last = carry_out(inventory, plan)[-1]
    assert last["a"] == 0
    assert plan.bytes_to_move == plan.lower_bound_bytes == 20 * GB
    assert {destination for _, _, destination in moved(plan)} == {"c"}


def test_an_evacuation_for_which_there_is_no_room_moves_what_fits_and_names_the_rest() -> None:
    inventory = array([("a", 100 * GB, [30 * GB, 5 * GB]), ("b", 100 * GB, [GB] * 80)])

    plan = make_plan(inventory, Selection(strategy=Strategy.EVACUATE, from_disks=("a",)))

    assert [move.size_bytes for move in plan.moves] == [5 * GB]
    assert reason_for(plan, "films/a 00000")


def test_even_units_of_no_size_leave_an_evacuated_disk() -> None:
    inventory = array([("a", 100 * GB, [0, GB]), ("b", 100 * GB, [])])

    plan = make_plan(inventory, Selection(strategy=Strategy.EVACUATE, from_disks=("a",)))

    assert len(plan.moves) == 2


def test_an_evacuation_without_a_disk_and_a_gathering_without_a_folder_are_refused() -> None:
    inventory = array([("a", 100 * GB, [GB])])

    with pytest.raises(UsageError, match="which disks"):
        make_plan(inventory, Selection(strategy=Strategy.EVACUATE))
    with pytest.raises(UsageError, match="folders"):
        make_plan(inventory, Selection(strategy=Strategy.GATHER))
    with pytest.raises(UsageError, match="no disk has a unit"):
        make_plan(inventory, Selection(strategy=Strategy.GATHER, paths=("nowhere",)))


def test_a_folder_that_is_only_on_a_disk_that_takes_no_part_stays_and_the_plan_says_so() -> None:
    inventory = Inventory(
        disks=(disk("a", 100 * GB, 30 * GB), disk("b", 100 * GB, 20 * GB)), units=(unit("a", "tv/show/1", 5 * GB),)
    )
    constraints = Constraints(disks=(DiskRule(disk="a", is_excluded=True),))

    plan = make_plan(inventory, Selection(strategy=Strategy.GATHER, paths=("tv/show",)), constraints)

    assert moved(plan) == []
    assert reason_for(plan, "tv/show/1") == "a may not give, or takes no part"


def test_a_gathered_folder_ends_on_the_disk_that_had_most_of_it() -> None:
    inventory = Inventory(
        disks=(disk("a", 100 * GB, 30 * GB), disk("b", 100 * GB, 20 * GB), disk("c", 100 * GB, 10 * GB)),
        units=(unit("a", "tv/show/1", 5 * GB), unit("b", "tv/show/2", 9 * GB), unit("c", "tv/show/3", 2 * GB)),
    )

    plan = make_plan(inventory, Selection(strategy=Strategy.GATHER, paths=("tv/show",)))

    assert moved(plan) == [("tv/show/1", "a", "b"), ("tv/show/3", "c", "b")]
    assert plan.bytes_to_move == plan.lower_bound_bytes == 7 * GB


def test_a_folder_that_no_disk_can_hold_is_gathered_on_the_fewest() -> None:
    inventory = Inventory(
        disks=(disk("a", 20 * GB, 15 * GB), disk("b", 20 * GB, 14 * GB), disk("c", 20 * GB, 4 * GB)),
        units=(
            *titles("a", [5 * GB, 5 * GB, 5 * GB], "tv"),
            *titles("b", [7 * GB, 7 * GB], "tv"),
            *titles("c", [2 * GB, 2 * GB], "tv"),
        ),
    )

    plan = make_plan(inventory, Selection(strategy=Strategy.GATHER, paths=("tv",)))

    assert {source for _, source, _ in moved(plan)} == {"c"}
    assert plan.bytes_to_move == 4 * GB


def test_packing_empties_as_many_disks_as_the_others_can_hold() -> None:
    inventory = array(
        [("a", 100 * GB, [GB] * 50), ("b", 100 * GB, [GB] * 30), ("c", 100 * GB, [GB] * 10), ("d", 100 * GB, [])]
    )

    plan = make_plan(inventory, Selection(strategy=Strategy.PACK))

    last = carry_out(inventory, plan)[-1]
    assert sorted(last.values()) == [0, 0, 0, 90 * GB]
    assert plan.bytes_to_move == plan.lower_bound_bytes == 40 * GB


def test_packing_again_moves_nothing() -> None:
    assert (
        make_plan(array([("a", 100 * GB, [GB] * 90), ("b", 100 * GB, [])]), Selection(strategy=Strategy.PACK)).moves
        == ()
    )


def test_repair_brings_a_unit_to_a_disk_that_its_share_includes() -> None:
    inventory = array([("a", 100 * GB, [5 * GB]), ("b", 100 * GB, [GB]), ("c", 100 * GB, [])])
    rules = Constraints(shares=(ShareRule(share="films", include=("b", "c")),))

    plan = make_plan(inventory, Selection(strategy=Strategy.REPAIR), rules)

    assert moved(plan) == [("films/a 00000", "a", "c")]
    assert plan.bytes_to_move == plan.lower_bound_bytes


def test_repair_joins_a_folder_that_was_split_where_most_of_it_is() -> None:
    inventory = Inventory(
        disks=(disk("a", 100 * GB, 30 * GB), disk("b", 100 * GB, 20 * GB)),
        units=(unit("a", "tv/show", 5 * GB), unit("b", "tv/show", 9 * GB)),
    )

    plan = make_plan(inventory, Selection(strategy=Strategy.REPAIR))

    assert moved(plan) == [("tv/show", "a", "b")]
    assert (plan.bytes_to_move, plan.lower_bound_bytes) == (5 * GB, 5 * GB)


def test_repair_finishes_what_an_operation_has_begun() -> None:
    inventory = array([("a", 100 * GB, [5 * GB]), ("b", 100 * GB, []), ("c", 100 * GB, [])])
    begun = Constraints(begun=(Begun(path="films/a 00000", source="a", destination="c"),))

    assert moved(make_plan(inventory, Selection(strategy=Strategy.REPAIR), begun)) == [("films/a 00000", "a", "c")]


def test_repair_of_an_array_in_order_does_nothing() -> None:
    inventory = array([("a", 100 * GB, [5 * GB]), ("b", 100 * GB, [])])

    assert make_plan(inventory, Selection(strategy=Strategy.REPAIR)).moves == ()
