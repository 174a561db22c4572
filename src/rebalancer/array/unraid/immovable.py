"""What must stay where it is on an Unraid server, because its services find it by its path."""

import html
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rebalancer import names
from rebalancer.array.unraid.ini import CONFIG, parse, read_text
from rebalancer.array.unraid.values import DISK_NAME

DEFAULT_SHARES = {
    "appdata": "the containers of this server keep their data in it",
    "system": "the images of Docker and libvirt of this server are in it",
    "domains": "the virtual machines of this server are in it",
}  # Unraid makes them itself, under these names, unless its settings say otherwise
_DOCKER = {
    "DOCKER_IMAGE_FILE": "the Docker image of this server",
    "DOCKER_APP_CONFIG_PATH": "the containers of this server keep their data in it",
}
_MACHINES = {
    "IMAGE_FILE": "the libvirt image of this server",
    "DOMAINDIR": "the virtual machines of this server are in it",
    "MEDIADIR": "the virtual machines of this server take their media from it",
    "DISKDIR": "the virtual machines of this server take their disks from it",
}
_VIEWS = frozenset({"user", "user0", "rootshare"})
_NO_POOLS = frozenset({"disks", "remotes", "addons", "RecycleBin"})
_CONTAINERS = "var/lib/docker/containers"
_TEMPLATES = "plugins/dockerMan/templates-user"
_PATHS_OF_TEMPLATE = (
    re.compile(r'<Config\b[^>]*\bType="Path"[^>]*>([^<]+)</Config>'),
    re.compile(r"<HostDir>([^<]+)</HostDir>"),  # templates of version 1
)
_SOURCE = re.compile(r"""<source\b[^>]*?\b(file|dir|dev)=(?:'([^']*)'|"([^"]*)")""")
_NAME = re.compile(r"<[Nn]ame>([^<]*)</[Nn]ame>")


@dataclass(frozen=True, slots=True)
class Immovable:
    """A path, and everything in it. ``written`` is the path as the server's settings have it."""

    path: str  # relative to the disk's root, as inventories write names; empty: the whole disk
    disk: str  # as Unraid calls it; empty: on every disk
    reason: str
    written: str


@dataclass(frozen=True, slots=True)
class Immovables:
    """``objection``: why it is unknown what must stay; empty when it is known."""

    paths: tuple[Immovable, ...] = ()
    objection: str = ""


class _UnreadableError(Exception):
    """A file that exists and cannot be read or understood, in words."""


def read_immovable(root: Path) -> Immovables:
    """Return the paths named by the settings of Docker and the virtual machines, containers and their templates.

    What is not there says nothing: a server may have neither. What is there and cannot be read is an objection.
    """
    try:
        found = (
            *_named(root / CONFIG / "docker.cfg", _DOCKER),
            *_named(root / CONFIG / "domain.cfg", _MACHINES),
            *_containers(root / _CONTAINERS),
            *_templates(root / CONFIG / _TEMPLATES),
            *_machines(root / "etc/libvirt/qemu"),
        )
    except _UnreadableError as error:
        return Immovables(objection=str(error))
    return Immovables(tuple(dict.fromkeys(found)))


def _named(path: Path, keys: dict[str, str]) -> Iterator[Immovable]:
    """Yield what a settings file names. A key that is left out has Unraid's default, in one of the default shares."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:  # it is there: reading it says what is wrong
        pass
    text = read_text(path)
    values = parse(text or "", frozenset(keys)).get("", {})
    torn = next((key for key in keys if text and re.search(rf"^{key}\b", text, re.MULTILINE) and key not in values), "")
    if not text or torn:
        raise _UnreadableError(f"{path.name} cannot be read, so what Docker or virtual machines use is unknown")
    for key, reason in keys.items():
        written = values.get(key, "")
        if place := _place(written, counts_pools=True):
            yield Immovable(*place, reason=reason, written=written)


def _containers(folder: Path) -> Iterator[Immovable]:
    """Yield what running Docker has mapped from single disks (``MountPoints`` of each container's config.v2.json)."""
    for path in _listed(folder, "*/config.v2.json"):
        try:
            document = msgspec.json.decode(_text(path))
            points = (document.get("MountPoints") or {}).values()
            written = [str(point.get("Source") or "") for point in points]
            name = str(document.get("Name") or path.parent.name[:12]).lstrip("/")
        except (msgspec.DecodeError, AttributeError) as error:
            raise _UnreadableError(f"what the container {path.parent.name[:12]} has mapped cannot be read") from error
        yield from _of_disks(written, f"mapped into the container {name}")


def _templates(folder: Path) -> Iterator[Immovable]:
    """Yield what containers have mapped by their templates: those that do not run, or while Docker is stopped."""
    for path in _listed(folder, "*.xml"):
        text = _text(path)
        written = [html.unescape(one) for pattern in _PATHS_OF_TEMPLATE for one in pattern.findall(text)]
        yield from _of_disks(written, f"mapped into the container {_title(text, path)}")


def _machines(folder: Path) -> Iterator[Immovable]:
    for path in _listed(folder, "*.xml"):
        text = _text(path)
        reason = f"used by the virtual machine {_title(text, path)}"
        for kind, single, double in _SOURCE.findall(text):
            written = html.unescape(single or double)
            place = _place(written)
            if place is not None and (place[1] or kind == "file"):
                yield Immovable(*place, reason=reason, written=written)


def _of_disks(paths: Iterable[str], reason: str) -> Iterator[Immovable]:
    for written in paths:
        place = _place(written)
        if place is not None and place[1]:  # /mnt/user shows a file wherever it is
            yield Immovable(*place, reason=reason, written=written)


def _place(written: str, *, counts_pools: bool = False) -> tuple[str, str] | None:
    """Return the path below a disk's root and the disk, empty for every disk; None for a path that names neither."""
    parts = [part for part in written.strip().split("/") if part not in {"", "."}]
    if len(parts) < 2 or parts[0] != "mnt" or ".." in parts:
        return None
    below = names.encode("/".join(parts[2:]).encode("utf-8", "surrogateescape"))[0]
    if DISK_NAME.fullmatch(parts[1]):
        return below, parts[1]
    is_view = parts[1] in _VIEWS or (counts_pools and parts[1] not in _NO_POOLS)
    return (below, "") if is_view and below else None


def _listed(folder: Path, pattern: str) -> Iterable[Path]:
    try:
        os.listdir(folder)  # globbing says nothing of a folder that it may not read
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise _UnreadableError(f"{folder} cannot be read, so what must stay is unknown") from error
    return sorted(folder.glob(pattern))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise _UnreadableError(f"{path.name} cannot be read, so what it has mapped is unknown") from error


def _title(text: str, path: Path) -> str:
    found: Any = _NAME.search(text)
    return html.unescape(found[1]) if found else path.stem.removeprefix("my-")
