"""What is moved: trees that come out the same every time, of bytes that do not compress."""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SHARE = "Media"
_POOL = random.Random(7).randbytes(8 * 2**20)
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Tree:
    """A named tree: ``make`` fills an empty disk, ``room`` is what a disk needs to hold it, in bytes."""

    name: str
    files: int
    size: int
    room: int
    make: Callable[[Path], None]


def large(size: int, *, files: int = 4) -> Tree:
    def make(root: Path) -> None:
        for number in range(files):
            folder = root / SHARE / f"film {number}"
            folder.mkdir(parents=True)
            write(folder / "film.mkv", size // files, seed=number)

    return Tree("large files", files, size, size + 512 * 2**20, make)


def small(files: int, *, least: int = 1024, most: int = 8192, name: str = "small files") -> Tree:
    """Files in 20 units of 20 folders each."""
    sizes = random.Random(files)
    lengths = [sizes.randint(least, most) for _ in range(files)]

    def make(root: Path) -> None:
        per_folder = -(-files // 400)
        for number, length in enumerate(lengths):
            place = number // per_folder
            folder = root / SHARE / f"unit {place // 20:02}" / f"folder {place % 20:02}"
            if number % per_folder == 0:
                folder.mkdir(parents=True)
            start = (number * 4099) % (len(_POOL) - length)
            fd = os.open(folder / f"file {number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(fd, _POOL[start : start + length])
            os.close(fd)

    return Tree(name, files, sum(lengths), files * (most + 4096) + 512 * 2**20, make)


def one_unit(files: int) -> Tree:
    """Many small files of 1 KiB in one unit."""

    def make(root: Path) -> None:
        for number in range(files):
            folder = root / SHARE / "unit" / f"folder {number // 500:04}"
            if number % 500 == 0:
                folder.mkdir(parents=True)
            (folder / f"file {number}").write_bytes(_POOL[number : number + 1024])

    return Tree(f"one unit of {files:,} files", files, files * 1024, files * 8192 + 512 * 2**20, make)


def sparse(length: int, data: int, *, pieces: int = 64) -> Tree:
    """One file of that length, with data in as many places."""

    def make(root: Path) -> None:
        folder = root / SHARE / "image"
        folder.mkdir(parents=True)
        with (folder / "disk.img").open("wb") as file:
            for number in range(pieces):
                file.seek(number * (length // pieces))
                _fill(file.fileno(), number * (length // pieces), data // pieces, seed=number)
            file.truncate(length)

    return Tree("a sparse file", 1, length, 2 * data + 512 * 2**20, make)


def write(path: Path, size: int, *, seed: int) -> None:
    """Write a file of that many bytes."""
    with path.open("xb") as file:
        _fill(file.fileno(), 0, size, seed=seed)


def _fill(fd: int, at: int, size: int, *, seed: int) -> None:
    end, number = at + size, seed
    while at < end:
        start = (number * 65_521) % (len(_POOL) - _CHUNK)
        at += os.pwrite(fd, _POOL[start : start + min(_CHUNK, end - at)], at)
        number += 1
