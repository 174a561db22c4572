"""What stands on the disks after a fault, judged against what the files must be."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.originals import Entry, Originals, difference, snapshot

PREFIX, HIDDEN, PART = b".rebalancer-", b".hidden", b".part"


@dataclass(slots=True)
class Aftermath:
    """What stands right after a kill, file by file; folders are judged when all is done."""

    lost: list[bytes]
    halves: list[str]
    hidden: list[bytes]  # waiting in a hidden folder
    only_hidden: list[bytes]  # those of them that nobody can see anywhere
    on_both: list[bytes]
    parts: int


def look(disks: Sequence[Path], originals: Mapping[bytes, Entry]) -> Aftermath:
    """Judge the disks as they are now."""
    return judge([snapshot(root) for root in disks], originals)


def judge(found: Sequence[Originals], originals: Mapping[bytes, Entry]) -> Aftermath:
    """Compare every visible file with its original, and find those that nobody can see."""
    visible: Counter[bytes] = Counter()
    hidden: set[bytes] = set()
    halves, parts = [], 0
    for names in found:
        for path, entry in names.items():
            folders, _, name = path.rpartition(b"/")
            if name.startswith(PREFIX) and name.endswith(PART):
                parts += 1
            elif folders.rpartition(b"/")[2].startswith(PREFIX):
                public = folders.rpartition(b"/")[0] + b"/" + name
                halves += _unlike(originals, public, entry)
                hidden.add(public)
            elif entry.kind != "folder":
                halves += _unlike(originals, path, entry)
                visible[path] += 1
    files = {path for path, entry in originals.items() if entry.kind != "folder"}
    return Aftermath(
        lost=sorted(files - visible.keys() - hidden),
        halves=halves,
        hidden=sorted(hidden),
        only_hidden=sorted(hidden - visible.keys()),
        on_both=sorted(path for path, disks_with in visible.items() if disks_with > 1),
        parts=parts,
    )


def _unlike(originals: Mapping[bytes, Entry], path: bytes, entry: Entry) -> list[str]:
    """Compare everything but the number of names, which grows and shrinks while a group is moved."""
    original = originals.get(path)
    if original is None:
        return [f"{path!r} appeared"]
    same = {"links": b"", "link_count": 1}
    return difference({path: replace(original, **same)}, {path: replace(entry, **same)})  # type: ignore[arg-type]


def split_units(disks: Sequence[Path]) -> list[bytes]:
    """Return the units, which lie directly below the shares, of which each of two disks has a part."""
    found = [{path for path in snapshot(root) if path.count(b"/") == 1} for root in disks]
    return sorted(found[0] & found[1])


def own_names(disks: Sequence[Path]) -> list[bytes]:
    return [name for root in disks for name in names_below(root) if name.startswith(PREFIX)]


def names_below(root: Path) -> Iterator[bytes]:
    for _folder, folders, files in os.walk(os.fsencode(root)):
        yield from folders
        yield from files
