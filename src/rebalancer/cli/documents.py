"""Inventories and plans as files that people name: written whole or not at all, checked before the work starts."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from rebalancer import records
from rebalancer.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    from rebalancer.inventory.unit import Inventory
    from rebalancer.planning.plan import Plan


def check_target(path: Path) -> None:
    """Refuse a file that could not be written, before minutes are spent on what goes into it.

    Raises NotFoundError when its folder is missing, RefusedError when something that is not a file has the name.
    """
    if not path.parent.is_dir():
        raise NotFoundError(f"--save: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise RefusedError(f"--save: the folder {path.parent} cannot be written")
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise RefusedError(f"--save: {path}: {(error.strerror or '').lower()}") from error
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError(f"--save: {path} is not a regular file and is not replaced")


def save(path: Path, value: object) -> None:
    """Write the document; after an error the file that was there before still is.

    Raises RefusedError when it cannot be written.
    """
    check_target(path)
    try:
        records.write(path, value)
    except OSError as error:
        raise RefusedError(f"--save: {path} cannot be written: {(error.strerror or str(error)).lower()}") from error


def read_inventory(path: Path) -> "Inventory":
    """Read a saved scan and check it; raises what `inventory.document.load` raises."""
    from rebalancer.inventory import document

    return document.load(path)


def read_plan(path: Path) -> "Plan":
    """Read a saved plan and check that it could have been made by the planner; raises what `check_plan` raises."""
    from rebalancer.planning.document import check_plan
    from rebalancer.planning.plan import Plan

    plan = records.read(path, Plan, limit=records.DOCUMENT_LIMIT)
    check_plan(plan)
    return plan
