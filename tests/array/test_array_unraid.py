"""What emhttpd says of an Unraid array: which disks may be used, and why the others may not."""

from pathlib import Path

import pytest

from rebalancer.array.disk import DiskStatus
from rebalancer.array.unraid import disks as unraid
from rebalancer.array.unraid.ini import CONFIG, STATE, parse

VAR = (
    'NAME="Tower 🗄"\nmdState="STARTED"\nfsState="Started"\nstartMode="Normal"\ncsrf_token="SECRET"\nmdNumDisabled="1"\n'
)


def slot(name: str, **changes: str) -> str:
    values = {
        "name": name, "device": "sdc", "status": "DISK_OK", "type": "Data", "color": "green-on",
        "comment": "films 🎬 [a=b]", "fsStatus": "Mounted", "fsMountpoint": f"/mnt/{name}",
    } | changes  # fmt: skip
    return f'["{name}"]\n' + "".join(f'{key}="{value}"\n' for key, value in values.items())


OTHERS = (
    slot("parity", type="Parity", fsMountpoint="")
    + slot("parity2", type="Parity", status="DISK_NP_DSBL", device="")
    + slot("cache", type="Cache")
    + slot("flash", type="Flash")
    + slot("disk2", device="", status="DISK_NP", color="grey-off", fsStatus="-")
)


def array(root: Path, disks: str, var: str | None = VAR) -> Path:
    state = root / STATE
    state.mkdir(parents=True)
    (state / "disks.ini").write_bytes(disks.encode())
    if var is not None:
        (state / "var.ini").write_bytes(var.encode())
    return root


def test_only_assigned_data_disks_are_disks(tmp_path: Path) -> None:
    array(tmp_path, slot("disk10") + slot("disk1", color="green-blink") + OTHERS + slot("disk30") + slot("disk01"))

    found = unraid.data_disks(tmp_path)

    assert [disk.name for disk in found] == ["disk1", "disk10"]
    assert [disk.path for disk in found] == [tmp_path / "mnt/disk1", tmp_path / "mnt/disk10"]
    assert all(disk.status is DiskStatus.OK for disk in found)


def test_windows_line_ends_and_missing_quotes_are_read(tmp_path: Path) -> None:
    text = slot("disk1").replace('"sdc"', "sdc").replace("\n", "\r\n")
    array(tmp_path, text, VAR.replace("\n", "\r\n"))

    assert [disk.status for disk in unraid.data_disks(tmp_path)] == [DiskStatus.OK]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"status": "DISK_DSBL", "color": "red-on"}, DiskStatus.DISABLED, "emulates"),
        ({"status": "DISK_NP_MISSING", "device": ""}, DiskStatus.DISABLED, "emulates"),
        ({"status": "DISK_INVALID"}, DiskStatus.DISABLED, "DISK_INVALID"),
        ({"status": ""}, DiskStatus.DISABLED, "unknown"),
        ({"color": "yellow-on"}, DiskStatus.DISABLED, "yellow-on"),
        ({"device": ""}, DiskStatus.DISABLED, "incomplete"),
        ({"fsStatus": "Unmountable: no file system"}, DiskStatus.NOT_MOUNTED, "Unmountable"),
        ({"fsMountpoint": "/mnt/user"}, DiskStatus.DISABLED, "unexpected place"),
    ],
)
def test_a_disk_that_is_not_well_is_shown_with_the_reason(
    tmp_path: Path, changes: dict[str, str], status: DiskStatus, words: str
) -> None:
    array(tmp_path, slot("disk1", **changes))

    (disk,) = unraid.data_disks(tmp_path)

    assert disk.status is status
    assert words in disk.reason


@pytest.mark.parametrize(
    ("var", "words"),
    [
        (VAR.replace("STARTED", "STOPPED"), "mdState is STOPPED"),
        (VAR.replace('"Started"', '"Stopping"'), "fsState is Stopping"),
        (VAR.replace("Normal", "Maintenance"), "startMode is Maintenance"),
        (VAR[: VAR.index("startMode") + 12], "startMode is unknown"),
        ("", "mdState is unknown"),
        (None, "mdState is unknown"),
    ],
)
def test_no_disk_is_usable_unless_the_array_is_known_to_be_started(tmp_path: Path, var: str | None, words: str) -> None:
    array(tmp_path, slot("disk1") + slot("disk3"), var)

    found = unraid.data_disks(tmp_path)

    assert [disk.status for disk in found] == [DiskStatus.NOT_MOUNTED] * 2
    assert all(words in disk.reason for disk in found)


def test_no_cut_of_a_torn_file_makes_a_bad_disk_usable(tmp_path: Path) -> None:
    text = slot("disk1") + slot("disk3", status="DISK_DSBL", color="red-on")
    wanted = frozenset({"name", "device", "status", "type", "color", "fsStatus", "fsMountpoint"})

    for end in range(len(text)):
        sections = parse(text[:end], wanted)
        judged = [unraid._candidate(name, values, tmp_path, "") for name, values in sections.items()]

        assert "disk3" not in [disk.name for disk in judged if disk is not None and disk.status is DiskStatus.OK]


@pytest.mark.parametrize(
    ("text", "value"),
    [('key="12"\n', "12"), ("key=12\n", "12"), ('key="12"', "12"), ("key=12", None), ('key="', None), ('key="1', None)],
)
def test_half_a_value_at_the_end_says_nothing(text: str, value: str | None) -> None:
    assert parse('other="1"\n' + text, frozenset({"key"}))[""].get("key") == value


def test_the_token_of_the_web_interface_is_never_kept() -> None:
    assert "SECRET" not in repr(parse(VAR, frozenset({"mdState", "fsState", "startMode"})))


def wide(root: Path, *, var: str, cfg: str | None = None) -> Path:
    array(root, slot("disk1") + slot("disk3") + slot("disk4", status="DISK_DSBL"), VAR + var)
    if cfg is not None:
        (root / CONFIG).mkdir(parents=True)
        (root / CONFIG / "share.cfg").write_text(cfg)
    return root


NONE = 'shareUserInclude=""\nshareUserExclude=""\n'


@pytest.mark.parametrize(
    ("var", "cfg", "good"),
    [
        (NONE, NONE, ["disk1", "disk3"]),
        (NONE.replace('Exclude=""', 'Exclude="disk3,disk9"'), None, ["disk1"]),
        (NONE, NONE.replace('Include=""', "Include=disk3"), ["disk3"]),
        (NONE.replace('Include=""', 'Include="disk1"'), NONE.replace('Include=""', 'Include="disk3"'), []),
        (NONE + 'shareUserEmptying="disk1"\n', NONE, ["disk3"]),
        (NONE + 'shareUserEmptying="di', NONE, []),
    ],
)
def test_a_disk_that_is_kept_out_of_all_shares_or_emptied_takes_no_part(
    tmp_path: Path, var: str, cfg: str | None, good: list[str]
) -> None:
    found = unraid.data_disks(wide(tmp_path, var=var, cfg=cfg))

    assert [disk.name for disk in found if disk.status is DiskStatus.OK] == good
    held_out = [disk for disk in found[:2] if disk.name not in good]
    assert all(disk.status is DiskStatus.EXCLUDED and disk.name in disk.reason for disk in held_out)
    assert found[2].status is DiskStatus.DISABLED


def test_below_mnt_only_data_disks_are_no_strangers(tmp_path: Path) -> None:
    assert unraid.stranger(tmp_path / "mnt/cache", tmp_path) == f"{tmp_path}/mnt/cache is no data disk of the array"
    assert unraid.stranger(tmp_path / "mnt/disk1/inner", tmp_path)
    assert unraid.stranger(tmp_path / "tmp/demo/disk1", tmp_path) == ""
