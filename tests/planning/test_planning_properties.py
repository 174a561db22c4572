"""What holds for every plan, whatever the array, the strategy and the rules."""

import random
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from planning_lab import GB, TB, array, carry_out, disk, seeded, spread, unit

from planner.arrays import Trial, mixed, small
from planner.checker import problems_of, worse_steps
from planner.rivals import compete
from planner.trials import carried_out, exact
from rebalancer.array.disk import Disk
from rebalancer.inventory.unit import Inventory, Member, Unit, UnitKind
from rebalancer.planning.document import check_plan
from rebalancer.planning.limits import Begun, Constraints, DiskRule, ShareRule
from rebalancer.planning.plan import Plan
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection, Strategy

SIZES = st.integers(0, 40 * GB)
SHARES = ("films", "music", "photos")
CALM = settings(max_examples=50, deadline=None)


@dataclass(frozen=True)
class Case:
    inventory: Inventory
    selection: Selection
    constraints: Constraints

    def plan(self) -> Plan:
        return make_plan(self.inventory, self.selection, self.constraints)


@st.composite
def arrays(draw: st.DrawFn) -> Inventory:
    """Any array: coarse units, tiny ones, split folders, files, full disks, disks without a size, space nobody accounts for."""
    disks: list[Disk] = []
    units: list[Unit] = []
    for number in range(draw(st.integers(1, 6))):
        name = f"disk{number}"
        sizes = draw(st.lists(SIZES, max_size=10))
        other = draw(st.integers(0, 20 * GB))
        size = sum(sizes) + other + draw(st.sampled_from([0, GB, 20 * GB, 100 * GB]))
        free = draw(st.sampled_from([1.0, 0.95, 0.0])) * (size - sum(sizes) - other)
        gives, receives = draw(st.tuples(st.integers(0, 9), st.integers(0, 9)))
        disks.append(disk(name, size, sum(sizes) + other, free_bytes=int(free), gives=gives > 0, receives=receives > 0))
        units += [_unit(draw, name, place, size) for place, size in enumerate(sizes)]
    return Inventory(disks=tuple(disks), units=tuple(units))


def _unit(draw: st.DrawFn, on: str, place: int, size: int) -> Unit:
    share = draw(st.sampled_from(SHARES))
    path = draw(st.sampled_from([f"{share}/{on} {place}", f"{share}/common {place}", f"{share}/set/{on} {place}"]))
    kind = draw(st.sampled_from([UnitKind.FOLDER, UnitKind.FOLDER, UnitKind.FILE, UnitKind.LINKS]))
    also = (Member(path=f"{path} too"),) if kind is UnitKind.LINKS else ()
    return unit(on, path, size, kind=kind, also=also, in_use=draw(st.sampled_from(["", "", "", "open by smbd"])))


@st.composite
def rules(draw: st.DrawFn, inventory: Inventory) -> Constraints:
    names = [one.name for one in inventory.disks]
    some = st.lists(st.sampled_from(names), max_size=3, unique=True).map(tuple)
    shares = draw(st.lists(st.sampled_from(SHARES), max_size=2, unique=True))
    begun = draw(st.lists(st.sampled_from(inventory.units), max_size=1)) if inventory.units and len(names) > 1 else []
    return Constraints(
        shares=tuple(
            ShareRule(
                share=share,
                include=draw(some),
                exclude=draw(some),
                is_locked=draw(st.sampled_from([False, False, True])),
                split_level=draw(st.sampled_from([None, None, 1, 2, 0])),
                floor_bytes=draw(st.sampled_from([0, 10 * GB])),
            )
            for share in shares
        ),
        disks=tuple(
            DiskRule(
                disk=name,
                is_excluded=draw(st.integers(0, 5)) == 0,
                gives=draw(st.integers(0, 4)) > 0,
                receives=draw(st.integers(0, 4)) > 0,
                floor_bytes=draw(st.sampled_from([0, 5 * GB])),
            )
            for name in draw(some)
        ),
        pinned=draw(st.sampled_from([(), ("common 1",), ("films/*",)])),
        keep_together=draw(st.sampled_from([(), (("* 0", "* 2"),), (("music/*",),)])),
        begun=tuple(
            Begun(
                path=one.path, source=one.disk, destination=draw(st.sampled_from([n for n in names if n != one.disk]))
            )
            for one in begun
        ),
        in_flight_bytes=draw(st.sampled_from([0, 0, 3 * GB])),
    )


@st.composite
def cases(draw: st.DrawFn, *strategies: Strategy, is_ruled: bool = True) -> Case:
    """Draw an array with a selection that fits it, and rules."""
    inventory = draw(arrays())
    strategy = draw(st.sampled_from(strategies or tuple(Strategy)))
    paths = [one.path for one in inventory.units]
    assume(strategy is not Strategy.GATHER or paths)
    selection = Selection(
        strategy=strategy,
        tolerance=draw(st.sampled_from([0.0, 1.0, 5.0])),
        target_percent=draw(st.sampled_from([0.0, 50.0, 80.0])) if strategy is Strategy.TARGET else 80.0,
        reserve=draw(st.sampled_from([None, "0", "5GB", "3%"])),
        max_bytes=draw(st.sampled_from([None, None, 30 * GB])),
        from_disks=(draw(st.sampled_from(inventory.disks)).name,) if strategy is Strategy.EVACUATE else (),
        paths=(draw(st.sampled_from([*paths, paths[0].split("/")[0]])),) if strategy is Strategy.GATHER else (),
    )
    return Case(inventory, selection, draw(rules(inventory)) if is_ruled else Constraints())


@CALM
@given(cases())
def test_no_plan_breaks_a_rule_or_a_reserve_at_any_step(case: Case) -> None:
    assert problems_of(case.inventory, case.plan(), case.constraints, case.selection) == []


@CALM
@given(cases())
def test_every_step_fits_and_nothing_is_lost(case: Case) -> None:
    plan = case.plan()

    last = carry_out(case.inventory, plan)[-1]

    check_plan(plan)
    assert sum(last.values()) == sum(one.used_bytes for one in case.inventory.disks)
    assert plan.bytes_to_move == sum(move.size_bytes for move in plan.moves)
    assert plan.bytes_to_move >= plan.lower_bound_bytes >= 0
    assert plan.excess_percent >= 0
    assert len({(move.source, move.path) for move in plan.moves}) == len(plan.moves)
    assert all(left.reason for left in plan.left_behind)
    assert case.selection.max_bytes is None or plan.bytes_to_move <= case.selection.max_bytes


@CALM
@given(cases(Strategy.EVEN, is_ruled=False))
def test_no_prefix_is_less_even_than_the_start_but_the_first_half_of_a_swap(case: Case) -> None:
    plan = case.plan()
    assume(all(one.size_bytes for one in case.inventory.disks))
    assume(all(one.gives or one.receives for one in case.inventory.disks))

    worse = worse_steps(case.inventory, plan)

    assert len(plan.moves) not in worse or case.selection.max_bytes is not None
    assert not any(number + 1 in worse for number in worse)


@CALM
@given(cases(Strategy.EVEN, Strategy.TARGET))
def test_even_never_ends_less_even_and_target_never_ends_with_more_above_it(case: Case) -> None:
    plan = case.plan()

    if case.selection.strategy is Strategy.EVEN:
        assert plan.spread_after <= plan.spread_before + 1e-9
        assert not plan.moves or plan.spread_after < plan.spread_before
    else:
        tops = {one.name: one.size_bytes * case.selection.target_percent / 100 for one in plan.disks}
        assert all(one.planned_used_bytes <= max(one.used_bytes, tops[one.name]) for one in plan.disks)


@CALM
@given(cases(Strategy.EVACUATE))
def test_an_evacuated_disk_receives_nothing_and_says_what_stays(case: Case) -> None:
    plan = case.plan()

    assert {move.source for move in plan.moves} <= set(case.selection.from_disks)
    assert not {move.destination for move in plan.moves} & set(case.selection.from_disks)
    went = {(move.source, move.path) for move in plan.moves}
    stays = [
        one
        for one in case.inventory.units
        if one.disk in case.selection.from_disks and (one.disk, one.path) not in went
    ]
    assert plan.left_behind or not any(one.size_bytes for one in stays)


@CALM
@given(cases(Strategy.GATHER, is_ruled=False))
def test_gathering_moves_nothing_but_what_was_named(case: Case) -> None:
    wanted = case.selection.paths[0]

    for move in case.plan().moves:
        assert any(f"{member.path}/".startswith(f"{wanted}/") for member in move.members)


@CALM
@given(cases(Strategy.PACK))
def test_a_disk_that_packing_takes_from_receives_nothing(case: Case) -> None:
    plan = case.plan()

    assert not {move.source for move in plan.moves} & {move.destination for move in plan.moves}


@CALM
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_in_which_units_were_found_does_not_matter(case: Case, rng: random.Random) -> None:
    shuffled = list(case.inventory.units)
    rng.shuffle(shuffled)
    assume(len({(one.disk, one.path) for one in shuffled}) == len(shuffled))

    again = Case(replace(case.inventory, units=tuple(shuffled)), case.selection, case.constraints)

    assert again.plan() == case.plan()


@CALM
@given(cases(Strategy.EVEN))
def test_a_plan_that_misses_the_goal_says_why_for_something(case: Case) -> None:
    plan = case.plan()

    assert plan.left_behind or plan.coarseness or plan.spread_after <= case.selection.tolerance


@settings(max_examples=15, deadline=None)
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
    assert all(after <= history[0] + 1e-9 for _, after in pairwise(history))
    least = plan.lower_bound_bytes + 0.006 * sum(one.size_bytes for one in inventory.disks) / 2
    assert plan.lower_bound_bytes <= plan.bytes_to_move <= max(1.05 * plan.lower_bound_bytes, least)


@CALM
@given(cases())
def test_planning_again_after_the_plan_was_carried_out_moves_nothing_back(case: Case) -> None:
    plan = case.plan()
    after = carried_out(case.inventory, [plan])
    assume(len({(one.disk, one.path) for one in after.units}) == len(after.units))  # parts that met are one unit then

    again = make_plan(after, case.selection, replace(case.constraints, begun=()))

    is_even = case.selection.strategy is Strategy.EVEN and plan.spread_after <= case.selection.tolerance
    if is_even or case.selection.strategy is Strategy.EVACUATE:
        went = {(move.destination, move.path) for move in plan.moves}
        assert not [move for move in again.moves if (move.source, move.path) in went]
    if is_even:
        assert again.moves == ()
    assert Counter(one.path for one in after.units) == Counter(one.path for one in case.inventory.units)


@pytest.mark.parametrize("seed", [1, 3, 8])
def test_no_greedy_rule_is_nearer_or_cheaper_on_a_media_like_array(seed: int) -> None:
    trial = mixed(seed)

    plan = make_plan(trial.inventory, Selection(), trial.constraints)

    assert problems_of(trial.inventory, plan, trial.constraints) == []
    for outcome in compete(trial, 1.0).values():
        assert outcome.spread > 1 or outcome.bytes >= plan.bytes_to_move
        assert plan.spread_after <= max(1.0, outcome.spread)


@pytest.mark.parametrize("seed", [2, 12])
def test_no_plan_is_better_than_the_exact_optimum_of_a_small_array(seed: int) -> None:
    result = exact(small(seed))

    assert result.is_proven
    assert result.spread >= result.least_spread - 1e-3
    assert result.gap >= -1e-3


def test_the_checker_sees_a_broken_reserve_a_broken_rule_and_a_torn_group() -> None:
    inventory = array([("disk1", 100 * GB, [30 * GB, 30 * GB, 30 * GB]), ("disk2", 100 * GB, [])])
    plan = make_plan(inventory, Selection())

    def found(constraints: Constraints, selection: Selection) -> str:
        return " ".join(problems_of(inventory, plan, constraints, selection))

    assert plan.moves
    assert found(Constraints(), Selection()) == ""
    assert "the reserve is broken" in found(Constraints(), Selection(reserve="95GB"))
    assert "a rule forbids it there" in found(
        Constraints(shares=(ShareRule(share="films", include=("disk1",)),)), Selection()
    )
    assert "a rule says that it stays" in found(Constraints(pinned=("films",)), Selection())
    assert "torn apart" in found(Constraints(keep_together=(("films/*",),)), Selection())


def test_the_same_seed_gives_the_same_array() -> None:
    def figures(trial: Trial) -> tuple[object, ...]:
        return trial.inventory, trial.constraints

    assert figures(mixed(7)) == figures(mixed(7))
    assert figures(mixed(7)) != figures(mixed(8))
