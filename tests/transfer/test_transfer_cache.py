"""A move leaves the page cache as it was: what is behind it is written back, and forgotten, window by window."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import MakeDisk
from rebalancer import linux
from rebalancer.transfer import content
from transfer.bench import Bench

MIB = 2**20
SIZE = 64 * MIB + 5
AHEAD = 8 * MIB  # what the kernel may read ahead of us, at the very most


@pytest.fixture
def disks(make_disk: MakeDisk) -> tuple[Path, Path]:
    source, destination = make_disk("ext4", 100, "disk1"), make_disk("xfs", 300, "disk2")
    (source / "s/u").mkdir(parents=True)
    (source / "s/u/it").write_bytes(os.urandom(SIZE))
    return source, destination


@pytest.fixture
def opened(disks: tuple[Path, Path]) -> Iterator[tuple[int, int]]:
    """Open the source, all of it in the cache because somebody read it, and an empty copy."""
    with ExitStack() as stack:
        source = os.open(disks[0] / "s/u/it", os.O_RDONLY)
        stack.callback(os.close, source)
        copy = os.open(disks[1] / "copy", os.O_RDWR | os.O_CREAT)
        stack.callback(os.close, copy)
        os.fsync(source)
        yield source, copy


def cached(fd: int) -> int:
    return linux.cached_pages(fd) * os.sysconf("SC_PAGE_SIZE")


def most(fd: int, into: list[int]) -> Callable[[int], None]:
    """Return a step that notes how much of a file is in the cache."""
    return lambda _: into.append(cached(fd))


def test_a_copy_leaves_no_more_than_a_few_windows_of_itself_in_the_cache(opened: tuple[int, int]) -> None:
    seen: list[int] = []

    content.copy(*opened, SIZE, on_chunk=most(opened[1], seen))

    assert max(seen) <= 16 * MIB
    assert cached(opened[1]) <= 16 * MIB


def test_a_copy_forgets_the_source_behind_itself_also_what_somebody_else_had_read(opened: tuple[int, int]) -> None:
    position, seen = [0], []
    os.pread(opened[0], SIZE, 0)
    assert cached(opened[0]) >= SIZE

    def step(count: int) -> None:
        position[0] += count
        seen.append(cached(opened[0]) - (SIZE - position[0]))

    content.copy(*opened, SIZE, on_chunk=step)

    assert max(seen) <= 8 * MIB
    assert cached(opened[0]) == 0


def test_reading_again_forgets_what_is_behind_it(opened: tuple[int, int]) -> None:
    seen: list[int] = []
    assert content.evict(opened[0])

    content.read_again(opened[0], SIZE, is_evicted=True, on_chunk=most(opened[0], seen))

    assert max(seen) <= AHEAD + 8 * MIB
    assert cached(opened[0]) == 0


def test_a_moved_file_is_not_in_the_cache(bench: Bench, disks: tuple[Path, Path]) -> None:
    assert bench.work(bench.operation(["s/u"], *disks)).finished.files_moved == 1

    fd = os.open(disks[1] / "s/u/it", os.O_RDONLY)
    try:
        assert cached(fd) == 0
    finally:
        os.close(fd)
