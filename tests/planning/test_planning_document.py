"""A plan that came from a file is judged before anybody carries it out."""

import pytest
from msgspec.structs import replace
from planning_lab import GB, array

from rebalancer.errors import UsageError
from rebalancer.inventory.unit import Member
from rebalancer.planning.document import check_plan
from rebalancer.planning.plan import Plan
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection


@pytest.fixture
def plan() -> Plan:
    return make_plan(array([("a", 100 * GB, [GB] * 60), ("b", 100 * GB, [])]), Selection())


def test_a_plan_of_our_own_passes(plan: Plan) -> None:
    check_plan(plan)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"destination": "z"}, "does not list the disk z"),
        ({"source": "z"}, "does not list the disk z"),
        ({"destination": "a"}, "its source and its destination are both a"),
        ({"path": "../etc"}, "does not stay inside the disk"),
        ({"path": "/etc"}, "does not stay inside the disk"),
        ({"path": ""}, "does not stay inside the disk"),
        ({"path_base64": "Li4vZXRj"}, "does not stay inside the disk"),
        ({"path_base64": "?"}, "cannot be read"),
        ({"also": (Member(path="a/../../b"),)}, "does not stay inside the disk"),
        ({"size_bytes": -1}, "cannot be negative"),
        ({"files": -1}, "cannot be negative"),
    ],
)
def test_a_move_that_nobody_may_make_is_named(plan: Plan, change: dict[str, object], words: str) -> None:
    wrong = replace(plan, moves=(plan.moves[0], replace(plan.moves[1], **change)))

    with pytest.raises(UsageError, match=rf"move 2 of the plan.*{words}"):
        check_plan(wrong)


def test_a_unit_that_would_leave_its_disk_twice_is_named(plan: Plan) -> None:
    with pytest.raises(UsageError, match="leaves a twice"):
        check_plan(replace(plan, moves=(plan.moves[0], plan.moves[0])))


def test_disks_of_one_name_and_of_negative_size_are_refused(plan: Plan) -> None:
    with pytest.raises(UsageError, match="lists the disk a twice"):
        check_plan(replace(plan, disks=(plan.disks[0], plan.disks[0])))
    with pytest.raises(UsageError, match="negative size"):
        check_plan(replace(plan, disks=(replace(plan.disks[0], size_bytes=-1), plan.disks[1])))
