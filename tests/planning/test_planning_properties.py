"""What holds for every plan, whatever the array."""

import random
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from planning_lab import GB, TB, array, carry_out, disk, seeded, spread, titles

from rebalancer.array.disk import Disk
from rebalancer.inventory.unit import Inventory, Unit
from rebalancer.planning.document import check_plan
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection, Strategy

SIZES = st.integers(0, 40 * GB)
CALM = settings(max_examples=150, deadline=None)


@st.composite
def arrays(draw: st.DrawFn) -> Inventory:
    """Any array: coarse units, tiny ones, full disks, disks without a size, space that nobody accounts for."""
    disks: list[Disk] = []
    units: list[Unit] = []
    for number in range(draw(st.integers(1, 7))):
        name = f"disk{number}"
        sizes = draw(st.lists(SIZES, max_size=12))
        other = draw(st.integers(0, 20 * GB))
        size = sum(sizes) + other + draw(st.sampled_from([0, GB, 20 * GB, 100 * GB]))
        free = draw(st.sampled_from([1.0, 0.95, 0.0])) * (size - sum(sizes) - other)
        gives, receives = draw(st.tuples(st.integers(0, 9), st.integers(0, 9)))
        disks.append(disk(name, size, sum(sizes) + other, free_bytes=int(free), gives=gives > 0, receives=receives > 0))
        units += titles(name, sizes)
    return Inventory(disks=tuple(disks), units=tuple(units))


selections = st.builds(
    Selection,
    strategy=st.sampled_from(Strategy),
    tolerance=st.sampled_from([0.0, 1.0, 5.0]),
    target_percent=st.sampled_from([0.0, 50.0, 80.0]),
    reserve=st.sampled_from([None, "0", "5GB", "3%"]),
    max_bytes=st.sampled_from([None, 30 * GB]),
)


@CALM
@given(arrays(), selections)
def test_every_step_fits_and_nothing_is_lost(inventory: Inventory, selection: Selection) -> None:
    plan = make_plan(inventory, selection)

    last = carry_out(inventory, plan)[-1]

    check_plan(plan)
    assert last == {one.name: one.planned_used_bytes for one in plan.disks}
    assert sum(last.values()) == sum(one.used_bytes for one in inventory.disks)
    assert plan.bytes_to_move == sum(move.size_bytes for move in plan.moves)
    assert plan.bytes_to_move >= plan.lower_bound_bytes >= 0
    assert len({(move.source, move.path) for move in plan.moves}) == len(plan.moves)
    assert all(left.reason for left in plan.left_behind)
    assert selection.max_bytes is None or plan.bytes_to_move <= selection.max_bytes


@CALM
@given(arrays(), selections)
def test_even_never_ends_less_even_and_target_never_ends_with_more_above_it(
    inventory: Inventory, selection: Selection
) -> None:
    plan = make_plan(inventory, selection)

    if selection.strategy is Strategy.EVEN:
        assert plan.spread_after <= plan.spread_before + 1e-9
        assert not plan.moves or plan.spread_after < plan.spread_before
    else:
        tops = {one.name: one.size_bytes * selection.target_percent / 100 for one in plan.disks}
        assert all(one.planned_used_bytes <= max(one.used_bytes, tops[one.name]) for one in plan.disks)


@CALM
@given(arrays(), selections, st.randoms(use_true_random=False))
def test_the_order_in_which_units_were_found_does_not_matter(
    inventory: Inventory, selection: Selection, rng: random.Random
) -> None:
    shuffled = list(inventory.units)
    rng.shuffle(shuffled)

    assert make_plan(replace(inventory, units=tuple(shuffled)), selection) == make_plan(inventory, selection)


@CALM
@given(arrays(), selections)
def test_a_plan_that_misses_the_goal_says_why_for_something(inventory: Inventory, selection: Selection) -> None:
    plan = make_plan(inventory, selection)

    goal_missed = selection.strategy is Strategy.EVEN and plan.spread_after > selection.tolerance
    assert plan.left_behind or not goal_missed


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([2, 4, 8, 16]), st.floats(0.05, 0.9)), min_size=2, max_size=12),
    st.integers(0, 1000),
)
def test_fine_grained_arrays_end_within_the_tolerance_near_the_bound(
    shapes: list[tuple[int, float]], seed: int
) -> None:
    rng = seeded(seed)
    disks = [
        (f"disk{number}", size * TB, [rng.randint(GB, 6 * GB) for _ in range(int(size * filled * 285))])
        for number, (size, filled) in enumerate(shapes)
    ]
    inventory = array(disks)

    plan = make_plan(inventory, Selection())

    history = [spread(inventory, used) for used in carry_out(inventory, plan)]
    assert plan.spread_after <= 1
    assert all(after <= before + 1e-9 for before, after in pairwise(history))
    least = plan.lower_bound_bytes + 0.006 * sum(one.size_bytes for one in inventory.disks) / 2
    assert plan.lower_bound_bytes <= plan.bytes_to_move <= max(1.05 * plan.lower_bound_bytes, least)


@CALM
@given(arrays(), selections)
def test_planning_again_after_the_plan_was_carried_out_moves_nothing_back(
    inventory: Inventory, selection: Selection
) -> None:
    plan = make_plan(inventory, selection)
    last = carry_out(inventory, plan)[-1]
    went = {(move.source, move.path): move.destination for move in plan.moves}
    after = Inventory(
        disks=tuple(
            replace(one, used_bytes=last[one.name], free_bytes=one.free_bytes + one.used_bytes - last[one.name])
            for one in inventory.disks
        ),
        units=tuple(replace(one, disk=went.get((one.disk, one.path), one.disk)) for one in inventory.units),
    )

    again = make_plan(after, selection)

    if plan.spread_after <= selection.tolerance and selection.strategy is Strategy.EVEN:
        assert again.moves == ()
    assert Counter(one.path for one in after.units) == Counter(one.path for one in inventory.units)
