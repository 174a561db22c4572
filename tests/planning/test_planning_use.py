"""Units that somebody writes to are spared as long as the goal can be reached without them."""

from planning_lab import GB, disk, unit

from rebalancer.inventory.unit import Inventory, Unit
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection

USE = "open for writing by smbd, pid 7: films/a"


def _plan_for(*units: Unit) -> tuple[list[str], list[str]]:
    used = sum(one.size_bytes for one in units)
    disks = (disk("disk1", 100 * GB, used), disk("disk2", 100 * GB, 0))
    plan = make_plan(Inventory(disks=disks, units=units), Selection())
    return [move.path for move in plan.moves], [left.reason for left in plan.left_behind]


def test_a_unit_in_use_stays_when_others_reach_the_goal() -> None:
    moved, reasons = _plan_for(
        unit("disk1", "films/a", 10 * GB, in_use=USE), *(unit("disk1", f"films/b{n}", 10 * GB) for n in range(3))
    )

    assert "films/a" not in moved
    assert len(moved) == 2
    assert USE in reasons


def test_a_unit_in_use_moves_when_the_goal_cannot_be_reached_without_it() -> None:
    moved, _ = _plan_for(
        unit("disk1", "films/a", 10 * GB, in_use=USE), unit("disk1", "films/b", 10 * GB, left_alone="fixed")
    )

    assert moved == ["films/a"]
