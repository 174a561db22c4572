"""How much a disk may take."""

from planning_lab import GB, TB, array, carry_out, disk, unit

from rebalancer.array.disk import Disk
from rebalancer.inventory.unit import Inventory
from rebalancer.planning.capacity import DEFAULT_RESERVE_CEILING, cost_of, free_of, reserve_of
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection


def test_the_default_reserve_is_two_percent_of_a_small_disk_and_never_more_than_the_ceiling() -> None:
    assert reserve_of(disk("disk1", 100 * GB, 0), Selection()) == 2 * GB
    assert reserve_of(disk("disk1", 20 * TB, 0), Selection()) == DEFAULT_RESERVE_CEILING


def test_the_larger_of_the_disks_own_reserve_and_the_asked_one_counts() -> None:
    own = disk("disk1", 100 * GB, 0, reserve_bytes=7 * GB)

    assert reserve_of(own, Selection(reserve="5GB")) == 7 * GB
    assert reserve_of(own, Selection(reserve="10%")) == 10 * GB
    assert reserve_of(disk("disk1", 100 * GB, 0), Selection(reserve="0")) == 0


def test_free_space_may_be_less_than_what_is_unused() -> None:
    assert free_of(disk("disk1", 100, 40, free_bytes=50)) == 50
    assert free_of(disk("disk1", 100, 40, free_bytes=0)) == 0
    assert free_of(disk("disk1", 100, 140)) == 0


def test_a_disk_written_by_hand_may_leave_its_free_space_out() -> None:
    assert free_of(Disk(name="disk1", path="/mnt/disk1", size_bytes=100, used_bytes=40)) == 60


def test_many_files_cost_more_than_their_bytes() -> None:
    assert cost_of(unit("disk1", "a/b", 1_000_000, files=8)) == 1_000_000 + 1000 + 4096


def test_the_destination_keeps_its_reserve_even_when_the_disks_stay_uneven() -> None:
    full = array([("disk1", 100 * GB, [GB] * 90), ("disk2", 100 * GB, [GB] * 10)])

    plan = make_plan(full, Selection(reserve="70GB"))

    carry_out(full, plan)
    assert 18 <= len(plan.moves) <= 20
    assert plan.spread_after > 1


def test_a_disk_whose_free_space_is_below_its_reserve_receives_nothing() -> None:
    tight = Inventory(
        disks=(disk("disk1", 100 * GB, 80 * GB), disk("disk2", 100 * GB, 20 * GB, free_bytes=GB)),
        units=tuple(unit("disk1", f"films/{number}", GB) for number in range(80)),
    )

    assert make_plan(tight, Selection()).moves == ()
