"""Which time zone this machine lives in, by its IANA name, wherever its system keeps that."""

import os
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from rebalancer.errors import UsageError

_ZONES = "usr/share/zoneinfo"
_LINKS = ("etc/localtime", "etc/localtime-copied-from")  # the second is Slackware's, so also Unraid's


def zone(name: str) -> ZoneInfo:
    """Return a time zone; raises UsageError when this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder of zones, such as Europe
        raise UsageError(f"timezone: {name!r} is not known here") from error


def machine_timezone(*, root: Path, environment: Mapping[str, str]) -> str:
    """Return the name of the machine's zone: what ``TZ`` says (containers), else what the system says, else ``UTC``."""
    named = environment.get("TZ", "").removeprefix(":")
    for name in (named, *(_linked(root / link) for link in _LINKS), _written(root)):
        if name and _is_known(name):
            return name
    return _alike(root) or "UTC"


def _linked(link: Path) -> str:
    try:
        target = os.readlink(link)
    except OSError:
        return ""
    return target.partition("/zoneinfo/")[2]


def _written(root: Path) -> str:
    """Return what /etc/timezone says, unless /etc/localtime is another zone (bind-mounted into a container)."""
    try:
        name = (root / "etc/timezone").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    localtime = _content(root / "etc/localtime")
    return name if not localtime or localtime == _content(root / _ZONES / name) else ""


def _alike(root: Path) -> str:
    """Return the first zone whose rules are those of /etc/localtime."""
    localtime = _content(root / "etc/localtime")
    if not localtime:
        return ""
    names = sorted(available_timezones(), key=lambda name: ("/" not in name, name))
    return next((name for name in names if _content(root / _ZONES / name) == localtime), "")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError):
        return b""


def _is_known(name: str) -> bool:
    try:
        zone(name)
    except UsageError:
        return False
    return True
