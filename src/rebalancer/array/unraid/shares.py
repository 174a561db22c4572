"""The shares of an Unraid server, as its settings describe them; what cannot be read locks the share, with the reason."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rebalancer import names
from rebalancer.array.unraid.array_wide import array_wide
from rebalancer.array.unraid.ini import CONFIG, STATE, parse, read, read_text
from rebalancer.array.unraid.values import Unclear, disks_in, floor_of
from rebalancer.quantities import Reserve

_KEYS = {
    "shareInclude": "include",
    "shareExclude": "exclude",
    "shareUseCache": "useCache",
    "shareSplitLevel": "splitLevel",
    "shareFloor": "floor",
    "shareCachePool": "cachePool",
    "shareCachePool2": "cachePool2",
}  # of a share's file, and of the same thing in shares.ini
_NEEDED = ("include", "exclude", "useCache", "splitLevel", "floor")
_STATE_KEYS = frozenset({*_KEYS.values(), "exclusive", "hasCfg"})
_DEEPEST_LEVEL = 5  # the web interface offers 1 to 5; whatever is higher, such as 999 of old versions, splits anywhere


@dataclass(frozen=True, slots=True)
class Share:
    """What Unraid says of one share; disks as Unraid calls them, ``disk1`` to ``disk28``."""

    name: str
    include: tuple[str, ...] = ()  # empty: every disk
    exclude: tuple[str, ...] = ()
    split_level: int | None = None  # None: anywhere; N: the folder N below the share is one unit; 0: only by hand
    floor: Reserve = field(default_factory=Reserve)  # stays free on every disk that receives some of it
    lock: str = ""  # why nothing of it may move, as words after "nothing of it moves: "; empty: it may


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares that have settings, by name. ``objection``: why no share can be judged; empty when they can."""

    known: Mapping[str, Share] = field(default_factory=dict)
    objection: str = ""

    def of(self, name: str) -> Share:
        """Return what holds for a share; one without settings has Unraid's defaults and may go anywhere."""
        if self.objection:
            return _locked(name, self.objection)
        if name in self.known:
            return self.known[name]
        twin = next((other for other in self.known if other.casefold() == name.casefold()), None)
        if twin is not None:  # the flash stick does not tell upper from lower case, Linux does
            return _locked(name, f"Unraid has settings for {twin}, and whether they mean this share is unclear")
        return Share(name=name)


def read_shares(root: Path) -> Shares:
    """Return every share of ``boot/config/shares`` and ``shares.ini`` below a root."""
    try:
        files = {names.encode(os.fsencode(file.stem))[0]: file for file in _files(root / CONFIG / "shares")}
    except OSError as error:
        return Shares(objection=f"Unraid's settings of the shares cannot be read: {(error.strerror or '').lower()}")
    if objection := array_wide(root).objection:
        return Shares(objection=objection)
    states = read(root / STATE / "shares.ini", _STATE_KEYS)
    found = {name: _share(name, files.get(name), states.get(name)) for name in sorted({*files, *states} - {""})}
    return Shares(known=found)


def _files(folder: Path) -> Iterable[Path]:
    return [file for file in folder.iterdir() if file.suffix == ".cfg" and not file.name.startswith(".")]


def _share(name: str, file: Path | None, state: Mapping[str, str] | None) -> Share:
    state = state or {}
    if file is None:
        if state.get("hasCfg") == "1":
            return _locked(name, f"its settings, {name}.cfg, are missing")
        return _with_pool(_parsed(name, state, "shares.ini"), state)
    text = read_text(file)
    if text is None:
        return _locked(name, f"its settings, {file.name}, cannot be read")
    return _of_text(name, text, file.name, state)


def _of_text(name: str, text: str, source: str, state: Mapping[str, str]) -> Share:
    written = {_KEYS[key]: value for key, value in parse(text, frozenset(_KEYS)).get("", {}).items()}
    return _with_pool(_compared(_parsed(name, written, source), state), {**state, **written})


def _parsed(name: str, values: Mapping[str, str], source: str) -> Share:
    """Return the share of these values; a value that is missing or unclear locks it."""
    if missing := [key for key in _NEEDED if key not in values]:
        return _locked(name, f"{source} is incomplete: {', '.join(missing)} cannot be read")
    try:
        share = Share(
            name=name,
            include=disks_in(values["include"]),
            exclude=disks_in(values["exclude"]),
            floor=floor_of(values["floor"]),
        )
    except Unclear as error:
        return _locked(name, f"{source} is unclear: {error}")
    return _with_level(share, values["splitLevel"])


def _with_level(share: Share, text: str) -> Share:
    """Read the split level: empty splits anywhere, 0 only by hand, and ancient versions split by a character."""
    if not text:
        return share
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return replace(
            share, split_level=0, lock=f"its split level is {text!r}, which only old versions of Unraid read"
        )
    if int(text) == 0:
        return replace(share, split_level=0, lock="its split level is 0: what goes where is decided by hand")
    return replace(share, split_level=int(text) if int(text) <= _DEEPEST_LEVEL else None)


def _compared(share: Share, state: Mapping[str, str]) -> Share:
    """Hold the file against what Unraid works with now; a share of which they tell different things is locked."""
    if share.lock or any(key not in state for key in _NEEDED):
        return share
    now = _parsed(share.name, state, "shares.ini")
    told = {"include": (share.include, now.include), "exclude": (share.exclude, now.exclude)}
    for key, (written, used) in told.items():
        if set(written) != set(used):
            return _with_lock(share, _disagreement(key, ",".join(written), ",".join(used)))
    if share.split_level != now.split_level:
        return _with_lock(share, _disagreement("split level", share.split_level, now.split_level))
    return share


def _disagreement(what: str, written: object, used: object) -> str:
    return f"its file and what Unraid works with disagree: {what} {written or 'any'}, {used or 'any'}"


def _with_pool(share: Share, values: Mapping[str, str]) -> Share:
    """Lock a share whose files belong on a pool: what the array holds of it is the mover's work."""
    if share.lock:
        return share
    use, pool, second = values.get("useCache", ""), values.get("cachePool") or "cache", values.get("cachePool2", "")
    if values.get("exclusive") == "yes":
        return _with_lock(share, f"it is an exclusive share and lives on the pool {pool}")
    if use == "only":
        return _with_lock(share, f"it belongs on the pool {pool} only")
    if use == "prefer":
        return _with_lock(share, f"it belongs on the pool {pool}, where Unraid's mover takes it")
    if use == "yes" and second:
        return _with_lock(share, f"it belongs on the pools {pool} and {second}, not on the array")
    return share if use in {"yes", "no"} else _with_lock(share, f"whether it belongs on a pool is unclear ({use!r})")


def _with_lock(share: Share, reason: str) -> Share:
    return replace(share, lock=reason)


def _locked(name: str, reason: str) -> Share:
    return Share(name=name, split_level=0, lock=reason)
