"""The search can be stopped at any time: what is there by then is a plan."""

from itertools import count

from planning_lab import GB, array, carry_out, seeded

from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection


def test_a_search_that_is_stopped_early_still_gives_a_plan_that_fits_and_helps() -> None:
    rng = seeded(4)
    uneven = array(
        [(f"disk{number}", 100 * GB, [rng.randint(GB, 9 * GB) for _ in range(2 + 2 * number)]) for number in range(8)]
    )

    for allowed in (0, 1, 5, 50):
        asked = count()
        plan = make_plan(uneven, Selection(), patience=lambda asked=asked, allowed=allowed: next(asked) >= allowed)  # type: ignore[misc]
        carry_out(uneven, plan)
        assert plan.spread_after < plan.spread_before
