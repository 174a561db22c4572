"""What stands under one of our temporary names need not be ours: somebody may have put it there a moment ago."""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lab import MakeDisk
from transfer.bench import OPERATION, Bench, another_process

OWNER = 1234  # of what is moved
COUNT = 60
_EXCHANGE = 2

# Exchanges our n-th temporary name with the n-th victim the moment it appears.
SWAP = """
import ctypes, os, sys
swap = ctypes.CDLL(None, use_errno=True).renameat2
folder = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
print("ready", flush=True)
for number in range(1, int(sys.argv[3]) + 1):
    part, victim = b".rebalancer-%s-%d.part" % (sys.argv[2].encode(), number), b"victim %d" % number
    while swap(folder, part, folder, victim, 2) != 0:
        pass
"""


@pytest.fixture
def disks(make_disk: MakeDisk) -> tuple[Path, Path]:
    made = make_disk("ext4", 64, "disk1"), make_disk("ext4", 64, "disk2")
    for root in made:
        (root / "s/u").mkdir(parents=True)
    return made


@pytest.fixture
def closing(disks: tuple[Path, Path]) -> Iterator[ExitStack]:
    """What is held open until the test is over, and not longer than the disks are there."""
    with ExitStack() as stack:
        yield stack


def held(victim: Path, closing: ExitStack) -> int:
    fd = os.open(victim, os.O_PATH | os.O_NOFOLLOW)
    closing.callback(os.close, fd)
    return fd


@contextmanager
def swapping(folder: Path) -> Iterator[None]:
    with another_process(SWAP, folder, OPERATION, str(COUNT)):
        yield


@pytest.mark.needs_root
def test_the_owner_of_a_file_that_took_the_name_of_a_new_link_is_not_changed(
    bench: Bench, disks: tuple[Path, Path], closing: ExitStack
) -> None:
    victims = []
    for number in range(1, COUNT + 1):
        link = disks[0] / f"s/u/link {number:03}"
        link.symlink_to(f"target {number}")
        os.lchown(link, OWNER, OWNER)
        (disks[1] / f"s/u/victim {number}").write_bytes(b"only root may read this")
        victims.append(held(disks[1] / f"s/u/victim {number}", closing))

    with swapping(disks[1] / "s/u"):
        bench.move("s/u", *disks)

    assert [os.fstat(victim).st_uid for victim in victims] == [0] * COUNT
    assert no_link_is_lost(disks)


@pytest.mark.needs_root
def test_the_owner_of_a_folder_that_took_the_name_of_a_new_one_is_not_changed(
    bench: Bench, disks: tuple[Path, Path], closing: ExitStack
) -> None:
    victims = []
    for number in range(1, COUNT + 1):
        folder = disks[0] / f"s/u/folder {number:03}"
        folder.mkdir()
        os.chown(folder, OWNER, OWNER)
        victim = disks[1] / f"s/u/victim {number}"
        victim.mkdir(0o700)
        (victim / "secret").write_bytes(b"only root may read this")
        victims.append(held(victim, closing))

    with swapping(disks[1] / "s/u"):
        bench.move("s/u", *disks)

    assert [os.fstat(victim).st_uid for victim in victims] == [0] * COUNT


def test_a_file_whose_copy_was_replaced_by_another_file_stays_where_it_is(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    content = os.urandom(8 * 2**20)
    (disks[0] / "s/u/film").write_bytes(content)
    foreign = disks[1] / "s/u/foreign"
    foreign.write_bytes(b"not the film")
    bench.control.limit(16 * 2**20)

    with bench.meanwhile(lambda: exchange(next((disks[1] / "s/u").glob(".rebalancer-*.part")), foreign)):
        outcome = bench.move("s/u", *disks)

    assert (disks[0] / "s/u/film").read_bytes() == content
    assert not (disks[1] / "s/u/film").exists()
    assert outcome.left == {b"s/u/film": "another file took the place of its copy"}


def test_a_file_with_two_names_whose_copy_was_replaced_stays_where_it_is(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    content = os.urandom(8 * 2**20)
    (disks[0] / "s/u/film").write_bytes(content)
    (disks[0] / "s/u/twin").hardlink_to(disks[0] / "s/u/film")
    foreign = disks[1] / "s/u/foreign"
    foreign.write_bytes(b"not the film")
    bench.control.limit(16 * 2**20)

    with bench.meanwhile(lambda: exchange(next((disks[1] / "s/u").glob(".rebalancer-*.part")), foreign)):
        outcome = bench.move("s/u", *disks)

    assert (disks[0] / "s/u/film").read_bytes() == (disks[0] / "s/u/twin").read_bytes() == content
    assert not (disks[1] / "s/u/film").exists()
    assert not (disks[1] / "s/u/twin").exists()
    assert set(outcome.left.values()) == {"another file took the place of its copy"}


def no_link_is_lost(disks: tuple[Path, Path]) -> bool:
    targets = {os.readlink(path) for root in disks for path in (root / "s/u").glob("*") if path.is_symlink()}
    targets |= {os.readlink(path) for root in disks for path in (root / "s/u").glob(".*") if path.is_symlink()}
    return targets >= {f"target {number}" for number in range(1, COUNT + 1)}


def exchange(one: Path, other: Path) -> None:
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    assert rename(-100, os.fsencode(one), -100, os.fsencode(other), _EXCHANGE) == 0, sys.exc_info()


def test_a_pipe_that_stands_at_the_destination_is_not_opened(bench: Bench, disks: tuple[Path, Path]) -> None:
    (disks[0] / "s/u/film").write_bytes(b"film")
    os.mkfifo(disks[1] / "s/u/film")
    is_opened = threading.Event()

    def write() -> None:  # opening waits for a reader
        os.close(os.open(disks[1] / "s/u/film", os.O_WRONLY))
        is_opened.set()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    outcome = bench.move("s/u", *disks)
    was_opened = is_opened.wait(0.2)
    os.close(os.open(disks[1] / "s/u/film", os.O_RDONLY | os.O_NONBLOCK))
    writer.join(10)

    assert not was_opened
    assert outcome.conflicts == {b"s/u/film"}
    assert (disks[0] / "s/u/film").read_bytes() == b"film"
