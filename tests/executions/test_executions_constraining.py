"""What the settings and unfinished operations ask of a plan."""

from rebalancer.array.disk import Disk
from rebalancer.array.unraid.immovable import Immovable as Named
from rebalancer.array.unraid.server import Server
from rebalancer.array.unraid.shares import Share, Shares
from rebalancer.executions.constraining import constraints_of, unit_depths
from rebalancer.inventory.unit import Inventory, Member, Unit
from rebalancer.planning.limits import Begun, Constraints, DiskRule, Immovable, ShareRule
from rebalancer.planning.plan import Move
from rebalancer.quantities import Reserve
from rebalancer.settings import LimitSettings, Settings, ShareSettings
from rebalancer.transfer.operation import Operation

DISKS = (
    Disk(name="disk1", path="/mnt/a", size_bytes=10, used_bytes=5),
    Disk(name="disk2", path="/mnt/b", size_bytes=10, used_bytes=5),
)
NOW = Inventory(disks=DISKS, units=())


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


ARRAY = Inventory(
    disks=tuple(
        Disk(name=f"disk{number}", path=f"/mnt/disk{number}", size_bytes=10, used_bytes=5) for number in (1, 2, 3)
    ),
    units=tuple(
        Unit(disk=disk, share=share, path=f"{share}/x", size_bytes=1, files=1)
        for disk, share in (("disk1", "Media"), ("disk1", "Backups"), ("disk3", "Backups"), ("disk2", "Other"))
    ),
)


def tower(*shares: Share, immovable: tuple[Named, ...] = ()) -> Server:
    disks = {f"disk{number}": f"/mnt/disk{number}" for number in range(1, 29)}
    return Server(Shares({share.name: share for share in shares}), immovable, disks)


def rule_of(share: str, settings: Settings, server: Server, inventory: Inventory = ARRAY) -> ShareRule:
    rules = constraints_of(settings, inventory, [], server).shares
    return next((rule for rule in rules if rule.share == share), ShareRule(share=share))


def test_the_servers_rules_reach_the_planner() -> None:
    media = Share("Media", ("disk1", "disk2"), ("disk2",), split_level=2, floor=Reserve(size=7))

    assert constraints_of(Settings(), ARRAY, [], tower(media, Share("Any"))).shares == (
        ShareRule(share="Media", include=("disk1", "disk2"), exclude=("disk2",), split_level=2, floor_bytes=7),
    )


def test_the_owners_settings_narrow_what_the_server_allows() -> None:
    server = tower(Share("Media", ("disk1", "disk2"), split_level=2, floor=Reserve(percent=5)))
    own = ShareSettings(include=("disk2", "disk3"), exclude=("disk1",), split_depth=1, floor="9B")

    assert rule_of("Media", Settings(shares={"Media": own}), server) == ShareRule(
        share="Media", include=("disk2",), exclude=("disk1",), split_level=1, floor_bytes=9, floor_percent=5.0
    )
    wider = Settings(shares={"Media": ShareSettings(include=("disk1", "disk2", "disk3"), split_depth=4)})
    assert rule_of("Media", wider, server).include == ("disk1", "disk2")
    assert rule_of("Media", wider, server).split_level == 2


def test_settings_that_have_no_disk_in_common_lock_the_share() -> None:
    own = Settings(shares={"Media": ShareSettings(include=("disk3",))})

    rule = rule_of("Media", own, tower(Share("Media", ("disk1",))))

    assert rule.is_locked
    assert "no disk for it in common" in rule.lock_reason


def test_only_an_explicit_word_unlocks_what_the_server_locks() -> None:
    server = tower(Share("Backups", split_level=0, lock="by hand"))

    assert rule_of("Backups", Settings(), server).lock_reason == "by hand"
    deeper = Settings(shares={"Backups": ShareSettings(split_depth=3)})
    assert rule_of("Backups", deeper, server).is_locked
    freed = Settings(shares={"Backups": ShareSettings(locked=False)})
    assert rule_of("Backups", freed, server) == ShareRule(share="Backups", include=("disk1", "disk3"), split_level=1)
    placed = Settings(shares={"Backups": ShareSettings(locked=False, split_depth=2, include=("disk2", "disk1"))})
    assert rule_of("Backups", placed, server) == ShareRule(share="Backups", include=("disk2", "disk1"), split_level=2)
    nowhere = tower(Share("Backups", ("disk2",), split_level=0, lock="by hand"))
    assert rule_of("Backups", freed, nowhere).is_locked


def test_the_shares_of_the_servers_own_services_are_locked_until_the_owner_says_otherwise() -> None:
    server = tower(immovable=(Named("appdata", "", "containers", "/mnt/user/appdata/"), Named("system", "", "s", "/x")))
    freed = Settings(shares={"appdata": ShareSettings(locked=False)})
    arrays = Inventory(
        disks=ARRAY.disks, units=(Unit(disk="disk1", share="appdata", path="appdata/x", size_bytes=1, files=1),)
    )

    assert "containers of this server" in rule_of("appdata", Settings(), server, arrays).lock_reason
    assert not rule_of("appdata", freed, server, arrays).is_locked
    assert [one.path for one in constraints_of(freed, arrays, [], server).immovable] == ["system"]


def test_what_must_stay_is_named_as_the_disks_are_here_and_lifted_by_its_path() -> None:
    named = (
        Named("Media/a", "disk1", "mapped into the container x", "/mnt/disk1/Media/a/"),
        Named("Media/b", "disk9", "mapped into the container x", "/mnt/disk9/Media/b"),
    )
    renamed = Inventory(disks=(Disk(name="first", path="/mnt/disk1", size_bytes=10, used_bytes=5),), units=())
    server = tower(Share("Media", ("disk1", "disk2")), immovable=named)

    found = constraints_of(Settings(), renamed, [], server)

    assert found.immovable == (
        Immovable(path="Media/a", disk="first", reason="mapped into the container x (/mnt/disk1/Media/a/)"),
    )
    assert found.shares[0].include == ("first", "/mnt/disk2")
    assert constraints_of(Settings(movable=("/mnt/disk1/Media/*",)), renamed, [], server).immovable == ()


def test_a_servers_rules_are_not_for_arrays_of_other_disks() -> None:
    server = tower(Share("Media", lock="x", split_level=0), immovable=(Named("Media", "", "x", "/mnt/user/Media"),))

    assert constraints_of(Settings(), NOW, [], server) == Constraints()


def test_units_are_as_deep_as_the_split_level_says() -> None:
    server = tower(Share("Media", split_level=2), Share("Any"), Share("Backups", split_level=0, lock="by hand"))
    own = Settings(
        shares={
            "Media": ShareSettings(split_depth=3),
            "films": ShareSettings(split_depth=1),
            "Backups": ShareSettings(locked=False),
        }
    )

    assert unit_depths(Settings(), server) == {"Media": 2}
    assert unit_depths(own, server) == {"Media": 2, "films": 1, "Backups": 1}
    assert unit_depths(own, None) == {"Media": 3, "films": 1}
