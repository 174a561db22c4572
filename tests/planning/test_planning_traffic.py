"""Which moves are given out together, and which wait for each other."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.array.medium import Medium
from rebalancer.inventory.unit import Member, UnitKind
from rebalancer.planning.plan import Move
from rebalancer.planning.traffic import Traffic, moves_at_once

SPINNING = {name: Medium((f"sd{name}",)) for name in "abcdef"}
SOLID = {name: Medium((f"nvme{name}",), is_rotational=False) for name in "abcdef"}


def move(way: str, path: str = "s/u", *, kind: UnitKind = UnitKind.FOLDER, also: tuple[Member, ...] = ()) -> Move:
    return Move(share="s", path=path, size_bytes=1, files=1, source=way[0], destination=way[1], kind=kind, also=also)


def begun(traffic: Traffic) -> list[int]:
    """Return what is given out until nothing more is."""
    return list(iter(traffic.begin, None))


def test_disjoint_disks_work_together_and_what_shares_one_waits() -> None:
    traffic = Traffic([move("ab"), move("bc"), move("cd"), move("ef")], media=SPINNING, limit=9)

    assert begun(traffic) == [0, 3]  # the third would overtake the second on c
    traffic.end(0)
    assert begun(traffic) == [1]
    traffic.end(1)
    assert begun(traffic) == [2]


def test_no_more_than_the_limit_is_under_way() -> None:
    traffic = Traffic([move("ab"), move("cd"), move("ef")], media=SPINNING, limit=2)

    assert begun(traffic) == [0, 1]
    traffic.end(1)
    assert begun(traffic) == [2]


def test_two_moves_between_the_same_disks_go_together_only_where_neither_rotates() -> None:
    moves = [move("ab", "s/u"), move("ab", "s/v"), move("ba", "s/w")]

    assert begun(Traffic(moves, media=SOLID, limit=9)) == [0, 1]
    assert begun(Traffic(moves, media=SPINNING, limit=9)) == [0]
    assert begun(Traffic(moves, media=SOLID | {"b": SPINNING["b"]}, limit=9)) == [0]
    assert begun(Traffic(moves, media=SOLID, limited=frozenset("a"), limit=9)) == [0]


@pytest.mark.parametrize(
    "second",
    [
        move("ab", "s/v", kind=UnitKind.FILE),
        move("ab", "s/v", kind=UnitKind.LINKS, also=(Member(path="s/w"),)),
        move("ab", "s/u/below"),
    ],
    ids=["loose file", "tied by links", "nested"],
)
def test_moves_that_change_the_same_folder_wait_for_each_other(second: Move) -> None:
    assert begun(Traffic([move("ab", "s/u"), second], media=SOLID, limit=9)) == [0]
    assert begun(Traffic([second, move("ab", "s/u")], media=SOLID, limit=9)) == [0]


def test_two_disks_on_one_device_with_heads_are_not_used_at_once_and_without_heads_are() -> None:
    moves = [move("ab"), move("cd")]
    shared = Medium(("sda",))

    assert begun(Traffic(moves, media=SPINNING | {"b": shared, "d": shared}, limit=9)) == [0]
    assert begun(Traffic(moves, media=SOLID | {"b": Medium(("nvme0",), is_rotational=False)}, limit=9)) == [0, 1]


def test_media_that_cannot_be_told_may_be_the_same() -> None:
    assert begun(Traffic([move("ab"), move("cd")], media={}, limit=9)) == [0]
    assert begun(Traffic([move("ab"), move("cd")], media={"a": SOLID["a"], "b": SOLID["b"]}, limit=9)) == [0, 1]


def test_whether_any_two_may_go_together_is_told_beforehand() -> None:
    assert not Traffic([], media=SOLID, limit=9).is_ever_shared
    assert not Traffic([move("ab"), move("bc"), move("ab", "s/v")], media=SPINNING, limit=9).is_ever_shared
    assert not Traffic([move("ab"), move("cd")], media=SPINNING, limit=1).is_ever_shared
    assert Traffic([move("ab"), move("bc"), move("cd")], media=SPINNING, limit=2).is_ever_shared
    assert Traffic([move("ab"), move("ab", "s/v")], media=SOLID, limit=2).is_ever_shared


def test_what_was_asked_for_counts_and_parity_else_allows_one() -> None:
    assert moves_at_once(None, has_parity=True, processors=16) == 1
    assert moves_at_once(3, has_parity=True, processors=1) == 3
    assert [moves_at_once(None, has_parity=False, processors=count) for count in (1, 2, 3, 64)] == [2, 3, 4, 4]


WAYS = st.lists(st.sampled_from([one + other for one in "abcdef" for other in "abcdef" if one != other]), max_size=25)


@given(ways=WAYS, limit=st.integers(1, 4), solid=st.sets(st.sampled_from("abcdef")), ends=st.randoms())
def test_every_move_has_its_turn_once_and_in_order_on_every_disk(
    ways: list[str], limit: int, solid: set[str], ends: random.Random
) -> None:
    moves = [move(way, f"s/{number}") for number, way in enumerate(ways)]
    media = {name: (SOLID if name in solid else SPINNING)[name] for name in "abcdef"}
    traffic = Traffic(moves, media=media, limit=limit)
    order: list[int] = []
    while True:
        order += begun(traffic)
        if not traffic.under_way:
            break
        assert len(traffic.under_way) <= limit
        spinning = [name for number in traffic.under_way for name in ways[number] if name not in solid]
        assert len(spinning) == len(set(spinning))
        traffic.end(ends.choice(sorted(traffic.under_way)))

    assert sorted(order) == list(range(len(moves)))
    for disk in "abcdef":
        of_disk = [number for number in order if disk in ways[number]]
        assert of_disk == sorted(of_disk)
