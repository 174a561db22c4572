"""What the owner wrote down in ``config.toml``, checked in full before anything else happens; never rewritten by us."""

import ipaddress
import os
import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from rebalancer import records
from rebalancer.errors import NotFoundError, UsageError
from rebalancer.quantities import Reserve, parse_duration, parse_reserve, parse_size
from rebalancer.state import refuse_if_open_to_others

_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.(?!-)[A-Za-z0-9-]{1,63}){0,10}\.?", re.ASCII)
_SCHEDULE = re.compile(r"[a-z0-9][a-z0-9-]{0,40}", re.ASCII)


class DiskSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[disk]]``. Sizes as they were written; `load` has proved that they can be read."""

    path: str
    name: str = ""  # empty: the last part of the path
    size: str | None = None  # makes a plain folder a disk of that size; None: the path is a mount point
    reserve: str | None = None  # None: what the run chooses

    @property
    def size_limit(self) -> int | None:
        """The limit in bytes; None when there is none."""
        return None if self.size is None else parse_size(self.size)

    @property
    def space_to_leave(self) -> Reserve | None:
        """The reserve of this disk; None when it has none of its own."""
        return None if self.reserve is None else parse_reserve(self.reserve)


class ShareSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[share.NAME]``: where a share may live and how far its folders may be split."""

    include: tuple[str, ...] = ()  # names of disks; empty: every disk
    exclude: tuple[str, ...] = ()
    locked: bool | None = None  # False: it moves although the server's own settings speak against it
    split_depth: int | None = None  # None: may be split anywhere; 0: stays; N: a folder N below the share is one unit
    floor: str | None = None  # stays free on every disk that receives some of it: a size, or a part of the disk

    @property
    def space_to_leave(self) -> Reserve:
        """The floor; nothing when there is none."""
        return Reserve() if self.floor is None else parse_reserve(self.floor)


class LimitSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[limits.DISK]``: what holds for a disk by name, however it was found."""

    excluded: bool = False
    gives: bool = True
    receives: bool = True
    floor: str | None = None  # stays free at every moment

    @property
    def floor_bytes(self) -> int:
        return 0 if self.floor is None else parse_size(self.floor)


class Occasion(StrEnum):
    """What the owner may want to be told of."""

    SUCCESS = "success"  #: it ended by itself and left nothing
    FAILURE = "failure"  #: it failed, was lost, or left something where it was
    HELD = "held"  #: it waits for long, or waited in vain
    SUSPENDED = "suspended"  #: its schedule was suspended after failures
    EMERGENCY = "emergency"  #: everything was stopped at once


class NotifySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[notify]``: who is told, and of what. Addresses are secrets: the text form of this shows none."""

    unraid: bool | None = None  # through Unraid's own notifications; None: where there are any
    apprise: tuple[str, ...] = ()  # addresses of services, as Apprise reads them
    on: tuple[Occasion, ...] = (Occasion.FAILURE, Occasion.HELD, Occasion.SUSPENDED, Occasion.EMERGENCY)
    held_after: str = "2h"
    pings: dict[str, str | tuple[str, ...]] = field(default_factory=dict)  # by schedule: addresses of monitors

    @property
    def held_after_seconds(self) -> int:
        return parse_duration(self.held_after)

    def pings_of(self, schedule_id: str) -> tuple[str, ...]:
        """Return the addresses of a schedule's monitors; none for most."""
        found = self.pings.get(schedule_id, ())
        return (found,) if isinstance(found, str) else found

    def __repr__(self) -> str:
        return f"NotifySettings({len(self.apprise)} services, {len(self.pings)} monitored schedules)"


class ServeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[serve]``: where the dashboard listens, and who may ask it."""

    listen: str = "127.0.0.1:8477"
    hosts: tuple[str, ...] = ()  # names, besides this machine's own, that browsers may reach it by
    login: bool = True  # False only where it listens on this machine alone
    https: bool = False  # it is reached through a proxy that speaks TLS: cookies go no other way

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on; `load` has proved that it can be read."""
        return parse_address(self.listen, field="listen")


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file; without one, everything is as below."""

    reserve: str | None = None  # for disks and runs that name none of their own
    disks: tuple[DiskSettings, ...] = field(default=(), name="disk")
    pool: str | None = None  # a mergerfs mount whose branches are the disks
    shares: dict[str, ShareSettings] = field(default_factory=dict, name="share")
    limits: dict[str, LimitSettings] = field(default_factory=dict)  # by the disk's name
    pinned: tuple[str, ...] = ()  # globs: what they match never moves
    movable: tuple[str, ...] = ()  # globs over the paths that the server's own settings name: these do not hold it
    keep_together: tuple[tuple[str, ...], ...] = ()  # groups of globs: what they match moves as one
    notify: NotifySettings = NotifySettings()
    serve: ServeSettings = ServeSettings()


def load(path: Path) -> Settings:
    """Return the settings; a file that is missing or empty gives the defaults.

    Raises UsageError with the file and the line or the key that is wrong, RefusedError for a file that others can
    write to, DamagedRecordError for one that is no regular file or cannot be read.
    """
    try:
        data = records.read_bytes(path)
    except NotFoundError:
        return Settings()
    refuse_if_open_to_others(path)
    settings = _checked(_parsed(data, path), path)
    _check_values(settings, path)
    return settings


def check_path(text: str, *, what: str) -> Path:
    """Return a path that can name a disk; raises UsageError for ``/``, a relative path, ``..`` or a NUL."""
    if not text.startswith("/"):
        raise UsageError(f"{what}: {text!r} is not an absolute path")
    if ".." in text.split("/") or "\0" in text:
        raise UsageError(f"{what}: {text!r} may not hold '..' or NUL; name the real path")
    path = Path(os.path.normpath(text.replace("//", "/")))
    if path == Path("/"):
        raise UsageError(f"{what}: the root of the file system cannot be a disk")
    return path


def parse_address(text: str, *, field: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:8477``, ``[::1]:8477``, ``0.0.0.0:8477`` or a bare port."""
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else "127.0.0.1"
    try:
        known = str(ipaddress.ip_address("127.0.0.1" if host == "localhost" else host))
    except ValueError as error:
        raise UsageError(f"{field}: {text!r} is not an address to listen on; write it like 127.0.0.1:8477") from error
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
        raise UsageError(f"{field}: {text!r} names no port from 0 to 65535")
    return known, int(port)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach that address."""
    return ipaddress.ip_address(host).is_loopback


def check_serve(serve: ServeSettings, *, where: str) -> None:
    """Raise UsageError for an address or a name that cannot be, and for a dashboard open to everybody."""
    host, _ = parse_address(serve.listen, field=f"{where}: listen")
    for name in serve.hosts:
        if not _HOST.fullmatch(name):
            raise UsageError(f"{where}: hosts: {name!r} is not the name of a host, such as tower.lan")
    if not serve.login and not is_loopback(host):
        raise UsageError(
            f"{where}: login: it may be left out only where nobody but this machine can ask: {serve.listen}"
        )


def _parsed(data: bytes, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8-sig"))  # Windows editors put a byte order mark in front
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}: line {line} is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {_lower(str(error))}") from error
    except (RecursionError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise UsageError(f"{path}: nested too deeply, or a number that is too long") from error


def _checked(values: dict[str, Any], path: Path) -> Settings:
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {_explain(str(error))}") from error


def _explain(message: str) -> str:
    what, _, where = message.partition(" - at `$")
    key = re.sub(r"\[(\d+)\]", lambda match: f" {int(match[1]) + 1}", where.strip("`.").replace("[...]", "")).replace(
        ".", ": "
    )
    if unknown := re.search(r"unknown field `(.*)`", what):
        name = "that is an address" if "://" in unknown[1] else repr(unknown[1])  # a secret in the wrong place
        return f"unknown key {name}" + (f" in {key}" if key else "")
    if wrong := re.search(r"enum value (.*)", what):
        name = "an address" if "://" in wrong[1] else wrong[1]
        return f"{key}: {name} is not one of {', '.join(Occasion)}"
    what = _lower(what).replace(" | null", "").replace("object", "table").replace("`", "")
    return f"{key}: {what}" if key else what


def _check_values(settings: Settings, path: Path) -> None:
    if settings.reserve is not None:
        parse_reserve(settings.reserve, field=f"{path}: reserve")
    if settings.pool is not None:
        check_path(settings.pool, what=f"{path}: pool")
    _check_rules(settings, path)
    _check_notify(settings.notify, f"{path}: notify")
    check_serve(settings.serve, where=f"{path}: serve")
    for number, disk in enumerate(settings.disks, start=1):
        _check_disk(disk, f"{path}: disk {number}")
    names = [disk.name for disk in settings.disks if disk.name]
    paths = [str(check_path(disk.path, what="path")) for disk in settings.disks]
    for kind, values in (("name", names), ("path", paths)):
        if twice := next((value for value in values if values.count(value) > 1), None):
            raise UsageError(f"{path}: two disks have the {kind} {twice!r}")


def _check_rules(settings: Settings, path: Path) -> None:
    for name, share in settings.shares.items():
        where = f"{path}: share {name!r}"
        if not name or "/" in name:
            raise UsageError(f"{where}: a share is a top-level folder such as movies")
        if share.floor is not None:
            parse_reserve(share.floor, field=f"{where}: floor")
        if share.split_depth is not None and share.split_depth < 0:
            raise UsageError(f"{where}: split_depth: folders below the share cannot be fewer than 0")
    for name, limit in settings.limits.items():
        if limit.floor is not None:
            parse_size(limit.floor, field=f"{path}: limits {name!r}: floor")
    if any(
        not glob.strip("/") for group in (settings.pinned, settings.movable, *settings.keep_together) for glob in group
    ):
        raise UsageError(f"{path}: pinned, movable, keep_together: an empty pattern matches nothing")


def _check_notify(notify: NotifySettings, where: str) -> None:
    """Raise UsageError for what cannot work, in sentences that show no address."""
    parse_duration(notify.held_after, field=f"{where}: held_after")
    for number, address in enumerate(notify.apprise, start=1):
        if not address.partition("://")[2]:
            raise UsageError(f"{where}: apprise {number}: an address is written like service://...")
    for schedule_id in notify.pings:
        if not _SCHEDULE.fullmatch(schedule_id):
            raise UsageError(f"{where}: pings: the id of a schedule comes before each '=', its address behind it")
        for address in notify.pings_of(schedule_id):
            if not _is_web_address(address):
                raise UsageError(f"{where}: pings: {schedule_id}: an address is written like https://...")


def _is_web_address(address: str) -> bool:
    from urllib.parse import urlsplit

    if not address.isascii() or not address.isprintable() or " " in address:
        return False
    try:
        parts = urlsplit(address)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _check_disk(disk: DiskSettings, where: str) -> None:
    check_path(disk.path, what=f"{where}: path")
    if disk.size is not None and parse_size(disk.size, field=f"{where}: size") == 0:
        raise UsageError(f"{where}: size: a disk of no size holds nothing")
    if disk.reserve is not None:
        parse_reserve(disk.reserve, field=f"{where}: reserve")


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
