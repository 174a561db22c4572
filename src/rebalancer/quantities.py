"""Sizes, rates, percents and durations: read from what people type, written as people read."""

import math
import re
from dataclasses import dataclass

from rebalancer.errors import UsageError

_POWERS = {
    "": 1, "b": 1,
    "k": 10**3, "kb": 10**3, "kib": 2**10,
    "m": 10**6, "mb": 10**6, "mib": 2**20,
    "g": 10**9, "gb": 10**9, "gib": 2**30,
    "t": 10**12, "tb": 10**12, "tib": 2**40,
    "p": 10**15, "pb": 10**15, "pib": 2**50,
}  # fmt: skip
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_NUMBER = re.compile(r"(\d{1,19}(?:\.\d{1,9})?)\s*([a-z]*)", re.ASCII)
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Reserve:
    """Space to be left free on a disk: a number of bytes, or a percentage of the disk's size."""

    size: int = 0
    percent: float = 0.0

    def of(self, disk_size: int) -> int:
        """Return the bytes to leave free on a disk of that many bytes."""
        return self.size + math.ceil(disk_size * self.percent / 100)


def parse_size(text: str, *, field: str = "size") -> int:
    """Return bytes from ``10GiB`` (powers of 1024), ``10GB`` or ``500M`` (powers of 1000) or a bare number."""
    match = _NUMBER.fullmatch(text.strip().lower())
    if match is None or match[2] not in _POWERS:
        raise UsageError(f"{field}: {text!r} is not a size; write it like 10GiB, 10GB or 500M")
    size = int(float(match[1]) * _POWERS[match[2]]) if "." in match[1] else int(match[1]) * _POWERS[match[2]]
    if size > _LARGEST:
        raise UsageError(f"{field}: {text!r} is larger than any disk")
    return size


def parse_rate(text: str, *, field: str = "bandwidth limit") -> int:
    """Return bytes per second from ``50MB``, ``50MB/s`` or ``50MiB/s``."""
    rate = parse_size(text.strip().removesuffix("/s"), field=field)
    if rate == 0:
        raise UsageError(f"{field}: {text!r} would never move anything; leave it out for no limit")
    return rate


def parse_percent(text: str, *, field: str = "percent") -> float:
    """Return a percentage from 0 to 100, from ``90`` or ``90%``."""
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not 0 <= percent <= 100:
        raise UsageError(f"{field}: {text!r} is not a percentage from 0 to 100")
    return percent


def parse_reserve(text: str, *, field: str = "reserve") -> Reserve:
    """Return the space to leave free, from a size (``50GB``) or a percentage (``5%``)."""
    if text.strip().endswith("%"):
        return Reserve(percent=parse_percent(text, field=field))
    return Reserve(size=parse_size(text, field=field))


def parse_duration(text: str, *, field: str = "duration") -> int:
    """Return seconds from ``90s``, ``30m``, ``6h``, ``2d``, ``1w`` or a sum of them such as ``1h30m``."""
    compact = "".join(text.lower().split())
    parts = re.findall(r"(\d{1,9})([smhdw])", compact, re.ASCII)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise UsageError(f"{field}: {text!r} is not a duration; write it like 30m, 6h or 1h30m")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def format_size(size: float) -> str:
    """Write bytes in powers of 1000 with three figures, as disks are sold: ``1.23 TB``."""
    sign, magnitude = ("-", -size) if size < 0 else ("", size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if magnitude < 999.5:
            return f"{sign}{_three_figures(magnitude, whole=unit == 'B')} {unit}"
        magnitude /= 1000
    return f"{sign}{_three_figures(magnitude, whole=False)} PB"


def format_duration(seconds: float) -> str:
    """Write seconds as people say them: ``0.4 s``, ``45 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _three_figures(magnitude: float, *, whole: bool) -> str:
    if whole or magnitude >= 99.95:
        return f"{magnitude:.0f}"
    return f"{magnitude:.1f}" if magnitude >= 9.995 else f"{magnitude:.2f}"
