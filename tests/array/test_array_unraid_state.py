"""What an Unraid server says of its array and of parity; what cannot be read is never good news."""

from pathlib import Path

import pytest

from guards.host_lab import CHECKING, Host
from rebalancer.array.unraid.heat import array_disks
from rebalancer.array.unraid.state import Activity, array_state, is_unraid_host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_an_array_that_is_started_normally_has_no_objection(host: Host) -> None:
    state = array_state(host.root)

    assert (state.objection, state.is_stopping, state.is_mover_active) == ("", False, False)
    assert state.parity.activity is Activity.NONE


@pytest.mark.parametrize(
    ("key", "value"),
    [("mdState", "STOPPED"), ("mdState", "ERROR:TOO_MANY_MISSING_DISKS"), ("fsState", "Stopping"),
     ("fsState", "Formatting"), ("startMode", "Maintenance"), ("mdState", "")],
)  # fmt: skip
def test_any_other_state_is_an_objection_that_names_it(host: Host, key: str, value: str) -> None:
    host.var(**{key: value})

    assert array_state(host.root).objection == f"the array is not started normally: {key} is {value or 'unknown'}"


@pytest.mark.parametrize(
    ("said", "activity"),
    [
        ({"mdResync": "0", "mdResyncPos": "0"}, Activity.NONE),
        ({"mdResync": "1000000", "mdResyncPos": "0"}, Activity.RUNNING),  # in its first moment
        (CHECKING, Activity.RUNNING),
        ({"mdResync": "0", "mdResyncPos": "375000"}, Activity.PAUSED),
    ],
)
def test_a_parity_operation_is_idle_running_or_paused(host: Host, said: dict[str, str], activity: Activity) -> None:
    host.mdstat(**said)

    assert array_state(host.root).parity.activity is activity


def test_how_far_a_parity_operation_is_and_how_fast_it_goes(host: Host) -> None:
    host.mdstat(**CHECKING)

    parity = array_state(host.root).parity

    assert (parity.name, parity.percent, parity.speed) == ("a parity check", 37.5, 150_000 * 1024)


@pytest.mark.parametrize(
    ("action", "name"),
    [("check", "a read check"), ("check P Q", "a parity check"), ("recon P", "a parity sync"),
     ("recon D3", "the rebuild of disk3"), ("recon D3 D12", "the rebuild of disk3 and disk12"),
     ("clear", "the clearing of a new disk"), ("", "a parity operation")],
)  # fmt: skip
def test_actions_have_names(host: Host, action: str, name: str) -> None:
    host.mdstat(mdResyncAction=action, **CHECKING)

    assert array_state(host.root).parity.name == name


def test_the_kernel_is_believed_before_emhttpd_whose_file_is_older(host: Host) -> None:
    host.var(mdResync="1000000", mdResyncPos="10")

    assert array_state(host.root).parity.activity is Activity.NONE
    host.write("proc/mdstat", "Personalities : [raid1]\nunused devices: <none>\n")
    assert array_state(host.root).parity.activity is Activity.RUNNING


def test_nothing_that_can_be_read_is_unknown(host: Host) -> None:
    host.mdstat(mdResync="many")
    host.var(mdResyncPos="-1")

    assert array_state(host.root).parity.activity is Activity.UNKNOWN


def test_any_sign_of_unraid_makes_a_host_of_it(tmp_path: Path) -> None:
    assert not is_unraid_host(tmp_path)
    for number, (path, text) in enumerate(
        {"etc/unraid-version": 'version="7.3.1"\n', "proc/mdstat": "mdResync=0\n", "var/local/emhttp/x": ""}.items()
    ):
        sign = tmp_path / str(number) / path
        sign.parent.mkdir(parents=True)
        sign.write_text(text)
        assert is_unraid_host(tmp_path / str(number))


def test_the_secret_of_var_ini_is_never_kept(host: Host) -> None:
    assert "SECRET" not in repr(array_state(host.root))


def test_temperatures_have_the_hosts_own_limits(host: Host) -> None:
    host.write("boot/config/smart-one.cfg", '["WDC_1"]\nhotTemp="50"\nmaxTemp="0"\n[WDC_3]\nhotTemp=""\r\n')
    host.write("usr/local/emhttp/plugins/dynamix/default.cfg", '[display]\nhot="45"\nmax="55"\nhotssd="60"\n')
    host.write("boot/config/plugins/dynamix/dynamix.cfg", '[notify]\nhot="1"\n[display]\nhot="40"\n')
    host.disks(disk3={"rotational": "0"})

    disks = array_disks(host.root)

    assert {name: (disk.hot, disk.maximum) for name, disk in disks.items()} == {
        "parity": (40, 55), "disk1": (50, None), "disk2": (40, 55), "disk3": (60, 70),
    }  # fmt: skip


@pytest.mark.parametrize(("text", "temperature"), [("35", 35), ("*", None), ("", None), ("0", None), ("200", None)])
def test_an_unknown_temperature_is_not_zero(host: Host, text: str, temperature: int | None) -> None:
    host.disks(disk1={"temp": text})

    assert array_disks(host.root)["disk1"].temperature == temperature


def test_a_missed_disk_is_a_disk_and_an_empty_slot_is_none(host: Host) -> None:
    host.disks(disk1={"device": "", "status": "DISK_NP_MISSING", "color": "red-off"})

    disks = array_disks(host.root)

    assert list(disks) == ["parity", "disk1", "disk2", "disk3"]
    assert [name for name, disk in disks.items() if not disk.is_well] == ["disk1"]
    assert disks["disk2"].is_asleep
