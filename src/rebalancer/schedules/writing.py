"""Values as people write them: each so that the reader of its field (`written`) reads the same value again."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SIZES = (
    ("PB", 10**15), ("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3),
    ("PiB", 2**50), ("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("", 1),
)  # fmt: skip


def duration(seconds: int) -> str:
    """Return seconds as `quantities.parse_duration` reads them: ``1h30m``."""
    parts = []
    for unit, length in _UNITS:
        count, seconds = divmod(seconds, length)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def size(number: int) -> str:
    """Return bytes exactly, in the unit that makes the shortest text: ``10GiB``, ``500MB``."""
    if number == 0:
        return "0"
    exact = (f"{number // factor}{unit}" for unit, factor in _SIZES if number % factor == 0)
    return min(exact, key=len)


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _percent(value: float) -> str:
    return f"{_number(value)}%"


def _degrees(value: int) -> str:
    return f"{value} °C"


_WRITERS: Mapping[str, Callable[[Any], str]] = {
    **dict.fromkeys(("max_wait", "catch_up_window", "jitter", "retry_delay", "min_age", "max_runtime"), duration),
    **dict.fromkeys(("min_unit_size", "max_unit_size", "max_bytes", "min_memory"), size),
    **dict.fromkeys(("bandwidth_limit", "max_disk_activity"), lambda rate: f"{size(rate)}/s"),
    **dict.fromkeys(("above_percent", "target_percent", "max_cpu"), _percent),
    **dict.fromkeys(("max_temperature", "cool_down"), _degrees),
    "tolerance": _number,
}


def in_text(name: str, value: Any) -> str:
    """Return a value, or one entry of several, as the reader of its field reads it again; nothing for None."""
    if value is None:
        return ""
    if name in _WRITERS:
        return _WRITERS[name](value)
    return str(value.value) if isinstance(value, Enum) else f"{value}"
