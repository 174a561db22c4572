"""What a plan must respect, as data: each constraint alone, on arrays checked by hand."""

from planning_lab import GB, array, carry_out, disk, moved, reason_for, titles, unit

from rebalancer.array.disk import DiskStatus
from rebalancer.inventory.unit import Inventory, Member
from rebalancer.planning.limits import Begun, Constraints, DiskRule, Immovable, ShareRule
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection
from rebalancer.planning.words import explain


def three() -> Inventory:
    return array([("a", 100 * GB, [GB] * 60), ("b", 100 * GB, []), ("c", 100 * GB, [])])


def receivers(constraints: Constraints, inventory: Inventory | None = None) -> set[str]:
    asked = inventory or three()
    plan = make_plan(asked, Selection(), constraints)
    carry_out(asked, plan)
    return {destination for _, _, destination in moved(plan)}


def test_a_share_goes_only_to_disks_that_it_includes_and_does_not_exclude() -> None:
    assert receivers(Constraints(shares=(ShareRule(share="films", include=("a", "b")),))) == {"b"}
    assert receivers(Constraints(shares=(ShareRule(share="films", exclude=("b",)),))) == {"c"}
    assert receivers(Constraints(shares=(ShareRule(share="music", exclude=("b",)),))) == {"b", "c"}


def test_a_share_that_may_live_nowhere_else_stays_and_says_why() -> None:
    plan = make_plan(three(), Selection(), Constraints(shares=(ShareRule(share="films", include=("a",)),)))

    assert plan.moves == ()
    assert reason_for(plan, "films/a 00000") == "the rules of the share films allow no other disk that may receive"


def test_a_locked_share_and_one_without_automatic_splitting_stay() -> None:
    for rule in (ShareRule(share="films", is_locked=True), ShareRule(share="films", split_level=0)):
        plan = make_plan(three(), Selection(), Constraints(shares=(rule,)))
        assert plan.moves == ()
        assert reason_for(plan, "films/a 00000") == "the share films is locked by its settings"


def test_an_excluded_disk_takes_no_part_and_one_that_may_only_give_receives_nothing() -> None:
    assert receivers(Constraints(disks=(DiskRule(disk="b", is_excluded=True),))) == {"c"}
    assert receivers(Constraints(disks=(DiskRule(disk="b", receives=False),))) == {"c"}
    assert receivers(Constraints(disks=(DiskRule(disk="a", gives=False),))) == set()


def test_floors_and_the_largest_file_in_flight_stay_free() -> None:
    for constraints in (
        Constraints(disks=(DiskRule(disk="b", floor_bytes=95 * GB),)),
        Constraints(shares=(ShareRule(share="films", floor_bytes=95 * GB),)),
        Constraints(in_flight_bytes=95 * GB),
    ):
        last = carry_out(three(), make_plan(three(), Selection(), constraints))[-1]
        assert last["b"] <= 5 * GB


def test_what_is_pinned_stays() -> None:
    plan = make_plan(three(), Selection(), Constraints(pinned=("films/a 0000*",)))

    assert not [path for path, _, _ in moved(plan) if path.startswith("films/a 0000")]
    assert reason_for(plan, "films/a 00000") == "pinned by films/a 0000*"


def test_what_is_kept_together_moves_together() -> None:
    inventory = Inventory(
        disks=(disk("a", 100 * GB, 60 * GB), disk("b", 100 * GB, 0)),
        units=(unit("a", "films/one", 20 * GB), unit("a", "extras/one", 10 * GB), *titles("a", [30 * GB])),
    )

    plan = make_plan(inventory, Selection(), Constraints(keep_together=(("films/one", "extras/one"),)))

    assert {path for path, _, _ in moved(plan)} in ({"films/one", "extras/one"}, {"films/a 00000"})
    pinned = make_plan(
        inventory, Selection(), Constraints(keep_together=(("films/one", "extras/one"),), pinned=("extras/one",))
    )
    assert "films/one" not in {path for path, _, _ in moved(pinned)}
    assert reason_for(pinned, "films/one") == "kept together with a part of group 1 that must stay"


def test_a_folder_at_the_split_level_is_never_split() -> None:
    inventory = Inventory(
        disks=(disk("a", 100 * GB, 60 * GB), disk("b", 100 * GB, 0)),
        units=tuple(unit("a", f"tv/show {number // 10}/season {number}", 3 * GB) for number in range(20)),
    )

    plan = make_plan(inventory, Selection(), Constraints(shares=(ShareRule(share="tv", split_level=1),)))

    shows = {path.split("/")[1] for path, _, _ in moved(plan)}
    assert len(plan.moves) == 10
    assert len(shows) == 1


def test_a_folder_that_is_split_already_only_joins_its_other_parts() -> None:
    inventory = Inventory(
        disks=(disk("a", 100 * GB, 40 * GB), disk("b", 100 * GB, 20 * GB), disk("c", 100 * GB, 0)),
        units=(unit("a", "tv/show/1", 40 * GB), unit("b", "tv/show/2", GB)),
    )

    plan = make_plan(inventory, Selection(), Constraints(shares=(ShareRule(share="tv", split_level=1),)))

    assert all(destination in {"a", "b"} for _, _, destination in moved(plan))


def test_a_unit_that_was_begun_goes_where_it_was_going_or_stays() -> None:
    inventory = array([("a", 100 * GB, [40 * GB]), ("b", 100 * GB, []), ("c", 90 * GB, [])])
    begun = Constraints(begun=(Begun(path="films/a 00000", source="a", destination="c"),))

    assert {destination for _, _, destination in moved(make_plan(inventory, Selection(), begun))} <= {"c"}


def test_moves_of_one_wave_share_no_disk_unless_they_share_both() -> None:
    inventory = array(
        [("a", 100 * GB, [GB] * 60), ("b", 100 * GB, [GB] * 60), ("c", 100 * GB, []), ("d", 100 * GB, [])]
    )

    plan = make_plan(inventory, Selection())

    for wave in {move.wave for move in plan.moves}:
        pairs = {(move.source, move.destination) for move in plan.moves if move.wave == wave}
        assert len({name for pair in pairs for name in pair}) == 2 * len(pairs)


def test_the_reason_of_a_lock_is_shown() -> None:
    rule = ShareRule(share="films", is_locked=True, lock_reason="its split level is 0")

    plan = make_plan(three(), Selection(), Constraints(shares=(rule,)))

    assert reason_for(plan, "films/a 00000") == "nothing of the share films moves: its split level is 0"


def test_what_must_stay_holds_what_is_in_it_and_what_it_is_in() -> None:
    inventory = Inventory(
        disks=(disk("a", 100 * GB, 80 * GB), disk("b", 100 * GB, 0)),
        units=(
            unit("a", "films/one", 20 * GB),
            unit("a", "films/one 2", 20 * GB),
            unit("a", "tv/show/1", 20 * GB),
            unit("a", "vm/w/disk", 20 * GB, also=(Member(path="films/three"),)),
        ),
    )
    stay = (
        Immovable(path="films/one/deep/file", disk="a", reason="the image of this server"),
        Immovable(path="tv", reason="mapped into the container x"),
        Immovable(path="films/three", reason="used by the virtual machine y"),
        Immovable(path="films/one 2", disk="b", reason="not on this disk"),
    )

    plan = make_plan(inventory, Selection(), Constraints(immovable=stay))

    assert [path for path, _, _ in moved(plan)] == ["films/one 2"]
    assert reason_for(plan, "films/one") == "it holds films/one/deep/file, the image of this server"
    assert reason_for(plan, "tv/show/1") == "mapped into the container x"
    assert reason_for(plan, "vm/w/disk") == "used by the virtual machine y"
    whole = make_plan(
        inventory, Selection(), Constraints(immovable=(Immovable(path="", disk="a", reason="all of it"),))
    )
    assert whole.moves == ()
    assert reason_for(whole, "films/one 2") == "all of it"


def test_a_floor_in_percent_is_that_of_each_disk() -> None:
    inventory = array([("a", 1000 * GB, [10 * GB] * 60), ("b", 100 * GB, []), ("c", 1000 * GB, [])])
    rule = ShareRule(share="films", floor_percent=80)

    plan = make_plan(inventory, Selection(), Constraints(shares=(rule,)))

    last = carry_out(inventory, plan)[-1]
    assert 0 < last["b"] <= 20 * GB
    assert 0 < last["c"] <= 200 * GB
    assert {(move.destination, move.floor_bytes) for move in plan.moves} == {("b", 80 * GB), ("c", 800 * GB)}


def test_a_unit_that_was_scanned_too_coarsely_stays_where_its_parts_may_be_apart() -> None:
    inventory = Inventory(
        disks=(disk("a", 100 * GB, 60 * GB), disk("b", 100 * GB, GB), disk("c", 100 * GB, 0)),
        units=(unit("a", "tv/one", 30 * GB), unit("a", "tv/two", 30 * GB), unit("b", "tv/one", GB)),
    )

    plan = make_plan(inventory, Selection(), Constraints(shares=(ShareRule(share="tv", split_level=2),)))

    assert {path for path, _, _ in moved(plan)} == {"tv/two"}
    assert "scanned too coarsely for its split level" in reason_for(plan, "tv/one", "a")


def test_hard_links_between_two_folders_bind_both() -> None:
    linked = unit("a", "tv/one/1/x", 30 * GB, also=(Member(path="tv/two/1/x"),))
    inventory = Inventory(
        disks=(disk("a", 100 * GB, 60 * GB), disk("b", 100 * GB, GB), disk("c", 100 * GB, 0)),
        units=(linked, unit("a", "tv/two/1/y", 30 * GB), unit("b", "tv/two/1/z", GB)),
    )

    plan = make_plan(inventory, Selection(), Constraints(shares=(ShareRule(share="tv", split_level=2),)))

    assert {destination for _, _, destination in moved(plan)} <= {"a", "b"}
    assert not {("tv/two/1/y", "a", "c"), ("tv/one/1/x", "a", "c")} & set(moved(plan))


def test_a_disk_that_takes_no_part_is_named_with_the_reason() -> None:
    inventory = array([("a", 100 * GB, [GB]), ("b", 100 * GB, [])])
    away = disk("c", 0, 0, status=DiskStatus.EXCLUDED, reason="Unraid's settings exclude c")

    plan = make_plan(Inventory(disks=(*inventory.disks, away), units=inventory.units), Selection())

    assert reason_for(plan, "", "c") == "takes no part: Unraid's settings exclude c"
    assert "c takes no part: Unraid's settings exclude c." in explain(plan)


def test_a_plan_that_a_floor_forbids_says_so_and_does_not_blame_the_units() -> None:
    inventory = array([("a", 100 * GB, [GB] * 90), ("b", 100 * GB, [GB] * 10)])
    constraints = Constraints(shares=(ShareRule(share="films", floor_bytes=95 * GB),))

    plan = make_plan(inventory, Selection(), constraints)

    assert plan.moves == ()
    assert plan.coarseness.endswith("no unit of the fullest disk may go anywhere that has room for it")
    assert {left.reason for left in plan.left_behind} == {"no disk would keep the 95.0 GB free that its share wants"}
