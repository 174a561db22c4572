"""Loop-mounted disks with many small files, told to the kernel as disks with or without a moving head."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

_SHARES, _UNITS = 4, 200


def fill(root: Path, *, folders: int, files: int, scattered: bool = False) -> None:
    """Make folders with so many files of 100 bytes each.

    A folder after the other, as media are copied; or, scattered, a file for each folder in turn, so that no two files
    of a folder have inodes that follow each other.
    """
    places = [root / f"share{number % _SHARES}/unit{number % _UNITS}/folder{number}" for number in range(folders)]
    for place in places if scattered else ():
        place.mkdir(parents=True)
    for turn in range(files if scattered else 1):
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
            fd = os.open(place, os.O_RDONLY)
            for number in (turn,) if scattered else range(files):
                made = os.open(f"a file of usual name {number}.jpg", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd)
                os.write(made, b"x" * 100)
                os.close(made)
            os.close(fd)


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[str]:
    """Mount an image of XFS; yields the name of its loop device."""
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop,noatime,nouuid", image, at], check=True)
    try:
        source = subprocess.run(["findmnt", "-no", "SOURCE", at], check=True, capture_output=True, text=True).stdout
        yield Path(source.strip()).name
    finally:
        subprocess.run(["umount", at], check=True)


def make(image: Path, at: Path, *, folders: int, files: int, scattered: bool = False) -> None:
    """Make an image of XFS and fill it."""
    with image.open("wb") as file:
        file.truncate(max(1 << 30, folders * (files + 2) * 8192))
    subprocess.run(["mkfs.xfs", "-q", image], check=True)
    with mounted(image, at):
        fill(at, folders=folders, files=files, scattered=scattered)


@contextmanager
def all_mounted(images: Sequence[Path], below: Path, *, spins: bool) -> Iterator[list[Path]]:
    """Mount them all, with or without a head as far as the kernel is told; what it was told before is put back."""
    with ExitStack() as stack:
        places = []
        for number, image in enumerate(images):
            places.append(below / f"disk{number}")
            loop = stack.enter_context(mounted(image, places[-1]))
            told = Path(f"/sys/block/{loop}/queue/rotational")
            stack.callback(told.write_text, told.read_text())
            told.write_text(str(int(spins)))
        yield places
