"""What the settings and unfinished operations ask of a plan."""

from rebalancer.array.disk import Disk
from rebalancer.executions.constraining import constraints_of
from rebalancer.inventory.unit import Member
from rebalancer.planning.limits import Begun, Constraints, DiskRule, ShareRule
from rebalancer.planning.plan import Move
from rebalancer.settings import LimitSettings, Settings, ShareSettings
from rebalancer.transfer.operation import Operation

NOW = (
    Disk(name="disk1", path="/mnt/a", size_bytes=10, used_bytes=5),
    Disk(name="disk2", path="/mnt/b", size_bytes=10, used_bytes=5),
)


def test_without_settings_and_operations_there_is_no_constraint() -> None:
    assert constraints_of(Settings(), NOW, []) == Constraints()


def test_the_rules_of_the_settings_reach_the_planner() -> None:
    settings = Settings(
        shares={
            "films": ShareSettings(include=("disk1",), split_depth=2, floor="1GB"),
            "vms": ShareSettings(locked=True),
        },
        limits={"disk2": LimitSettings(gives=False, floor="2GB")},
        pinned=("appdata",),
        keep_together=(("a", "b"),),
    )

    assert constraints_of(settings, NOW, []) == Constraints(
        shares=(
            ShareRule(share="films", include=("disk1",), split_level=2, floor_bytes=10**9),
            ShareRule(share="vms", is_locked=True),
        ),
        disks=(DiskRule(disk="disk2", gives=False, floor_bytes=2 * 10**9),),
        pinned=("appdata",),
        keep_together=(("a", "b"),),
    )


def test_units_of_an_unfinished_operation_are_begun_under_the_names_their_disks_have_now() -> None:
    then = (
        Disk(name="old1", path="/mnt/a", size_bytes=10, used_bytes=5),
        Disk(name="old2", path="/mnt/b", size_bytes=10, used_bytes=5),
    )
    move = Move(
        share="tv", path="tv/x", size_bytes=1, files=1, source="old1", destination="old2", also=(Member(path="tv/y"),)
    )
    operation = Operation(operation_id="1", disks=then, moves=(move,), reserves={})

    assert constraints_of(Settings(), NOW, [operation]).begun == (
        Begun(path="tv/x", source="disk1", destination="disk2"),
        Begun(path="tv/y", source="disk1", destination="disk2"),
    )
