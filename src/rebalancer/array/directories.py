"""Disks that a person named: on the command line or in the settings."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from rebalancer.array.candidate import Candidate
from rebalancer.errors import UsageError
from rebalancer.quantities import parse_size
from rebalancer.settings import DiskSettings, Settings, check_path

_OPTIONS = re.compile(r"(?:,(?:size|name)=[^,]*)*\Z")


def from_settings(settings: Settings) -> tuple[Candidate, ...]:
    return tuple(_configured(disk) for disk in settings.disks)


def from_command_line(named: Sequence[str], settings: Settings) -> tuple[Candidate, ...]:
    """Return the disks of ``--disk PATH[,size=SIZE][,name=NAME]``; one that the settings describe takes theirs.

    A path that itself holds ``,size=`` or ``,name=`` must be named in config.toml.
    Raises UsageError for a path that cannot name a disk and for a path named twice.
    """
    known = {candidate.path: candidate for candidate in from_settings(settings)}
    found = [_from_option(text, known) for text in named]
    for index, candidate in enumerate(found):
        if any(earlier.path == candidate.path for earlier in found[:index]):
            raise UsageError(f"--disk: {candidate.path} is named twice")
    return tuple(found)


def with_names(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return the disks with a name each: the one given, else the last part of the path made unique (disk, disk-2).

    Raises UsageError when the same name was given twice.
    """
    candidates = tuple(candidates)
    taken: set[str] = set()
    for given in (candidate.name for candidate in candidates if candidate.name):
        if given in taken:
            raise UsageError(f"two disks have the name {given!r}; give one of them another")
        taken.add(given)
    return tuple(candidate if candidate.name else _named(candidate, taken) for candidate in candidates)


def _named(candidate: Candidate, taken: set[str]) -> Candidate:
    name, number = candidate.path.name, 1
    while name in taken:
        number += 1
        name = f"{candidate.path.name}-{number}"
    taken.add(name)
    return replace(candidate, name=name)


def _configured(disk: DiskSettings) -> Candidate:
    return Candidate(
        path=check_path(disk.path, what="disk"),
        name=disk.name,
        size_limit=disk.size_limit,
        reserve=disk.space_to_leave,
    )


def _from_option(text: str, known: dict[Path, Candidate]) -> Candidate:
    match = _OPTIONS.search(text)
    start = len(text) if match is None else match.start()
    path = check_path(text[:start], what="--disk")
    candidate = known.get(path, Candidate(path=path))
    for option in text[start:].split(",")[1:]:
        candidate = _with_option(candidate, *option.split("=", 1))
    return candidate


def _with_option(candidate: Candidate, key: str, value: str) -> Candidate:
    if not value:
        raise UsageError(f"--disk {candidate.path}: {key} is empty")
    if key == "name":
        return replace(candidate, name=value)
    limit = parse_size(value, field=f"--disk {candidate.path}: size")
    if limit == 0:
        raise UsageError(f"--disk {candidate.path}: a disk of no size holds nothing")
    return replace(candidate, size_limit=limit)
