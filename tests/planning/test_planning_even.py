"""The strategy `even`, on arrays small enough to be checked by hand."""

from itertools import pairwise

import pytest
from planning_lab import GB, TB, array, carry_out, disk, moved, percents, reason_for, seeded, spread, titles, unit

from rebalancer.array.disk import DiskStatus
from rebalancer.errors import UsageError
from rebalancer.inventory.unit import Inventory, Member, UnitKind
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection


def test_three_disks_at_90_40_and_10_percent_end_within_a_point() -> None:
    uneven = array([("a", 4 * TB, [GB] * 3600), ("b", 2 * TB, [GB] * 800), ("c", TB, [GB] * 100)])

    plan = make_plan(uneven, Selection())

    assert plan.spread_before == 80
    assert plan.spread_after <= 1
    assert plan.lower_bound_bytes <= plan.bytes_to_move <= 1.02 * plan.lower_bound_bytes
    assert {source for _, source, _ in moved(plan)} == {"a"}


def test_an_array_within_the_tolerance_gives_an_empty_plan() -> None:
    even = array([("a", 100 * GB, [GB] * 51), ("b", 100 * GB, [GB] * 50)])

    plan = make_plan(even, Selection())

    assert (plan.moves, plan.bytes_to_move, plan.lower_bound_bytes, plan.left_behind) == ((), 0, 0, ())


def test_large_units_go_first_and_few_moves_are_made() -> None:
    uneven = array([("a", 100 * GB, [20 * GB, *[GB // 10] * 600]), ("b", 100 * GB, [])])

    plan = make_plan(uneven, Selection())

    assert plan.moves[0].size_bytes == 20 * GB
    assert len(plan.moves) < 210


def test_what_no_single_move_evens_out_a_swap_does() -> None:
    coarse = array([("a", 100 * GB, [40 * GB, 30 * GB]), ("b", 100 * GB, [30 * GB, 20 * GB])])

    plan = make_plan(coarse, Selection(tolerance=1))

    carry_out(coarse, plan)
    assert plan.spread_after == 0
    assert plan.bytes_to_move == 50 * GB  # 30 out and 20 back, not 40 and 30


def test_disks_that_are_98_percent_full_are_evened_by_swaps_through_the_little_space_there_is() -> None:
    tight = array([("a", 100 * GB, [9 * GB] * 11), ("b", 100 * GB, [8 * GB] * 12), ("c", 100 * GB, [7 * GB] * 14)])

    plan = make_plan(tight, Selection(tolerance=2, reserve="0"))

    assert plan.moves == ()  # nothing fits into 4 GB
    roomy = Inventory(disks=(*tight.disks[:2], disk("c", 110 * GB, 98 * GB)), units=tight.units)
    plan = make_plan(roomy, Selection(tolerance=5, reserve="0"))
    carry_out(roomy, plan)
    assert plan.spread_after < plan.spread_before


def test_a_nearly_full_array_with_a_swap_that_fits_reaches_the_tolerance() -> None:
    rng = seeded(3)
    sizes = {name: [rng.randint(GB // 10, GB) for _ in range(count)] for name, count in [("a", 180), ("b", 176)]}
    tight = Inventory(
        disks=tuple(disk(name, 100 * GB, used * GB) for name, used in [("a", 99), ("b", 97)]),
        units=tuple(one for name, each in sizes.items() for one in titles(name, each)),
    )

    plan = make_plan(tight, Selection(reserve="1GB"))

    carry_out(tight, plan)
    assert plan.spread_after <= 1


def test_when_nothing_fits_anywhere_the_plan_is_empty_and_says_so() -> None:
    stuck = array([("a", 100 * GB, [45 * GB, 45 * GB]), ("b", 100 * GB, [35 * GB, 35 * GB])])

    plan = make_plan(stuck, Selection())

    assert plan.moves == ()
    assert plan.spread_after == plan.spread_before == 20
    assert reason_for(plan, "films/a 00000").startswith("no disk has room for it: 45.0 GB needed, at most 28.0 GB free")


def test_a_unit_that_would_overshoot_stays_and_is_named() -> None:
    coarse = array([("a", 100 * GB, [30 * GB]), ("b", 100 * GB, [])])

    plan = make_plan(coarse, Selection())

    assert plan.moves == ()
    assert reason_for(plan, "films/a 00000").startswith("moving it would overshoot")


def test_a_disk_that_nothing_may_leave_does_not_stop_the_others_from_coming_nearer() -> None:
    fixed = Inventory(
        disks=(disk("a", 100 * GB, 90 * GB), disk("b", 100 * GB, 60 * GB), disk("c", 100 * GB, 20 * GB)),
        units=titles("b", [GB] * 60),
    )

    plan = make_plan(fixed, Selection())

    assert plan.spread_before == 70
    assert plan.spread_after == 50
    assert plan.bytes_to_move == 20 * GB
    assert plan.lower_bound_bytes == pytest.approx(20 * GB)
    assert ("a", "it is above the goal, but nothing more on it may move") in [
        (left.disk, left.reason) for left in plan.left_behind
    ]


def test_nothing_moves_between_disks_in_the_middle_when_the_extremes_cannot_move() -> None:
    fixed = Inventory(
        disks=(
            disk("a", 100 * GB, 90 * GB),
            disk("b", 100 * GB, 60 * GB),
            disk("c", 100 * GB, 40 * GB),
            disk("d", 100 * GB, 5 * GB, receives=False),
        ),
        units=titles("b", [GB] * 60),
    )

    assert make_plan(fixed, Selection()).moves == ()


@pytest.mark.parametrize(
    "inventory",
    [
        Inventory(disks=(), units=()),
        array([("a", 100 * GB, [GB] * 50)]),
        Inventory(disks=(disk("a", 100 * GB, 50 * GB), disk("b", 100 * GB, 0)), units=()),
        array([("a", 100 * GB, [0] * 50), ("b", 100 * GB, [])]),
        array([("a", 0, []), ("b", 0, [])]),
    ],
    ids=["no disks", "one disk", "no units", "units of no size", "disks of no size"],
)
def test_where_there_is_nothing_to_do_the_plan_is_empty(inventory: Inventory) -> None:
    plan = make_plan(inventory, Selection())

    assert (plan.moves, plan.bytes_to_move) == ((), 0)
    assert plan.spread_after == plan.spread_before


def test_a_disk_without_a_size_and_one_that_cannot_be_used_do_not_count() -> None:
    inventory = array([("a", 100 * GB, [GB] * 60), ("b", 100 * GB, [GB] * 20), ("c", 0, [])])
    broken = disk("d", 100 * GB, 0, status=DiskStatus.NOT_MOUNTED, reason="not mounted")

    plan = make_plan(Inventory(disks=(*inventory.disks, broken), units=inventory.units), Selection())

    assert plan.spread_before == 40
    assert plan.spread_after <= 1
    assert [one.name for one in plan.disks] == ["a", "b", "c"]
    assert {destination for _, _, destination in moved(plan)} == {"b"}


def test_a_unit_that_occupies_nothing_is_never_moved() -> None:
    inventory = array([("a", 100 * GB, [0, 0, *[GB] * 60]), ("b", 100 * GB, [])])

    assert all(move.size_bytes for move in make_plan(inventory, Selection()).moves)


def test_the_limit_of_bytes_keeps_the_longest_prefix_and_names_the_rest() -> None:
    uneven = array([("a", 100 * GB, [5 * GB] * 16), ("b", 100 * GB, [])])
    whole = make_plan(uneven, Selection())

    plan = make_plan(uneven, Selection(max_bytes=12 * GB))

    assert plan.moves == whole.moves[:2]
    assert [left.reason for left in plan.left_behind if left.path == whole.moves[2].path] == [
        "beyond the limit of 12.0 GB for this run"
    ]
    assert plan.spread_after == 60


def test_a_unit_larger_than_the_limit_does_not_keep_smaller_ones_from_moving() -> None:
    uneven = array([("a", 100 * GB, [30 * GB, *[GB] * 50]), ("b", 100 * GB, [])])

    plan = make_plan(uneven, Selection(max_bytes=10 * GB))

    assert plan.bytes_to_move == 10 * GB
    assert reason_for(plan, "films/a 00000") == "larger than the limit of 10.0 GB for this run"


def test_the_limit_never_leaves_half_a_swap_that_makes_things_worse() -> None:
    coarse = array([("a", 100 * GB, [40 * GB, 30 * GB]), ("b", 100 * GB, [30 * GB, 20 * GB])])

    for limit in range(20, 55, 5):
        plan = make_plan(coarse, Selection(max_bytes=limit * GB))
        assert plan.spread_after <= plan.spread_before
        assert plan.bytes_to_move <= limit * GB


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_that_makes_no_sense_is_refused(tolerance: float) -> None:
    with pytest.raises(UsageError, match="tolerance"):
        make_plan(array([("a", GB, [])]), Selection(tolerance=tolerance))


def test_a_link_group_moves_with_all_its_members() -> None:
    group = unit("a", "films/one", 40 * GB, kind=UnitKind.LINKS, also=(Member(path="music/one"),))
    plan = make_plan(
        Inventory(disks=(disk("a", 100 * GB, 80 * GB), disk("b", 100 * GB, 0)), units=(group,)), Selection()
    )

    assert [member.path for member in plan.moves[0].members] == ["films/one", "music/one"]
    assert percents(plan) == [40, 40]


@pytest.mark.parametrize("seed", range(12))
def test_heavy_tailed_arrays_of_mixed_disks_reach_the_tolerance_near_the_bound(seed: int) -> None:
    rng = seeded(seed)
    disks = []
    for number in range(rng.randint(4, 30)):
        size = rng.choice([2, 4, 8, 16, 24]) * TB
        filled = rng.uniform(0.1, 0.95) * size
        sizes: list[int] = []
        while sum(sizes) < filled and len(sizes) < 600:
            sizes.append(int(min(size / 40, size / 2000 * rng.paretovariate(1.2))))
        disks.append((f"disk{number}", size, sizes))
    uneven = array(disks)

    plan = make_plan(uneven, Selection())

    history = [spread(uneven, used) for used in carry_out(uneven, plan)]
    assert all(after <= before + 1e-9 for before, after in pairwise(history))
    assert plan.spread_after <= 1
    assert plan.lower_bound_bytes <= plan.bytes_to_move <= 1.05 * plan.lower_bound_bytes
