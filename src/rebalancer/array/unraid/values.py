"""Values of Unraid's settings that have a form of their own: lists of disks, and space to leave free."""

import re
from collections.abc import Mapping

from rebalancer.errors import UsageError
from rebalancer.quantities import Reserve, parse_reserve

DISK_NAME = re.compile(r"disk([1-9]|1\d|2[0-8])", re.ASCII)  # 28 data disks at most
_DECIMAL = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([KMGT])B?", re.ASCII | re.IGNORECASE)
_EMPTY_SLOT = frozenset({"DISK_NP", "DISK_NP_DSBL"})
_KIB = 1024


class Unclear(Exception):  # noqa: N818 - never leaves this room; it becomes the reason of a lock
    """A value that says nothing certain, in words."""


def number(text: str) -> int | None:
    """Return a whole number; None for anything else, such as ``*`` for what Unraid does not know."""
    return int(text) if text.isascii() and text.isdecimal() else None


def is_empty_slot(values: Mapping[str, str]) -> bool:
    """Return whether a section of disks.ini stands for no disk.

    Absent parity is DISK_NP_DSBL, which is normal; a disk that is missed is DISK_NP_MISSING, which is not.
    """
    return not values.get("device") and values.get("status") in _EMPTY_SLOT


def disks_in(text: str) -> tuple[str, ...]:
    """Return the disks of ``disk1,disk2``; raises Unclear for anything that is no disk."""
    found = tuple(word for part in text.split(",") if (word := part.strip()))
    if strange := next((word for word in found if not DISK_NAME.fullmatch(word)), None):
        raise Unclear(f"{strange!r} is no disk of the array")
    return found


def floor_of(text: str) -> Reserve:
    """Return the space of ``shareFloor``: KiB, a percentage of each disk, or a size as the web interface reads it.

    The web interface turns ``50GB`` into 50,000,000 KiB: powers of 1000 over 1024 bytes. Raises Unclear.
    """
    text = text.strip()
    if re.fullmatch(r"\d{0,18}", text, re.ASCII):
        return Reserve(size=int(text or "0") * _KIB)
    if decimal := _DECIMAL.fullmatch(text):
        return Reserve(size=int(float(decimal[1]) * 1000 ** "KMGT".index(decimal[2].upper()) * _KIB))
    try:
        return parse_reserve(text)
    except UsageError as error:
        raise Unclear(f"the minimum free space {text!r} is no size") from error
