"""Arrays for the acceptance tests: disks filled to a percentage with files of every kind, or with a few plain folders."""

import json
import os
import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lab
from lab import Entry, Running, RunProgram, StartProgram

MIB = 2**20
_TOP_UP = MIB // 4
_ODD = 3  # trees with something of every kind in each disk: a plan may spare one of them, hardly all


def write_disk(root: Path, *, files: int, percent: float, seed: int) -> None:
    """Fill a disk to a percentage with files of every kind; some folders and shares are on every disk so filled."""
    figures = os.statvfs(root)
    size, of_its_own = (blocks * figures.f_frsize for blocks in (figures.f_blocks, figures.f_blocks - figures.f_bfree))
    _write_shared_folder(root, seed)
    ballast = size // 40  # makes what is odd large enough to be among the first to move
    seeds = [seed, *(100 * number + seed for number in range(1, _ODD))]
    for number, own in enumerate(seeds, start=1):
        _write_file(root / "media" / f"oddities {own}" / "ballast.bin", ballast // number)
    _write_file(root / "media" / f"film {seed}" / "film.mkv", ballast)
    _write_links_across_folders(root, seed)
    elsewhere = of_its_own + files * 4096 + _ODD * 4 * MIB + 3 * ballast  # rounding up to blocks, and what is odd
    total = max(0, int(size * percent / 100 * 0.95) - elsewhere)
    for own in seeds:
        lab.write_tree(root, files=files // _ODD, seed=own, total=total // _ODD)
    _top_up(root, percent, seed)


def write_folders(root: Path, count: int, *, size: int = 2 * MIB, files: int = 2, share: str = "media") -> list[Path]:
    """Write folders that are one unit each, with files of that size together; returns them."""
    content = random.Random(str(root))  # noqa: S311 - sample content, no secret
    folders = [root / share / f"film {number}" for number in range(count)]
    for folder in folders:
        folder.mkdir(parents=True)
        for number in range(files):
            (folder / f"part {number}.mkv").write_bytes(content.randbytes(size // files))
    settle(root)
    return folders


def marks(roots: Sequence[Path]) -> list[bytes]:
    """Return every name on these disks that the program gave to files of its own."""
    return [path for root in roots for path in lab.snapshot(root) if b".rebalancer-" in path]


def spread(roots: Sequence[Path]) -> float:
    """Return the percentage points between the fullest and the emptiest disk, as statvfs(3) tells them."""
    for root in roots:
        settle(root)
    used = [lab.used_percent(root) for root in roots]
    return max(used) - min(used)


def settle(root: Path) -> None:
    """Let a file system write everything, so that what it says of its space is true."""
    subprocess.run(["sync", "--file-system", root], check=True)


def _write_shared_folder(root: Path, seed: int) -> None:
    folder = root / "media" / "on every disk"
    folder.mkdir(parents=True)
    for number in range(20):
        (folder / f"episode {seed}-{number}.mkv").write_bytes(os.urandom(50_000))


def _write_links_across_folders(root: Path, seed: int) -> None:
    film, collection = root / "media" / f"film {seed}", root / "media" / f"collection {seed}" / "drama"
    collection.mkdir(parents=True)
    (collection / "film.mkv").hardlink_to(film / "film.mkv")
    (film / "film.nfo").write_bytes(b"by itself")


def _write_file(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(os.urandom(size))


def _top_up(root: Path, percent: float, seed: int) -> None:
    number = 0
    for _ in range(5):  # what the files themselves occupy in metadata is seen only afterwards
        settle(root)
        for size in _missing(root, percent):
            path = root / "photos" / f"year {seed}-{number // 8:02}" / f"{number}.raw"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(size))
            number += 1
    assert abs(lab.used_percent(root) - percent) < 1, f"{root} is {lab.used_percent(root):.1f} % full"


def _missing(root: Path, percent: float) -> list[int]:
    figures = os.statvfs(root)
    wanted = int(figures.f_blocks * percent / 100) - (figures.f_blocks - figures.f_bfree)
    whole, rest = divmod(max(0, wanted * figures.f_frsize), _TOP_UP)
    return [*([_TOP_UP] * whole), *([rest] if rest > _TOP_UP // 4 else [])]


@dataclass(frozen=True, slots=True)
class Scene:
    """A small array and the program to be run on it."""

    roots: Sequence[Path]
    state: Path
    run_program: RunProgram
    start_program: StartProgram
    before: dict[bytes, Entry] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "before", lab.snapshot_array(self.roots))

    @property
    def disks(self) -> list[str]:
        return [f"--disk={root}" for root in self.roots]

    def run(self, *options: str | Path, exit_code: int) -> str:
        """Run the program and return the words it prints for a person."""
        return self.run_program("run", "--yes", *self.disks, *options, exit_code=exit_code).stdout

    def start(self, *options: str | Path) -> Running:
        return self.start_program("run", "--yes", *self.disks, *options)

    def plan(self) -> dict[str, Any]:
        """Save a plan as `plan_file` and return it."""
        self.run_program("plan", *self.disks, "--save", self.plan_file, exit_code=0)
        plan: dict[str, Any] = json.loads(self.plan_file.read_bytes())
        return plan

    @property
    def plan_file(self) -> Path:
        return self.state / "plan.json"

    @property
    def record(self) -> dict[str, Any]:
        """What the last execution left on record."""
        record: dict[str, Any] = json.loads(max((self.state / "config" / "executions").glob("*.json")).read_bytes())
        return record

    def place(self, move: dict[str, Any], name: str, *, at: str = "source") -> Path:
        """Return where a file of a planned move is, or with ``at="destination"`` will be."""
        return self.root(move[at]).joinpath(move["path"], name)

    def root(self, name: str) -> Path:
        return next(root for root in self.roots if root.name == name)

    def copying(self) -> tuple[Path, Path]:
        """Wait until a file is being copied; return its folder on the source and on the destination."""
        for _ in wait_for("a file to be copied"):
            for root in self.roots[1:]:
                with suppress(FileNotFoundError):  # a folder got its name while it was looked into
                    for part in root.glob("media/*/.rebalancer-*.part"):
                        folder = part.parent.relative_to(root)
                        if part.is_file() and part.stat().st_size:
                            return self.roots[0] / folder, root / folder
        raise AssertionError("unreachable")

    def changes(self, roots: Sequence[Path] | None = None) -> list[str]:
        """Return how the array differs from what it was before, with what the program forgot to remove."""
        return lab.difference(self.before, lab.snapshot_array(roots or self.roots), ignore_folder_times=True)

    def is_moved(self, move: dict[str, Any]) -> bool:
        return not self.place(move, "").exists() and self.place(move, "part 1.mkv", at="destination").exists()


def wait_for(what: str, *, patience: float = 20) -> Iterator[None]:
    """Yield again and again until the caller has seen it; fail the test when that takes too long."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        yield
        time.sleep(0.01)
    raise AssertionError(f"waited {patience} seconds for {what}")
