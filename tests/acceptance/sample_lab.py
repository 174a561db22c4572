"""Arrays for the acceptance tests: disks filled to a percentage with files of every kind, or with a few plain folders."""

import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import lab

MIB = 2**20
_TOP_UP = MIB // 4


def write_disk(root: Path, *, files: int, percent: float, seed: int) -> None:
    """Fill a disk to a percentage with files of every kind; some folders and shares are on every disk so filled."""
    size = os.statvfs(root).f_blocks * os.statvfs(root).f_frsize
    _write_shared_folder(root, seed)
    ballast = size // 40  # makes what is odd large enough to be among the first to move
    _write_file(root / "media" / f"oddities {seed}" / "ballast.bin", ballast)
    _write_file(root / "media" / f"film {seed}" / "film.mkv", ballast)
    _write_links_across_folders(root, seed)
    elsewhere = files * 4096 + 4 * MIB + 2 * ballast  # what rounding up to blocks costs, and what is odd
    lab.write_tree(root, files=files, seed=seed, total=max(0, int(size * percent / 100 * 0.95) - elsewhere))
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
