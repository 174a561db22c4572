"""Inventories as files: written whole, read with suspicion, also when written by hand."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lab import MakeDisk
from rebalancer.array.disk import Disk
from rebalancer.errors import (
    DamagedRecordError,
    ExitCode,
    NotFoundError,
    RebalancerError,
    RefusedError,
    UsageError,
)
from rebalancer.inventory import document
from rebalancer.inventory.unit import Inventory, LeftAlone, Member, Unit, UnitKind

DISK = {"name": "disk1", "path": "/mnt/disk1", "size_bytes": 1000, "used_bytes": 400}
UNIT = {"disk": "disk1", "share": "media", "path": "media/film", "size_bytes": 100, "files": 2}


def write(path: Path, *, disks: list[Any] | None = None, units: list[Any] | None = None) -> Path:
    content = {"disks": [DISK] if disks is None else disks, "units": [UNIT] if units is None else units}
    path.write_text(json.dumps(content))
    return path


def test_what_was_saved_is_loaded_again_to_the_byte(tmp_path: Path) -> None:
    inventory = Inventory(
        disks=(Disk(name="full", path="/mnt/full", size_bytes=1000, used_bytes=900, free_bytes=0),),
        units=(
            Unit(
                disk="full", share="s", path="s/\\xff", path_base64="cy//", size_bytes=1, files=1, kind=UnitKind.LINKS,
                also=(Member(path="s/new\nline"),), newest_mtime=1.5, left_alone="immutable: s/x",
            ),
        ),
        left_alone=(LeftAlone(disk="full", path=".Trash", reason="hidden"),),
        scanned_at=123.0,
    )  # fmt: skip

    document.save(inventory, tmp_path / "inventory.json")

    assert document.load(tmp_path / "inventory.json") == inventory


def test_an_inventory_written_by_hand_is_loaded_and_its_free_space_derived(tmp_path: Path) -> None:
    found = document.load(write(tmp_path / "hand.json"))

    assert (found.disks[0].free_bytes, found.disks[0].is_usable) == (600, True)
    assert (found.units[0].kind, found.units[0].files) == (UnitKind.FOLDER, 2)


def test_a_disk_of_no_size_is_no_error(tmp_path: Path) -> None:
    found = document.load(write(tmp_path / "zero.json", disks=[{**DISK, "size_bytes": 0, "used_bytes": 0}]))

    assert found.disks[0].free_bytes == 0


@pytest.mark.parametrize(
    ("disks", "units", "sentence"),
    [
        ([DISK, DISK], [], "two disks disk1"),
        ([{**DISK, "size_bytes": -1}], [], "disk disk1: size_bytes is -1"),
        ([{**DISK, "used_bytes": -1}], [], "disk disk1: used_bytes is -1"),
        ([{**DISK, "free_bytes": -1}], [], "disk disk1: free_bytes is -1"),
        ([DISK], [{**UNIT, "disk": "disk9"}], "unit media/film: its disk disk9 is not"),
        ([DISK], [{**UNIT, "size_bytes": -5}], "unit media/film: size_bytes is -5"),
        ([DISK], [{**UNIT, "files": -1}], "unit media/film: files is -1"),
        ([DISK], [{**UNIT, "path": "../etc"}], "unit ../etc: path ../etc does not stay inside"),
        ([DISK], [{**UNIT, "path": "/etc"}], "does not stay inside"),
        ([DISK], [{**UNIT, "path": ""}], "does not stay inside"),
        ([DISK], [{**UNIT, "path_base64": "Li4="}], "unit media/film: path .. does not stay inside"),
        ([DISK], [{**UNIT, "path_base64": "!"}], "unit media/film: path_base64 cannot be read"),
        ([DISK], [{**UNIT, "also": [{"path": "a/../../b"}]}], "does not stay inside"),
        ([DISK], [UNIT, UNIT], "unit media/film: path media/film is listed twice"),
    ],
)
def test_what_cannot_be_right_is_refused_with_the_unit_and_the_field(
    tmp_path: Path, disks: list[Any], units: list[Any], sentence: str
) -> None:
    path = write(tmp_path / "wrong.json", disks=disks, units=units)

    with pytest.raises(UsageError) as caught:
        document.load(path)

    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"', b"[" * 100_000,
        b'{"disks": [], "units": [{"disk": "a"}]}',
        b'{"disks": 7, "units": []}',
        b'{"disks": [], "units": [{"disk":"d","share":"s","path":"\\ud800","size_bytes":1,"files":1}]}',
        b'{"disks": [{"name":"d","path":"/","size_bytes":"1","used_bytes":0}], "units": []}',
        b'{"disks": [{"name":"d","path":"/","size_bytes":1,"used_bytes":0,"free_bytes":null}], "units": []}',
    ],
)  # fmt: skip
def test_what_is_not_an_inventory_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "damaged.json").write_bytes(content)

    with pytest.raises(DamagedRecordError, match=r"damaged\.json"):
        document.load(tmp_path / "damaged.json")


def test_a_missing_inventory_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        document.load(tmp_path / "none.json")


EMPTY = Inventory(disks=(), units=())


def test_an_older_inventory_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "inventory.json"
    path.write_text("old")

    document.save(EMPTY, path)

    assert document.load(path) == EMPTY
    assert os.listdir(tmp_path) == ["inventory.json"]


def test_only_a_regular_file_is_ever_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    for name in ("link", "folder", "pipe"):
        with pytest.raises(RefusedError, match="not a regular file"):
            document.save(EMPTY, tmp_path / name)

    assert (tmp_path / "target").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["folder", "link", "pipe", "target"]


@pytest.mark.parametrize(("name", "exit_code"), [("no/such.json", ExitCode.NOT_FOUND), ("n" * 255, ExitCode.FAILED)])
def test_a_place_that_cannot_be_written_is_an_answer_in_words(tmp_path: Path, name: str, exit_code: ExitCode) -> None:
    with pytest.raises(RebalancerError) as caught:
        document.save(EMPTY, tmp_path / name)

    assert caught.value.exit_code == exit_code


def test_a_full_disk_leaves_the_older_inventory(make_disk: MakeDisk) -> None:
    root = make_disk("tmpfs", 1, "small")
    document.save(EMPTY, root / "inventory.json")
    units = tuple(Unit(disk="d", share="s", path=f"s/{n}", size_bytes=1, files=1) for n in range(20_000))

    with pytest.raises(RebalancerError, match="no space left"):
        document.save(Inventory(disks=(), units=units), root / "inventory.json")

    assert document.load(root / "inventory.json") == EMPTY
    assert os.listdir(root) == ["inventory.json"]


def test_a_document_says_that_the_disks_were_read_anew() -> None:
    assert "cannot be known safely" in document.document(Inventory(disks=(), units=()))["read_anew"]
