"""A small array, somebody who works on its files, and a model of what every file must still hold."""

import os
import random
import re
import shutil
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

MARK = ".rebalancer-"
FILLER = "filler/filler.bin"
_ROOM = 2**20  # nothing is written by the rival unless so much is free
_HEAD = re.compile(rb"begin (\d+) (\d+)\n")


@dataclass(eq=False)
class File:
    """One content with all lines that were acknowledged to whoever appended them. Hard links share it."""

    number: int
    size: int
    lines: set[bytes] = field(default_factory=set)

    @cached_property
    def head(self) -> bytes:
        return b"begin %d %d\n" % (self.number, self.size) + random.Random(self.number).randbytes(self.size) + b"\n"  # noqa: S311


@dataclass(frozen=True)
class Version:
    """What one name on one disk holds, taken apart."""

    number: int
    lines: frozenset[bytes]
    is_whole: bool


@dataclass(eq=False)
class Model:
    """What must be there. Paths are relative to the disks; a path that was touched while a move was under way, or
    half done, may for a while have two versions, of which the later must be whole."""

    disks: tuple[Path, ...]
    live: dict[str, File] = field(default_factory=dict)
    known: dict[int, File] = field(default_factory=dict)  # by number: everything there ever was
    history: dict[str, set[int]] = field(default_factory=dict)  # numbers that a path ever had
    raced: set[str] = field(default_factory=set)
    is_racing: bool = False  # a move is under way, or one was cut short
    line: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    diary: deque[str] = field(default_factory=lambda: deque(maxlen=80))  # what happened last, for a person

    # -- somebody works on the files --------------------------------------------------------------------------------

    def act(self, chance: random.Random) -> None:
        """Do one thing, on whichever disk has the file, as a union of the disks would."""
        deed = chance.choice((self.create, self.append, self.append, self.edit, self.delete, self.rename, self.link))
        try:
            deed(chance)
        except FileNotFoundError:  # a folder or file went to the other disk in this moment: nothing was acknowledged
            self.counts["found nothing"] += 1

    def create(self, chance: random.Random) -> None:
        path = _path(chance)
        if path in self.live or self._on(path):
            return
        root = chance.choice(self.disks)
        if not _has_room(root):
            return
        file = self._new(chance)
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        self._write(root / path, file, os.O_EXCL)
        self._assign(path, file)

    def append(self, chance: random.Random) -> None:
        if (found := self._any(chance)) is None:
            return
        path, root = found
        self.line += 1
        line = b"line %d\n" % self.line
        fd = os.open(root / path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
        try:
            begin = _HEAD.match(os.pread(fd, 100, 0))  # where there are two versions it may be the former one
            written = os.write(fd, line)
        finally:
            os.close(fd)
        assert begin is not None
        assert written == len(line)
        self.known[int(begin[1])].lines.add(line)
        self._touched(path)

    def edit(self, chance: random.Random) -> None:
        """Replace the content: by renaming a new file over the old one, or in place."""
        if (found := self._any(chance)) is None:
            return
        path, root = found
        self._touched(path)
        file = self._new(chance)
        if chance.random() < 0.5 and self._names_of(self.live[path]) == [path]:
            self._write(root / path, file, os.O_TRUNC, create=False)
        else:
            fresh = (root / path).with_name(f"fresh {file.number}")
            self._write(fresh, file, os.O_EXCL)
            fresh.rename(root / path)
        self._assign(path, file)

    def delete(self, chance: random.Random) -> None:
        if (found := self._any(chance)) is None:
            return
        path, root = found
        (root / path).unlink()
        self._touched(path)
        del self.live[path]
        for other in self._on(path):
            (other / path).unlink(missing_ok=True)

    def rename(self, chance: random.Random) -> None:
        if (found := self._any(chance)) is None:
            return
        path, root = found
        to = str(Path(path).with_name(f"f{chance.randrange(100)}"))
        if to in self.live or self._on(to):
            return
        self._touched(path)
        self._touched(to)
        (root / path).rename(root / to)
        self._assign(to, self.live.pop(path))
        self.history[to] |= self.history[path]  # a former version goes along
        for other in self._on(path):
            with suppress(FileNotFoundError):
                (other / path).rename(other / to)

    def link(self, chance: random.Random) -> None:
        if (found := self._any(chance)) is None:
            return
        path, root = found
        to = str(Path(path).with_name(f"f{chance.randrange(100)}"))
        if to in self.live or self._on(to) or len(self._on(path)) > 1:  # of two versions either may have the last lines
            return
        self._touched(path)
        (root / to).hardlink_to(root / path)
        self._assign(to, self.live[path])

    def fill(self, chance: random.Random) -> None:
        root = chance.choice(self.disks)
        status = os.statvfs(root)
        size = int(status.f_bavail * status.f_frsize * chance.uniform(0.5, 0.97))
        with (root / FILLER).open("ab") as file:
            os.posix_fallocate(file.fileno(), file.tell(), max(size, 1))
        self.counts["filled"] += 1

    def free(self) -> None:
        for root in self.disks:
            (root / FILLER).unlink(missing_ok=True)

    def _any(self, chance: random.Random) -> tuple[str, Path] | None:
        """Choose a file and the first disk that has it; None when there is none or no room to write."""
        if not self.live:
            return None
        path = chance.choice(sorted(self.live))
        roots = self._on(path)
        return (path, roots[0]) if roots and _has_room(roots[0]) else None

    def _new(self, chance: random.Random) -> File:
        number = len(self.known)
        self.known[number] = File(number, chance.choice((0, 10, 3_000, 3_000, 60_000, 200_000)))
        return self.known[number]

    def _assign(self, path: str, file: File) -> None:
        self.live[path] = file
        self.history.setdefault(path, set()).add(file.number)
        self._touched(path)

    def _touched(self, path: str) -> None:
        self.counts["deeds while moving" if self.is_racing else "deeds"] += 1
        self.diary.append(f"{time.monotonic():.4f} {sys._getframe(1).f_code.co_name} {path} on {self._on(path)}")
        if self.is_racing:
            self.raced.update(self._names_of(self.live[path]) if path in self.live else ())
            self.raced.add(path)

    def _write(self, path: Path, file: File, flags: int, *, create: bool = True) -> None:
        fd = os.open(path, os.O_WRONLY | flags | (os.O_CREAT if create else 0), 0o644)
        with open(fd, "wb") as opened:
            opened.write(file.head)

    def _names_of(self, file: File) -> list[str]:
        return [path for path, other in self.live.items() if other is file]

    def _on(self, path: str) -> list[Path]:
        return [root for root in self.disks if os.path.lexists(root / path)]

    # -- judging ----------------------------------------------------------------------------------------------------

    def versions(self) -> tuple[dict[str, dict[Path, Version]], dict[str, list[Version]]]:
        """Return what is visible, by path and disk, and what waits in hidden folders, by public path."""
        visible: dict[str, dict[Path, Version]] = {}
        hidden: dict[str, list[Version]] = {}
        for root in self.disks:
            for folder, path in files_below(root):
                place = Path(path)
                if place.parent.name.startswith(MARK):
                    hidden.setdefault(str(place.parent.parent / place.name), []).append(self._read(folder / place.name))
                elif not place.name.startswith((MARK, "fresh ")):
                    visible.setdefault(path, {})[root] = self._read(folder / place.name)
        return visible, hidden

    def _read(self, path: Path) -> Version:
        data = path.read_bytes()
        begin = _HEAD.match(data)
        file = self.known.get(int(begin[1])) if begin else None
        if file is None or not data.startswith(file.head):
            return Version(-1, frozenset(), is_whole=False)
        rest = data[len(file.head) :]
        lines = frozenset(rest.splitlines(keepends=True))
        return Version(file.number, lines, is_whole=lines <= file.lines)

    def lost(self, visible: dict[str, dict[Path, Version]], hidden: dict[str, list[Version]]) -> list[str]:
        """Return the live files of which no whole version has the last content, or whose lines are not all there."""
        gone = []
        for path, file in self.live.items():
            found = {name: [*visible.get(name, {}).values(), *hidden.get(name, ())] for name in self._names_of(file)}
            own = {
                name: [one for one in all_of if one.is_whole and one.number == file.number]
                for name, all_of in found.items()
            }
            lines = frozenset[bytes]().union(*(version.lines for versions in own.values() for version in versions))
            if not own[path] or file.lines - lines:  # of a group in two versions any may have the last lines
                gone.append(f"{path} should be number {file.number} with {sorted(file.lines)}, but is {found}")
        return gone

    def half(self, visible: dict[str, dict[Path, Version]]) -> list[str]:
        """Return the visible names that hold something else than a whole version that the path once had."""
        return [
            f"{root / path}: {version}"
            for path, roots in visible.items()
            for root, version in roots.items()
            if not version.is_whole or version.number not in self.history.get(path, set())
        ]

    def strange(self, visible: dict[str, dict[Path, Version]]) -> list[str]:
        """Return what a run that ended undisturbed must not leave: files twice, deleted ones, groups that were split."""
        found = [f"{path} is on {len(roots)} disks" for path, roots in visible.items() if len(roots) > 1]
        found += [f"{path} was deleted" for path in visible if path not in self.live]
        raced = self.raced
        strange = [text for text in found if not any(text.startswith(f"{path} ") for path in raced)]
        for file in {id(file): file for file in self.live.values()}.values():
            names = self._names_of(file)
            inodes = {os.stat(root / path).st_ino for path in names for root in visible.get(path, {})}
            if len(names) > 1 and len(inodes) > 1 and not raced.intersection(names):
                strange.append(f"{names} are split")
        return strange

    def own_names(self) -> list[str]:
        return [str(path) for root in self.disks for path in root.rglob(f"{MARK}*")]

    def reconcile(self) -> None:
        """Do what a person does who finds two versions: keep the last, with all its lines, and nothing else."""
        for name in self.own_names():  # a hidden folder with a version that a conflict kept
            shutil.rmtree(name)
        self._keep_the_last(self.raced)
        self.raced.clear()

    def resolve(self) -> None:
        """Do the same while a run that was not disturbed left a rest: that waits for a person where two versions are."""
        self._keep_the_last({path for path in self.raced if len(self._on(path)) > 1})

    def _keep_the_last(self, paths: set[str]) -> None:
        for path in sorted(paths):
            roots = self._on(path)
            self.counts["paths with two versions, both kept"] += len(roots) > 1
            for root in roots:
                (root / path).unlink()
        for file in {id(self.live[path]): self.live[path] for path in paths if path in self.live}.values():
            self._lay_down(file)

    def _lay_down(self, file: File) -> None:
        first, *others = self._names_of(file)
        for path in (first, *others):
            for root in self._on(path):
                (root / path).unlink()
        root = max(self.disks, key=lambda disk: os.statvfs(disk).f_bavail)
        (root / first).parent.mkdir(parents=True, exist_ok=True)
        (root / first).write_bytes(file.head + b"".join(sorted(file.lines)))
        for path in others:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).hardlink_to(root / first)


def files_below(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield every file of the share with its folder and its path relative to the disk."""
    for folder, _, names in os.walk(root / "s"):
        for name in names:
            yield Path(folder), str(Path(folder, name).relative_to(root))


def units_on(root: Path) -> list[str]:
    return sorted(f"s/{name}" for name in os.listdir(root / "s")) if (root / "s").is_dir() else []


def _path(chance: random.Random) -> str:
    folder = "deep/" if chance.random() < 0.3 else ""
    return f"s/u{chance.randrange(6)}/{folder}f{chance.randrange(100)}"


def _has_room(root: Path) -> bool:
    status = os.statvfs(root)
    return status.f_bavail * status.f_frsize > _ROOM


def empty(roots: Iterable[Path]) -> None:
    for root in roots:
        for name in os.listdir(root):
            if name != "lost+found":
                shutil.rmtree(root / name)
