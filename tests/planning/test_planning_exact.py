"""The best plan for a few units, beside every end and every order there is."""

from collections.abc import Iterator, Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_lab import GB, array

from planner.arrays import small
from planner.checker import problems_of
from rebalancer.inventory.unit import Inventory
from rebalancer.planning.board import Board
from rebalancer.planning.layout import Layout
from rebalancer.planning.left_behind import Remainder
from rebalancer.planning.limits import Constraints, ShareRule
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection
from rebalancer.planning.sifting import sift
from rebalancer.planning.situation import Situation, Step, spread_of
from rebalancer.planning.strategies.exact import Enumeration, Outcome, enumerate_ends
from rebalancer.planning.strategies.sequence import Sequencer

CALM = settings(max_examples=60, deadline=None)
SIZES = st.lists(st.integers(1, 30), max_size=3)
RULES = st.sampled_from([(), (ShareRule(share="films", exclude=("disk2",)),)])


def situation_of(inventory: Inventory, rules: Sequence[ShareRule] = (), tolerance: float = 1.0) -> Situation:
    selection = Selection(reserve="1GB", tolerance=tolerance)
    return sift(inventory, selection, Remainder(), Constraints(shares=tuple(rules)), spares_use=True)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Return up to five units on three disks that are nearly full as a rule."""
    held = [draw(SIZES) for _ in range(3)]
    while sum(map(len, held)) > 5:
        max(held, key=len).pop()
    disks = [
        (f"disk{place}", (sum(sizes) + 2 + draw(st.integers(0, 40))) * GB, [size * GB for size in sizes])
        for place, sizes in enumerate(held, start=1)
    ]
    return situation_of(array(disks), draw(RULES), draw(st.sampled_from([0.0, 1.0, 10.0])))


def outcome_of(situation: Situation, used: Sequence[int], moved: int) -> Outcome:
    return Outcome(max(0.0, spread_of(situation.disks, used) - situation.selection.tolerance), moved)


def best_by_taking_steps(situation: Situation, *, keeps_spread: bool = True) -> Outcome:
    """Take every step in every order and return the best moment at which a plan may end."""
    start = spread_of(situation.disks, situation.used()) + 1e-9
    board, best = Board(situation), outcome_of(situation, situation.used(), 0)
    seen = set[tuple[frozenset[Step], bool]]()

    def walk(moved: int, *, is_worse: bool) -> None:
        nonlocal best
        taken = frozenset(board.steps), is_worse
        if taken in seen:
            return
        seen.add(taken)
        if not is_worse:
            best = min(best, outcome_of(situation, board.used, moved))
        for step in steps_of(situation):
            if any(step[:2] == other[:2] for other in board.steps) or not board.allows(step):
                continue
            board.take(step)
            worse = keeps_spread and spread_of(situation.disks, board.used) > start
            if not (worse and is_worse):
                walk(moved + situation.stocks[step.source].sizes[step.unit], is_worse=worse)
            board.undo()

    walk(0, is_worse=False)
    return best


def steps_of(situation: Situation) -> Iterator[Step]:
    for source, stock in enumerate(situation.stocks):
        for step in product([source], range(len(stock.units)), range(len(situation.disks))):
            if step[2] != source:
                yield Step(*step)


@CALM
@given(situations(), st.booleans())
def test_the_best_end_is_the_best_of_all_that_steps_in_any_order_lead_to(
    situation: Situation, keeps_spread: bool
) -> None:
    known = outcome_of(situation, situation.used(), 0)
    enumeration = Enumeration(situation, known, keeps_spread=keeps_spread)

    enumeration.run()

    best = best_by_taking_steps(situation, keeps_spread=keeps_spread)
    assert enumeration.is_complete
    if enumeration.steps is None:
        assert best.missed >= known.missed - 1e-6
        return
    board = Board(situation)
    for step in enumeration.steps:
        assert board.allows(step)
        board.take(step)
    reached = outcome_of(situation, board.used, Layout(situation, enumeration.steps).moved)
    assert abs(reached.missed - best.missed) < 1e-6
    assert reached.moved == best.moved


def test_nothing_is_returned_when_the_best_end_is_known() -> None:
    situation = situation_of(array([("disk1", 100 * GB, [20 * GB, 20 * GB]), ("disk2", 100 * GB, [])]))

    assert enumerate_ends(situation, Outcome(0.0, 20 * GB)) is None
    assert enumerate_ends(situation, Outcome(0.0, 20 * GB + 1)) is not None


def test_an_end_that_no_order_leads_to_is_passed_over() -> None:
    """To exchange 38 for 20 would be the best end, but neither disk has room for what the other gives."""
    full = array([("disk1", 100 * GB, [60 * GB, 38 * GB]), ("disk2", 100 * GB, [50 * GB, 20 * GB])])
    situation = situation_of(full)
    known = outcome_of(situation, situation.used(), 0)
    swap = [Step(0, 0, 1), Step(1, 0, 0)]

    assert outcome_of(situation, Layout(situation, swap).used, 0) < known
    assert Sequencer(situation, swap, keeps_spread=False).find() is None
    assert enumerate_ends(situation, known) is None


def test_three_units_that_only_rotate_would_leave_the_disks_less_even_for_two_steps() -> None:
    ring = array([("disk1", 100 * GB, [40 * GB]), ("disk2", 100 * GB, [38 * GB]), ("disk3", 100 * GB, [36 * GB])])
    situation = situation_of(ring)
    rotation = [Step(0, 0, 1), Step(1, 0, 2), Step(2, 0, 0)]

    assert Sequencer(situation, rotation[:1]).find() is None
    assert Sequencer(situation, rotation).find() is None
    assert Sequencer(situation, rotation, keeps_spread=False).find() is not None
    assert Sequencer(situation, [Step(0, 0, 1), Step(1, 0, 0)]).find() is not None


def test_an_order_is_found_that_is_none_of_largest_or_smallest_first() -> None:
    """The smallest makes the room for one of the middle ones; only when both are gone does the largest arrive."""
    chain = array(
        [
            ("disk1", 100 * GB, [50 * GB]),
            ("disk2", 100 * GB, [30 * GB, 40 * GB]),
            ("disk3", 41 * GB, [10 * GB]),
            ("disk4", 100 * GB, []),
        ]
    )
    situation = situation_of(chain)
    steps = [Step(0, 0, 1), Step(1, 0, 2), Step(1, 1, 3), Step(2, 0, 3)]

    order = Sequencer(situation, steps, keeps_spread=False).find()

    assert order is not None
    assert sorted(order) == sorted(steps)
    assert order.index(Step(2, 0, 3)) < order.index(Step(1, 0, 2))
    assert order.index(Step(1, 1, 3)) < order.index(Step(0, 0, 1))


def test_sixteen_equal_units_are_not_sixteen_different_ones() -> None:
    situation = situation_of(
        array([("disk1", 1000 * GB, [50 * GB] * 16), *[(f"disk{n}", 1000 * GB, []) for n in (2, 3, 4)]])
    )

    enumeration = Enumeration(situation, outcome_of(situation, situation.used(), 0))
    enumeration.run()

    assert enumeration.is_complete
    assert len(enumeration.steps or ()) == 12


def test_a_plan_for_few_units_reaches_the_best_end_there_is() -> None:
    inventory = small(9).inventory
    plan = make_plan(inventory, Selection())

    assert problems_of(inventory, plan) == []
    assert plan.spread_after == pytest.approx(1.6258, abs=1e-3)
