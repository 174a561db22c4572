"""All guards of an execution, asked together."""

import time
from dataclasses import dataclass
from pathlib import Path

from guards.host_lab import CHECKING, Host
from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold, in_words
from rebalancer.guards.kinds import KINDS, guards_for
from rebalancer.guards.options import NAMES, GuardOptions
from rebalancer.guards.watch import Watch


@dataclass
class Broken:
    name: str = "broken"

    def look(self, _moment: Moment) -> Hold | None:
        raise ZeroDivisionError("no such sensor")


def test_every_name_that_may_be_ignored_is_made_and_the_other_way_round() -> None:
    assert (*KINDS, "idle") == NAMES
    made = guards_for(GuardOptions(), only_when_idle=True)
    assert [guard.name for guard in made] == [name for name in NAMES if name in {guard.name for guard in made}]


def test_what_is_ignored_is_not_asked() -> None:
    guards = guards_for(GuardOptions(ignored=("mover", "idle")), only_when_idle=True)

    assert {guard.name for guard in guards}.isdisjoint({"mover", "idle"})
    assert {"parity", "temperature"} < {guard.name for guard in guards}


def test_each_execution_has_guards_of_its_own() -> None:
    one, other = guards_for(GuardOptions()), guards_for(GuardOptions())

    assert not {id(guard) for guard in one} & {id(guard) for guard in other}


def test_several_holds_are_all_told_and_the_work_goes_on_when_none_is_left(tmp_path: Path) -> None:
    host = Host(tmp_path)
    watch = Watch(root=tmp_path, guards=guards_for(GuardOptions()), clock=time.monotonic)
    host.mdstat(**CHECKING)
    host.disks(disk1={"temp": "50"})
    host.var(shareMoverActive="yes")
    both = watch.holds([host.disk("disk1")])
    host.mdstat()
    host.var()
    one = watch.holds([host.disk("disk1")])
    host.disks()

    assert [hold.guard for hold in both] == ["parity", "mover", "temperature"]
    assert in_words(both).count("; ") == 3
    assert [hold.guard for hold in one] == ["temperature"]
    assert watch.holds([host.disk("disk1")]) == []


def test_a_guard_that_breaks_holds_and_says_so(tmp_path: Path) -> None:
    watch = Watch(root=tmp_path, guards=[Broken()], clock=time.monotonic)

    holds = watch.holds([])

    assert holds == [Hold(guard="broken", reason="the guard broken cannot look: ZeroDivisionError: no such sensor")]
