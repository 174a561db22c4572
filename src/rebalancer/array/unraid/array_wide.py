"""What Unraid's settings say of all shares at once: which disks take part in them, and which one is being emptied."""

from dataclasses import dataclass
from pathlib import Path

from rebalancer.array.unraid.ini import CONFIG, STATE, is_torn, parse, read_text
from rebalancer.array.unraid.values import Unclear, disks_in

_INCLUDE, _EXCLUDE, _EMPTYING = "shareUserInclude", "shareUserExclude", "shareUserEmptying"
_KEYS = frozenset({_INCLUDE, _EXCLUDE, _EMPTYING})


@dataclass(frozen=True, slots=True)
class ArrayWide:
    """Disks as Unraid calls them. ``objection``: why nothing certain is known; empty when it is.

    ``is_torn``: var.ini is being written, and what it says of disks that are being emptied is not known yet.
    """

    include: frozenset[str] = frozenset()  # empty: every disk
    exclude: frozenset[str] = frozenset()
    emptying: frozenset[str] = frozenset()
    objection: str = ""
    is_torn: bool = False

    def against(self, disk: str) -> str:
        """Return why a disk takes no part in any share, as a sentence; empty when it does."""
        if disk in self.exclude or (self.include and disk not in self.include):
            return f"Unraid's settings exclude {disk} from all shares: no share shows what is on it"
        if self.is_torn:
            return f"whether Unraid's mover is emptying {disk} is unknown: var.ini is incomplete"
        return f"Unraid's mover is emptying {disk}: it is left to that" if disk in self.emptying else ""


def array_wide(root: Path) -> ArrayWide:
    """Read ``share.cfg`` and the same settings in var.ini; where they differ, whatever either excludes is excluded."""
    files = (root / STATE / "var.ini", root / CONFIG / "share.cfg")
    texts = [read_text(file) or "" for file in files if file.exists()]
    sources = [parse(text, _KEYS).get("", {}) for text in texts]
    told = [source for source in sources if _INCLUDE in source and _EXCLUDE in source]
    if not told:
        return ArrayWide(objection="Unraid's settings for all shares (share.cfg) cannot be read")
    try:
        included = [frozenset(disks_in(source[_INCLUDE])) for source in told]
        excluded = [frozenset(disks_in(source[_EXCLUDE])) for source in told]
        emptying = [frozenset(disks_in(source[_EMPTYING])) for source in sources if _EMPTYING in source]
    except Unclear as error:
        return ArrayWide(objection=f"Unraid's settings for all shares (share.cfg) are unclear: {error}")
    limits = [disks for disks in included if disks]
    barred = frozenset.union(*excluded, *(disks - frozenset.intersection(*limits) for disks in limits))
    return ArrayWide(
        include=frozenset.intersection(*limits) if limits else frozenset(),
        exclude=barred,
        emptying=frozenset().union(*emptying),
        is_torn=any(map(is_torn, texts)),
    )
