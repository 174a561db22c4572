"""An inventory as a file of the user's: written whole or not at all, read with suspicion."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from rebalancer import names, records
from rebalancer.array.disk import Disk
from rebalancer.errors import NotFoundError, RebalancerError, RefusedError, UsageError
from rebalancer.inventory.unit import Inventory, Unit

READ_ANEW = "what changed since an earlier scan cannot be known safely, so every disk was read anew"  # ADR 0009


class _FreeSpace(Struct):
    """What a hand-written disk may leave out."""

    free_bytes: int | None = None  # None: size minus used


class _Disks(Struct):
    disks: tuple[_FreeSpace, ...]


def document(inventory: Inventory) -> dict[str, Any]:
    """Return the inventory as it is written; the free space of a disk is named also when it is nothing."""
    disks = [{**records.to_builtins(disk), "free_bytes": disk.free_bytes} for disk in inventory.disks]
    return {
        "disks": disks,
        "units": inventory.units,
        "left_alone": inventory.left_alone,
        "scanned_at": inventory.scanned_at,
        "read_anew": READ_ANEW,
    }


def save(inventory: Inventory, path: Path) -> None:
    """Write the inventory to a new file, or over a regular one; an older one stands until the new one is durable.

    Raises RefusedError for a name that is something else (a symbolic link, a folder, a device),
    NotFoundError when the folder is missing, RebalancerError when it cannot be written.
    """
    try:
        if not _is_free_or_file(path):
            raise RefusedError(f"{_shown(path)} is not a regular file; the inventory was not saved")
        records.write(path, document(inventory))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"there is no folder {_shown(path.parent)} to save the inventory in") from error
    except (OSError, UnicodeEncodeError) as error:
        raise RebalancerError(f"the inventory cannot be saved as {_shown(path)}: {_sentence(error)}") from error


def load(path: Path) -> Inventory:
    """Read an inventory, also a hand-written one.

    Raises NotFoundError, DamagedRecordError when it is not an inventory at all, and UsageError naming the unit
    and the field that cannot be right.
    """
    data = records.read_bytes(path, limit=records.DOCUMENT_LIMIT)
    inventory = records.decode(data, Inventory, path=str(path))
    given = msgspec.json.decode(data, type=_Disks).disks
    disks = tuple(_with_free_space(disk, free.free_bytes) for disk, free in zip(inventory.disks, given, strict=True))
    _check_disks(disks)
    _check_units(inventory.units, {disk.name for disk in disks})
    return replace(inventory, disks=disks)


def _with_free_space(disk: Disk, free: int | None) -> Disk:
    return replace(disk, free_bytes=max(0, disk.size_bytes - disk.used_bytes) if free is None else free)


def _check_disks(disks: Iterable[Disk]) -> None:
    known: set[str] = set()
    for disk in disks:
        called = f"disk {names.display(disk.name)}"
        if disk.name in known:
            raise UsageError(f"the inventory names two disks {names.display(disk.name)}")
        known.add(disk.name)
        _refuse_negative(called, size_bytes=disk.size_bytes, used_bytes=disk.used_bytes, free_bytes=disk.free_bytes)


def _check_units(units: Iterable[Unit], disks: set[str]) -> None:
    seen: set[tuple[str, bytes]] = set()
    for unit in units:
        called = f"unit {names.display(unit.path)}"
        if unit.disk not in disks:
            raise UsageError(f"{called}: its disk {names.display(unit.disk)} is not among the inventory's disks")
        _refuse_negative(called, size_bytes=unit.size_bytes, files=unit.files, apparent_bytes=unit.apparent_bytes)
        for member in unit.members:
            raw = _raw_path(called, member.path, member.path_base64)
            if (unit.disk, raw) in seen:
                raise UsageError(f"{called}: path {names.display(raw)} is listed twice on disk {unit.disk}")
            seen.add((unit.disk, raw))


def _raw_path(called: str, path: str, exact: str) -> bytes:
    try:
        raw = names.decode(path, exact)
    except UsageError as error:
        raise UsageError(f"{called}: path_base64 cannot be read") from error
    if not names.is_inside(raw):
        raise UsageError(f"{called}: path {names.display(raw)} does not stay inside the disk")
    return raw


def _refuse_negative(called: str, **fields: int) -> None:
    for field, value in fields.items():
        if value < 0:
            raise UsageError(f"{called}: {field} is {value}; it must be 0 or more")


def _is_free_or_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return True


def _shown(path: Path) -> str:
    return names.display(str(path))


def _sentence(error: OSError | UnicodeEncodeError) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "the path of a disk is not valid UTF-8"
    return (error.strerror or str(error)).lower()
