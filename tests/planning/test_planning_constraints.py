"""Which units must stay, and the words for it."""

import pytest
from planning_lab import GB, array, disk, file, moved, reason_for, titles, unit

from rebalancer.array.disk import DiskStatus
from rebalancer.errors import RefusedError, UsageError
from rebalancer.inventory.unit import Inventory, LeftAlone, Member, Unit, UnitKind
from rebalancer.names import encode
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection

OTHERS = titles("disk1", [GB] * 60)


def uneven(*units: Unit, scanned_at: float = 0.0) -> Inventory:
    """Return a full and an empty disk, with one-gigabyte titles beside the units under test."""
    return Inventory(
        disks=(disk("disk1", 100 * GB, 80 * GB), disk("disk2", 100 * GB, 0)),
        units=(*units, *OTHERS),
        scanned_at=scanned_at,
    )


def test_what_the_scan_left_alone_stays_with_its_reason() -> None:
    plan = make_plan(uneven(unit("disk1", "films/odd", 5 * GB, left_alone="it holds a socket")), Selection())

    assert reason_for(plan, "films/odd") == "it holds a socket"
    assert "films/odd" not in [path for path, _, _ in moved(plan)]


def test_what_belongs_to_no_unit_is_named_as_well() -> None:
    inventory = Inventory(
        disks=uneven().disks, units=OTHERS, left_alone=(LeftAlone(disk="disk1", path="lost", reason="not readable"),)
    )

    assert reason_for(make_plan(inventory, Selection()), "lost") == "not readable"


def test_only_selected_shares_move() -> None:
    plan = make_plan(uneven(unit("disk1", "music/one", 5 * GB)), Selection(shares=("music",)))

    assert moved(plan) == [("music/one", "disk1", "disk2")]
    assert reason_for(plan, OTHERS[0].path) == "the share films was not selected"


def test_an_excluded_share_stays() -> None:
    plan = make_plan(uneven(unit("disk1", "music/one", 5 * GB)), Selection(exclude_shares=("films",)))

    assert [path for path, _, _ in moved(plan)] == ["music/one"]
    assert reason_for(plan, OTHERS[0].path) == "the share films is excluded"


@pytest.mark.parametrize("selection", [Selection(shares=("musik",)), Selection(exclude_shares=("musik",))])
def test_a_share_that_no_disk_has_is_refused_with_the_shares_there_are(selection: Selection) -> None:
    with pytest.raises(UsageError, match="no disk has a share musik; the shares are: films, music"):
        make_plan(uneven(unit("disk1", "music/one", GB)), selection)


@pytest.mark.parametrize(
    ("glob", "path", "stays"),
    [
        ("music/one", "music/one", True),
        ("one", "music/one", True),
        ("o*", "music/one", True),
        ("music", "music/one", True),
        ("music/", "music/one", True),
        ("b/*", "music/b/one", True),
        ("b", "music/b/one", True),
        ("ONE", "music/one", False),
        ("on", "music/one", False),
        ("usic/one", "music/one", False),
        ("[n-p]ne", "music/one", True),
        ("?", "music/é", True),
    ],
)
def test_a_glob_matches_the_path_and_every_run_of_names_in_it(glob: str, path: str, stays: bool) -> None:
    plan = make_plan(uneven(unit("disk1", path, 5 * GB)), Selection(exclude=(glob,)))

    assert (reason_for(plan, path) == f"excluded by {glob}") is stays
    assert (path in [path for path, _, _ in moved(plan)]) is not stays


def test_a_glob_matches_names_that_are_not_utf8() -> None:
    text, exact = encode(b"music/\xff\xfe.mkv")

    plan = make_plan(uneven(unit("disk1", text, 5 * GB, path_base64=exact)), Selection(exclude=("??.mkv",)))

    assert reason_for(plan, text) == "excluded by ??.mkv"


def test_a_glob_over_one_member_of_a_link_group_keeps_the_whole_group() -> None:
    group = unit("disk1", "music/one", 5 * GB, kind=UnitKind.LINKS, also=(Member(path="films/keep"),))

    assert reason_for(make_plan(uneven(group), Selection(exclude=("keep",))), "music/one") == "excluded by keep"


def test_units_outside_the_asked_sizes_stay() -> None:
    plan = make_plan(
        uneven(unit("disk1", "music/big", 9 * GB), unit("disk1", "music/small", GB // 2)),
        Selection(min_unit_size=GB, max_unit_size=5 * GB),
    )

    assert reason_for(plan, "music/big") == "larger than the largest unit size of 5.00 GB"
    assert reason_for(plan, "music/small") == "smaller than the least unit size of 1.00 GB"


def test_a_unit_that_changed_lately_stays() -> None:
    young = unit("disk1", "music/young", 5 * GB, newest_mtime=1_000_000 - 120)

    plan = make_plan(uneven(young, scanned_at=1_000_000), Selection(min_age=3600))

    assert reason_for(plan, "music/young") == "changed 2 min 00 s before the scan, which is less than 1 h 00 min"
    assert plan.moves


def test_the_same_loose_file_on_two_disks_stays_on_both() -> None:
    inventory = uneven(file("disk1", "music/a.flac", 5 * GB), file("disk2", "music/a.flac", GB))

    plan = make_plan(inventory, Selection())

    assert reason_for(plan, "music/a.flac", "disk1") == "the same file is also on disk2"
    assert reason_for(plan, "music/a.flac", "disk2") == "the same file is also on disk1"
    assert "music/a.flac" not in [path for path, _, _ in moved(plan)]


def test_no_part_of_a_split_folder_leaves_the_disk_where_another_part_arrives() -> None:
    shows = Inventory(
        disks=(disk("a", 43 * GB, 20 * GB), disk("b", 247 * GB, 18 * GB)),
        units=(unit("a", "tv/show", 20 * GB), unit("b", "tv/show", GB // 10)),
    )

    plan = make_plan(shows, Selection())

    assert moved(plan) == [("tv/show", "a", "b")]


def test_a_split_folder_may_move_and_goes_where_a_part_of_it_is() -> None:
    inventory = Inventory(
        disks=(disk("disk1", 100 * GB, 90 * GB), disk("disk2", 100 * GB, 30 * GB), disk("disk3", 100 * GB, 20 * GB)),
        units=(
            *titles("disk1", [GB] * 75),
            unit("disk1", "shows/one", 15 * GB),
            unit("disk2", "shows/one", GB),
        ),
    )

    assert ("shows/one", "disk1", "disk2") in moved(make_plan(inventory, Selection()))


def test_a_unit_larger_than_any_other_disk_could_hold_is_named() -> None:
    plan = make_plan(uneven(unit("disk1", "music/huge", 150 * GB)), Selection())

    assert reason_for(plan, "music/huge").startswith(
        "no other disk could hold it even if it gave away all it may: 150 GB"
    )


def test_a_disk_that_may_not_give_or_receive_is_respected() -> None:
    inventory = array(
        [("a", 100 * GB, [GB] * 80), ("b", 100 * GB, [GB] * 60), ("c", 100 * GB, []), ("d", 100 * GB, [])]
    )

    plan = make_plan(inventory, Selection(from_disks=("a",), to_disks=("/mnt/c/",)))

    assert {(source, destination) for _, source, destination in moved(plan)} == {("a", "c")}
    assert plan.spread_before == 80


def test_a_mergerfs_branch_that_takes_nothing_new_receives_nothing() -> None:
    inventory = Inventory(
        disks=(disk("a", 100 * GB, 60 * GB), disk("b", 100 * GB, 0, receives=False), disk("c", 100 * GB, 10 * GB)),
        units=titles("a", [GB] * 60),
    )

    plan = make_plan(inventory, Selection())

    assert {destination for _, _, destination in moved(plan)} == {"c"}


def test_an_unknown_disk_is_refused_with_the_disks_there_are() -> None:
    with pytest.raises(UsageError, match="no disk is called disk9; the disks are: disk1, disk2"):
        make_plan(uneven(), Selection(from_disks=("disk9",)))


def test_naming_a_disk_that_cannot_be_used_is_refused_with_its_reason() -> None:
    broken = disk("disk3", GB, 0, status=DiskStatus.READ_ONLY, reason="it is mounted read-only")

    with pytest.raises(RefusedError, match="the disk disk3 cannot take part: it is mounted read-only"):
        make_plan(Inventory(disks=(*uneven().disks, broken), units=()), Selection(to_disks=("disk3",)))


@pytest.mark.parametrize(
    "wrong",
    [
        uneven(unit("disk7", "films/x", GB)),
        uneven(unit("disk1", "films/x", -1)),
        uneven(unit("disk1", "films/x", 1, files=-1)),
        uneven(unit("disk1", "films/../../x", 30 * GB)),
        Inventory(disks=(disk("disk1", GB, 0), disk("disk1", GB, 0)), units=()),
        Inventory(disks=(disk("disk1", GB, -5),), units=()),
    ],
)
def test_an_inventory_that_contradicts_itself_is_refused(wrong: Inventory) -> None:
    with pytest.raises(UsageError):
        make_plan(wrong, Selection())


def test_a_hundred_thousand_units_that_stay_give_a_bounded_number_of_rows() -> None:
    inventory = Inventory(
        disks=uneven().disks, units=(*titles("disk1", range(1, 100_001)), unit("disk1", "music/a", 1))
    )

    plan = make_plan(inventory, Selection(shares=("music",)))

    rows = [left for left in plan.left_behind if left.reason.endswith("not selected")]
    assert [left.size_bytes for left in rows] == list(range(100_000, 99_000, -1))
    assert "99,000 more stay for reasons like those above" in [left.reason for left in plan.left_behind]
