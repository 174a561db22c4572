"""A small array that looks like a grown one: four disks of different sizes and fill, with the files people have."""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rebalancer.cancel import Cancel

MEGABYTE = 10**6
NEEDED = 700 * MEGABYTE  # the sample, room for what moves, and some air
ISLAND = 65536  # bytes of data between two holes


@dataclass(frozen=True, slots=True)
class SampleDisk:
    """A folder that plays a disk of ``size`` bytes and is filled up to ``used`` bytes."""

    name: str
    size: int
    used: int


DISKS = (
    SampleDisk("disk1", 200 * MEGABYTE, 182 * MEGABYTE),
    SampleDisk("disk2", 150 * MEGABYTE, 90 * MEGABYTE),
    SampleDisk("disk3", 120 * MEGABYTE, 16 * MEGABYTE),
    SampleDisk("disk4", 250 * MEGABYTE, 8 * MEGABYTE),
)

_LAKES = ("Como", "Garda", "Bled", "Ohrid", "Inari", "Malawi", "Baikal", "Tahoe")
_BANDS = ("The Tall Ships", "Ólafía", "Nine Lanterns", "Café Müller", "北の歌", "Slow Harbour")
_SHOWS = ("Harbour Street", "The Long Winter", "Cold Signal", "Bakers", "Northbound")
_FILMS = ("The Lighthouse Keeper (1998)", "Paper Moons (2011)", "Two Rivers (2004)", "Under Glass (2019)")


def build(folder: Path, cancel: Cancel) -> dict[str, Path]:
    """Create the disks below a folder and return them by name; raises CancelledError when asked to stop."""
    made = {}
    for number, disk in enumerate(DISKS):
        root = folder / disk.name
        root.mkdir()
        _fill(_Writer(root, random.Random(number)), disk, cancel)  # noqa: S311 - a sample, not a secret
        made[disk.name] = root
    return made


class _Writer:
    """Writes files below one disk and counts their bytes."""

    def __init__(self, root: Path, dice: random.Random) -> None:
        self.root = os.fsencode(root)
        self.dice = dice
        self.written = 0

    def file(self, path: str | bytes, size: int) -> None:
        """Write one file of random content, with a mode and a time of its own."""
        target = os.path.join(self.root, os.fsencode(path))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(self.dice.randbytes(size))
        self.written += -(-size // 4096) * 4096
        self._age(target)

    def sparse(self, path: str, size: int, islands: int) -> None:
        """Write a file that is mostly hole, as a disk image is."""
        target = os.path.join(self.root, os.fsencode(path))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            for island in range(islands):
                file.seek(size // islands * island)
                file.write(self.dice.randbytes(ISLAND))
            file.truncate(size)
        self.written += islands * ISLAND
        self._age(target)

    def link(self, old: str, new: str) -> None:
        target = os.path.join(self.root, os.fsencode(new))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.link(os.path.join(self.root, os.fsencode(old)), target)

    def _age(self, target: bytes) -> None:
        os.chmod(target, self.dice.choice((0o644, 0o644, 0o664, 0o600, 0o755)))
        moment = self.dice.randrange(1_100_000_000, 1_780_000_000) * 10**9 + self.dice.randrange(10**9)
        os.utime(target, ns=(moment, moment))


def _fill(writer: _Writer, disk: SampleDisk, cancel: Cancel) -> None:
    _odd_things(writer, disk)
    for write_unit, number in _units():
        cancel.check()
        if writer.written >= disk.used:
            return
        write_unit(writer, f"{disk.name} {number}")


def _units() -> Iterator[tuple[Callable[[_Writer, str], None], int]]:
    number = 0
    while True:
        number += 1
        for write_unit in (_documents, _album, _music, _documents, _series, _film):
            yield write_unit, number


def _documents(writer: _Writer, key: str) -> None:
    name = f"documents/{writer.dice.randrange(1995, 2027)} {key} {writer.dice.randrange(1000)}"
    for number in range(60):
        writer.file(f"{name}/letter {number:03d}.odt", int(writer.dice.paretovariate(0.9) * 900) % 40_000)


def _album(writer: _Writer, key: str) -> None:
    name = f"photos/Lake {writer.dice.choice(_LAKES)} {key}"
    for number in range(30):
        writer.file(f"{name}/IMG_{number:04d}.jpg", writer.dice.randrange(20_000, 120_000))


def _music(writer: _Writer, key: str) -> None:
    name = f"music/{writer.dice.choice(_BANDS)} {key}"
    for number in range(1, 11):
        writer.file(f"{name}/Live/{number:02d} Track.flac", writer.dice.randrange(200_000, 600_000))


def _series(writer: _Writer, key: str) -> None:
    name = f"series/{writer.dice.choice(_SHOWS)} {key}"
    for number in range(1, 4):
        writer.file(f"{name}/Season 01/S01E{number:02d}.mkv", writer.dice.randrange(1_000_000, 3_000_000))
        writer.file(f"{name}/Season 01/S01E{number:02d}.en.srt", writer.dice.randrange(20_000, 60_000))


def _film(writer: _Writer, key: str) -> None:
    name = f"movies/{writer.dice.choice(_FILMS)} {key}"
    writer.file(f"{name}/film.mkv", writer.dice.randrange(3_000_000, 9_000_000))
    writer.file(f"{name}/film.nfo", 1200)


def _odd_things(writer: _Writer, disk: SampleDisk) -> None:
    """Write what breaks careless programs; where a disk is too full it is bulky, so that it has to move."""
    bulk = 8 * MEGABYTE if disk is DISKS[0] else MEGABYTE // 4
    writer.sparse(f"vms/{disk.name}/system.img", 256 * MEGABYTE, bulk // ISLAND)
    writer.file(f"backups/{disk.name}/monday/report.pdf", bulk)
    writer.link(f"backups/{disk.name}/monday/report.pdf", f"backups/{disk.name}/tuesday/report.pdf")
    odd = f"odd names {disk.name}".encode()
    writer.file(b"inbox/" + odd + b"/long\nplayer.mkv", bulk)
    for name in (
        b"two\nlines.txt", b"not utf-8 \xff\xfe.txt", b"-rf", b"escape \x1b[31mred.txt", b" space at both ends ",
        b"n" * 255, "Käse (composed).txt".encode(), "Ka\u0308se (decomposed).txt".encode(),
    ):  # fmt: skip
        writer.file(b"inbox/" + odd + b"/" + name, 5000)
    writer.file(b"inbox/" + odd + b"/empty", 0)
