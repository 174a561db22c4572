"""Single bits that go wrong between the medium and the worker, on its first read, its second read or its write."""

import mmap
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BLOCK = 4096


@dataclass(eq=False)
class Bit:
    """One bit of a file on a mounted image, flipped on the medium behind the page cache, and flipped back."""

    disk: Path
    file: Path  # as it is named now
    position: int  # of the byte in the file
    mask: int
    block: bytes  # what the file holds around it, at a multiple of `BLOCK`
    at: int = -1  # where on the medium

    def flip(self) -> None:
        """Flip the bit, and let nobody see the file's content from a cache."""
        if self.at < 0:
            self.at = self._find()
        self._toggle()
        forget(self.file)

    def flip_back(self) -> None:
        self._toggle()

    def is_wrong_in(self, copy: Path) -> bool:
        """Return whether somebody copied the flipped bit."""
        with copy.open("rb") as file:
            file.seek(self.position)
            found = file.read(1)
        return bool(found) and found[0] == self.block[self.position % BLOCK] ^ self.mask

    def _find(self) -> int:
        subprocess.run(["sync", "--file-system", self.disk], check=True)
        with self._medium() as medium:
            start = medium.find(self.block)
        assert start >= 0, "the block is not on the medium"
        return start + self.position % BLOCK

    def _toggle(self) -> None:
        with self._medium() as medium:
            medium[self.at] ^= self.mask
            medium.flush()

    @contextmanager
    def _medium(self) -> Iterator[mmap.mmap]:
        image = self.disk.with_name(f"{self.disk.name}.img")
        with image.open("r+b") as file, mmap.mmap(file.fileno(), 0) as medium:
            yield medium


def any_bit(disk: Path, file: Path, content: bytes, chance: random.Random, *, below: int) -> Bit:
    """Choose a bit of a file whose content is known, in its first bytes."""
    position = chance.randrange(below)
    start = position - position % BLOCK
    return Bit(disk, file, position, 1 << chance.randrange(8), content[start : start + BLOCK])


def forget(file: Path) -> None:
    """Drop a file's pages: what is read next comes from the medium."""
    fd = os.open(file, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
