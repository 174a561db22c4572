"""The guards that ask Unraid's files: the array's state, parity, temperatures, errors."""

from pathlib import Path

import pytest

from guards.host_lab import CHECKING, Host
from rebalancer.guards.array_state import ArrayStateGuard
from rebalancer.guards.disk_errors import DiskErrorsGuard
from rebalancer.guards.guard import Guard
from rebalancer.guards.parity import ParityGuard
from rebalancer.guards.temperature import TemperatureGuard


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def heat(maximum: int | None = None, cool_down: int = 3) -> TemperatureGuard:
    return TemperatureGuard(maximum=maximum, cool_down=cool_down)


@pytest.mark.parametrize("guard", [ArrayStateGuard(), ParityGuard(), DiskErrorsGuard(), heat(10)])
def test_on_another_machine_nothing_holds(tmp_path: Path, guard: Guard) -> None:
    host = Host(tmp_path / "server")
    other = Host(tmp_path / "other")
    for path in ("var/local/emhttp/var.ini", "var/local/emhttp/disks.ini", "proc/mdstat"):
        (other.root / path).unlink()
    (other.root / "var/local/emhttp").rmdir()
    host.root = other.root

    assert host.look(guard) is None


def test_a_server_in_good_order_holds_nothing(host: Host) -> None:
    assert [host.look(guard) for guard in (ArrayStateGuard(), ParityGuard(), DiskErrorsGuard(), heat())] == [None] * 4


def test_an_array_in_maintenance_holds(host: Host) -> None:
    host.var(startMode="Maintenance")

    assert host.reason(ArrayStateGuard()) == "the array is not started normally: startMode is Maintenance"


def test_an_array_that_is_being_stopped_holds(host: Host) -> None:
    host.var(fsState="Stopping")

    assert host.reason(ArrayStateGuard()) == "the array is being stopped"


def test_a_server_that_says_nothing_of_itself_holds(host: Host) -> None:
    for path in ("var/local/emhttp/var.ini", "var/local/emhttp/disks.ini", "proc/mdstat"):
        (host.root / path).write_bytes(b"")

    assert host.reason(ArrayStateGuard()) == "the array is not started normally: mdState is unknown"
    assert "cannot be read" in host.reason(ParityGuard())
    assert "cannot be read" in host.reason(DiskErrorsGuard())
    assert host.look(heat()) is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (CHECKING, "a parity check runs, 37.5 % done at 154 MB/s"),
        ({"mdResyncPos": "375000"}, "a parity check is paused, 37.5 % done"),
        (CHECKING | {"mdResyncAction": "recon D3"}, "the rebuild of disk3 runs, 37.5 % done at 154 MB/s"),
        (CHECKING | {"mdResyncAction": "clear", "mdResyncDt": "0"}, "the clearing of a new disk runs, 37.5 % done"),
    ],
)
def test_a_parity_operation_holds_also_when_it_is_paused(host: Host, said: dict[str, str], reason: str) -> None:
    host.mdstat(**said)

    assert host.reason(ParityGuard()) == reason


def test_progress_of_a_parity_check_is_no_new_reason_and_its_pause_is(host: Host) -> None:
    guard, kinds = ParityGuard(), []
    for position, resync in (("1000", "1000000"), ("2000", "1000000"), ("2000", "0")):
        host.mdstat(mdResyncPos=position, mdResync=resync)
        hold = host.look(guard)
        assert hold is not None
        kinds.append(hold.kind)

    assert kinds[0] == kinds[1] != kinds[2]


def test_a_hot_disk_holds_until_it_has_cooled_down(host: Host) -> None:
    guard = heat()
    reasons: dict[tuple[int, str], str] = {}
    for temperature in ("45", "47", "45", "43", "*", "43", "42", "44"):
        host.disks(disk3={"temp": temperature})
        reasons[len(reasons), temperature] = host.reason(guard)

    hot = "disk3 is at {} °C, its limit is 45 °C; work goes on at 42 °C"
    assert list(reasons.items()) == [
        ((0, "45"), ""),
        ((1, "47"), hot.format(47)),
        ((2, "45"), hot.format(45)),
        ((3, "43"), hot.format(43)),
        ((4, "*"), ""),  # it sleeps or says nothing: that is not held against it, and it is not cool for that
        ((5, "43"), hot.format(43)),
        ((6, "42"), ""),
        ((7, "44"), ""),
    ]


def test_parity_counts_and_disks_that_are_not_at_work_do_not(host: Host) -> None:
    host.disks(parity={"temp": "50"}, disk1={"temp": "51"}, disk3={"temp": "60"})

    assert host.reason(heat(), "disk1", "disk2") == (
        "parity is at 50 °C, its limit is 45 °C; work goes on at 42 °C; "
        "disk1 is at 51 °C, its limit is 45 °C; work goes on at 42 °C"
    )


def test_a_limit_of_our_own_replaces_the_hosts(host: Host) -> None:
    host.write("boot/config/smart-one.cfg", '["WDC_1"]\nhotTemp="60"\n')
    host.disks(disk1={"temp": "41"})

    assert host.reason(heat(40, 5)) == "disk1 is at 41 °C, its limit is 40 °C; work goes on at 35 °C"
    assert host.look(heat()) is None


def test_a_limit_that_is_switched_off_holds_nothing(host: Host) -> None:
    host.write("boot/config/smart-one.cfg", '["WDC_1"]\nhotTemp="0"\nmaxTemp="0"\n')
    host.disks(disk1={"temp": "80"})

    assert host.look(heat()) is None


def test_errors_from_before_are_known_and_new_ones_end_the_work(host: Host) -> None:
    guard = DiskErrorsGuard()
    host.disks(disk1={"numErrors": "7"})
    before = host.look(guard)
    host.disks(disk1={"numErrors": "9"}, parity={"numErrors": "1"})

    hold = host.look(guard)

    assert before is None
    assert hold is not None
    assert hold.ends_work
    assert hold.reason == (
        "parity has had 1 new error since this run began: look at it first; "
        "disk1 has had 2 new errors since this run began: look at it first"
    )
    assert DiskErrorsGuard().look(host.moment()) is None  # the next run begins anew


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"disk2": {"status": "DISK_DSBL", "color": "red-on"}}, "Unraid says DISK_DSBL and shows red-on"),
        ({"disk3": {"color": "yellow-on"}}, "Unraid says DISK_OK and shows yellow-on"),
        ({"parity": {"status": "DISK_INVALID", "color": "yellow-on"}}, "parity is not well"),
        ({"disk1": {"status": "DISK_NP_MISSING", "device": ""}}, "Unraid says DISK_NP_MISSING"),
    ],
)
def test_a_disk_that_is_not_well_holds_also_when_it_is_not_at_work(
    host: Host, changes: dict[str, dict[str, str]], words: str
) -> None:
    guard = DiskErrorsGuard()
    before = host.look(guard, "disk1")
    host.disks(**changes)

    hold = host.look(guard, "disk1")

    assert before is None
    assert hold is not None
    assert words in hold.reason
    assert not hold.ends_work
