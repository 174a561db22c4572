"""L9: nothing outside the disks is touched while somebody swaps folders and files for links that lead out."""

import errno
import os
import random
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from crash.attacker import Opened, attacking, inodes_below, watched
from crash.figures import Figures
from lab import MakeDisk
from lab.disks import unmount
from rebalancer import linux
from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.transfer.control import Control
from rebalancer.transfer.failure import FileLeftError
from rebalancer.transfer.folder import Folder, Pair, open_child, open_on_same_volume
from rebalancer.transfer.marks import Marks
from rebalancer.transfer.route import OpenDisk, Report, Route
from transfer.bench import OPERATION, Bench, made_bench

FILES = 12
PATHS = (b"s/u", b"s/u/f0", b"s/u/deep", b"s/u/deep/f1", b"s/f", b"s/deep/f1")
LEADS_OUT = (b"s/steady/secret", b"../outside/secret", b"s/bound/secret", b"s/../../outside/secret")

pytestmark = [pytest.mark.needs_loop_disks("ext4"), pytest.mark.needs_mounts]


@dataclass(frozen=True)
class Ground:
    """Two disks that are folders of one file system, so that nothing but care keeps an opener in, and what is beside."""

    disks: tuple[Path, Path]
    outside: Path
    inside: set[tuple[int, int]]  # what is on the disks

    def words(self) -> list[str]:
        """Name what the attacker swaps: a folder, a folder below one that is swapped too, and files, on both disks."""
        return [
            f"{root}/{folder}|{name}|{name}.other"
            for root in self.disks
            for folder, name in (("s", "u"), ("s/u", "deep"), ("s/u", "f0"), ("s", "deep"), ("s", "f"))
        ]


@pytest.fixture
def ground(make_disk: MakeDisk, mounts: ExitStack) -> Ground:
    lab = make_disk("ext4", 64, "lab", options="strictatime")
    outside = write_outside(lab / "outside")
    for root in (lab / "disk1", lab / "disk2"):
        for folder in (root / "s/u/deep", root / "s/deep"):
            folder.mkdir(parents=True)
            (folder / "f1").write_bytes(b"inside")
        for name in ("s/u/f0", "s/f"):
            (root / name).write_bytes(b"inside")
        for other, target in (
            ("s/u", "u"),
            ("s/u/deep", "u/deep"),
            ("s/u/f0", "u/f0"),
            ("s/deep", "deep"),
            ("s/f", "f"),
        ):
            (root / f"{other}.other").symlink_to(outside / target)
        (root / "s/steady").symlink_to(outside)
        (root / "s/bound").mkdir()
    disks = lab / "disk1", lab / "disk2"
    inside = inodes_below(disks[0]) | inodes_below(disks[1])
    for root in disks:
        subprocess.run(["mount", "--bind", str(outside), str(root / "s/bound")], check=True)
        mounts.callback(unmount, root / "s/bound")
    return Ground(disks, outside, inside)


def write_outside(folder: Path) -> Path:
    """Make the tree that must not be touched; it looks like the inside, so that a way out is not noticed."""
    for name in ("secret", "f", "u/f0", "u/deep/f1", "deep/f1", *(f"u/f{n}" for n in range(1, FILES))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"outside " + name.encode())
    return folder


# -- the opener ---------------------------------------------------------------------------------------------------


def try_often(ground: Ground, ways: Sequence[Callable[[], Sequence[int]]], *, tries: int) -> Opened:
    """Try each way in turn while the attacker swaps."""
    seen = Opened()
    with attacking(*ground.words()) as attack:
        while seen.tries < tries:
            for way in ways:
                seen.attempt(way, ground.inside)
    assert attack.swaps > tries / 200, "hardly anything was swapped"
    return seen


def product_ways(root: int, stack: ExitStack) -> list[Callable[[], Sequence[int]]]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    share = linux.open_beneath(root, b"s", os.O_RDONLY | os.O_DIRECTORY)
    stack.callback(os.close, share)

    def by_path(path: bytes) -> Callable[[], Sequence[int]]:
        return lambda: [linux.open_beneath(root, path, flags)]

    def by_name(name: bytes) -> Callable[[], Sequence[int]]:
        return lambda: [open_on_same_volume(share, name)]

    names = [by_name(name) for name in (b"u", b"deep", b"u.other")]
    return [*map(by_path, PATHS * 6), *map(by_path, LEADS_OUT), *names * 2]


def opening_children(route: Route, stack: ExitStack) -> Callable[[], Sequence[int]]:
    """Open a folder on both disks level by level, as the mover does."""
    roots = Pair(path=b"", source=Folder(os.dup(route.source.fd)), destination=Folder(os.dup(route.destination.fd)))
    stack.callback(roots.release)

    def open_both() -> Sequence[int]:
        pairs = [roots]
        try:
            for name in (b"s", b"u", b"deep"):
                pairs.append(open_child(pairs[-1], name, route))
            return [os.dup(fd) for pair in pairs[1:] for fd in (pair.source.fd, pair.destination.fd)]
        except FileLeftError as error:
            raise error.__cause__ or OSError(str(error)) from error
        finally:
            for pair in pairs[1:]:
                pair.release()

    return open_both


def disk_at(root: Path) -> Disk:
    status = root.stat()
    return Disk(
        name=root.name, path=str(root), size_bytes=2**26, used_bytes=0, device=status.st_dev, inode=status.st_ino
    )


def route_between(disks: tuple[Path, Path], stack: ExitStack) -> Route:
    source, destination = (OpenDisk(disk_at(root), reserve=0, ledger={}) for root in disks)
    for disk in (source, destination):
        stack.callback(disk.close)
    return Route(
        source=source,
        destination=destination,
        others=(),
        marks=Marks(OPERATION),
        control=Control(Cancel()),
        report=Report(lambda _: None),
    )


def naive(root: Path, path: bytes) -> Callable[[], Sequence[int]]:
    """Look first, then open: what `realpath` said may be wrong by then. The fault that the harness must see."""

    def look_and_open() -> Sequence[int]:
        real = os.path.realpath(os.fsencode(root) + b"/" + path)
        if not real.startswith(os.fsencode(root) + b"/"):
            raise PermissionError
        return [os.open(real, os.O_RDONLY | os.O_NONBLOCK)]

    return look_and_open


def open_under_attack(ground: Ground, *, tries: int) -> Figures:
    figures = Figures(
        campaign="L9", what="opens while folders and files are swapped for links that lead out", where="ext4"
    )
    with watched(ground.outside) as canary, ExitStack() as stack:
        route = route_between(ground.disks, stack)
        opened = try_often(ground, product_ways(route.source.fd, stack), tries=tries * 19 // 20)
        children = try_often(ground, [opening_children(route, stack)], tries=tries // 20)
        events, differences = canary.events(), canary.differences()

    for seen in (opened, children):
        figures.points += seen.tries
        figures.note("opened", seen.opened)
        figures.note("refused", sum(seen.refused.values()))
        figures.lost += seen.escaped
    figures.fired = figures.points
    figures.note("events at the canary", events)
    assert opened.refused.get(os.strerror(errno.ELOOP), 0) > 0, opened.refused
    assert opened.refused.get(os.strerror(errno.EXDEV), 0) > 0, opened.refused
    assert min(opened.opened, children.opened, sum(children.refused.values())) > 0
    assert (events, differences) == (0, [])
    return figures


def test_no_open_ever_leaves_the_disk_while_its_folders_are_swapped_for_links(ground: Ground) -> None:
    open_under_attack(ground, tries=50_000).publish()


@pytest.mark.long
def test_no_open_of_a_million_leaves_the_disk_while_its_folders_are_swapped_for_links(ground: Ground) -> None:
    open_under_attack(ground, tries=1_050_000).publish()


def test_an_opener_that_looks_first_and_opens_then_is_seen_to_escape(ground: Ground) -> None:
    root = ground.disks[0]
    with watched(ground.outside) as canary:
        seen = try_often(ground, [naive(root, path) for path in PATHS], tries=20_000)
        events = canary.events()

    assert seen.escaped > 0
    assert events >= seen.escaped


# -- the mover ----------------------------------------------------------------------------------------------------


@dataclass
class Journeys:
    """The mover's ground: two file systems, and a tree outside of both that looks like what is moved."""

    disks: tuple[Path, Path]
    outside: Path
    bench: Bench
    chance: random.Random
    seed: str

    def lay_out(self) -> dict[str, bytes]:
        """Write the unit afresh, with links that lead out ready to be swapped in, and return the contents by name."""
        for root in self.disks:
            shutil.rmtree(root / "s", ignore_errors=True)
            (root / "s").mkdir()
            for name, target in (("u.other", "u"), ("bait", "u/f0"), ("bait folder", "u")):
                (root / "s" / name).symlink_to(self.outside / target)
        contents = {
            f"f{number}": self.chance.randbytes(self.chance.choice((10, 5_000, 200_000))) for number in range(FILES)
        }
        folder = self.disks[0] / "s/u"
        (folder / "deep").mkdir(parents=True)
        for number, (name, content) in enumerate(contents.items()):
            (folder / ("deep" if number % 3 == 0 else "") / name).write_bytes(content)
        return contents

    def plant(self) -> None:
        """Put links where our temporary names and hidden folders will be."""
        for root in self.disks:
            for folder in (root / "s/u", root / "s"):
                if folder.is_dir() and not folder.is_symlink():
                    for name in (
                        *(f"{OPERATION}-{n}.part" for n in self.chance.sample(range(1, 20), 3)),
                        f"{OPERATION}.hidden",
                    ):
                        link = folder / f".rebalancer-{name}"
                        if not os.path.lexists(link) and self.chance.random() < 0.4:
                            link.symlink_to(self.outside / "u" / "f0")

    def words(self) -> list[str]:
        return [
            word
            for root in self.disks
            for word in (f"{root}/s|u|u.other", f"{root}/s|*|bait", f"{root}/s|*|bait folder")
        ]


@pytest.fixture
def journeys(make_disk: MakeDisk, tmp_path: Path) -> Iterator[Journeys]:
    seed = os.environ.get("REBALANCER_CRASH_SEED", "") or secrets.token_hex(4)
    disks = make_disk("ext4", 64, "disk1"), make_disk("tmpfs", 64, "disk2")
    outside = write_outside(make_disk("tmpfs", 8, "outside", options="strictatime") / "tree")
    with made_bench(tmp_path) as bench:
        yield Journeys(disks, outside, bench, random.Random(seed), seed)  # noqa: S311 - no secret


def missing(disks: Sequence[Path], contents: dict[str, bytes]) -> list[str]:
    """Return the files whose content is nowhere; under which name the attacker put it does not matter."""
    found = set()
    for root in disks:
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                found.add(path.read_bytes())
    return [name for name, content in contents.items() if content not in found]


def judge(journeys: Journeys, contents: dict[str, bytes], figures: Figures) -> None:
    lost = missing(journeys.disks, contents)
    figures.lost += len(lost)
    figures.states += 1
    for root in journeys.disks:
        for path in root.rglob("f[0-9]*"):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                figures.half += content not in contents.values()
                figures.note("names that the attacker gave to another whole file", content != contents[path.name])


def move_once(journeys: Journeys, there: tuple[Path, Path], figures: Figures) -> None:
    figures.points += 1
    try:
        outcome = journeys.bench.move("s/u", *there)
    except OSError:  # the worker reports the unit as left then
        figures.note("units left")
        return
    figures.note("files moved", outcome.files_moved)
    figures.note("files left", len(outcome.left))
    for reason in outcome.left.values():
        figures.note("refused at a link", "symbolic link" in reason)


def move_under_attack(journeys: Journeys, *, seconds: float) -> Figures:
    figures = Figures(
        campaign="L9",
        what="moves under the same attack, our own names hunted too",
        where="ext4 <-> tmpfs",
        seed=journeys.seed,
    )
    with watched(journeys.outside) as canary:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            contents = journeys.lay_out()
            journeys.plant()
            with attacking(*journeys.words()) as attack:
                for there in (journeys.disks, journeys.disks[::-1]) * 3:
                    move_once(journeys, there, figures)
            figures.note("swaps", attack.swaps)
            figures.note("our own names swapped", attack.hunted)
            events = canary.events()
            figures.note("events at the canary", events)
            judge(journeys, contents, figures)
        differences = canary.differences()
    figures.fired = figures.points
    for words in ("swaps", "our own names swapped", "files moved", "files left", "refused at a link"):
        assert figures.notes[words] > 0, figures.notes
    assert figures.notes["events at the canary"] == 0, figures.notes
    assert differences == []
    return figures


def test_no_move_touches_anything_outside_the_disks_while_folders_and_our_own_names_are_swapped(
    journeys: Journeys,
) -> None:
    move_under_attack(journeys, seconds=6).publish()


@pytest.mark.long
def test_no_move_in_a_minute_touches_anything_outside_the_disks(journeys: Journeys) -> None:
    move_under_attack(journeys, seconds=60).publish()
