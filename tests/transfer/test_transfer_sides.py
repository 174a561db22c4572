"""Both sides are read again at once where they are apart; a fault of either ends both, and no thread stays behind."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import lab
from crash.devices import device_with_errors
from lab import MakeDisk
from rebalancer.array.medium import medium_of
from rebalancer.errors import CancelledError
from rebalancer.transfer import content, sides
from rebalancer.transfer.failure import ChangedError, UnreadableError
from rebalancer.transfer.sides import Side
from transfer.bench import Bench, disks_at, ended, own_names, wait_until

MIB = 2**20
SIZE = 24 * MIB + 5


@pytest.fixture
def disks(make_disk: MakeDisk) -> Iterator[tuple[Path, Path]]:
    """Give two disks that are known to be apart: each an image in memory of its own."""
    with ExitStack() as stack:
        one = stack.enter_context(lab.disk(make_disk("tmpfs", 80, "memory1") / "disk1", "ext4", 64))
        other = stack.enter_context(lab.disk(make_disk("tmpfs", 320, "memory2") / "disk2", "xfs", 300))
        (one / "s/u").mkdir(parents=True)
        (one / "s/u/it").write_bytes(os.urandom(SIZE))
        yield one, other


@pytest.fixture
def pair(disks: tuple[Path, Path]) -> Iterator[tuple[Side, Side]]:
    """Give a file and its copy, both open and forgotten by the page cache."""
    copy = disks[1] / "copy"
    copy.write_bytes((disks[0] / "s/u/it").read_bytes())
    with ExitStack() as stack:
        fds = [os.open(path, os.O_RDONLY) for path in (disks[0] / "s/u/it", copy)]
        for fd in fds:
            stack.callback(os.close, fd)
            os.fsync(fd)
        one, other = (Side(fd, f"disk{number}", content.evict(fd)) for number, fd in enumerate(fds, start=1))
        yield one, other


def read_at_once(pair: tuple[Side, Side], *, on_chunk: object = None) -> tuple[bytes, ...]:
    step = on_chunk if callable(on_chunk) else lambda _: None
    return sides.read_again(pair, SIZE, are_apart=lambda: True, on_chunk=step)


def bytes_read() -> int:
    rows = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(rows["rchar"])


def test_two_sides_apart_are_read_at_once_and_give_what_one_after_the_other_gives(pair: tuple[Side, Side]) -> None:
    threads = set()

    at_once = read_at_once(pair, on_chunk=lambda _: threads.add(threading.active_count()))
    in_turn = sides.read_again(pair, SIZE, are_apart=lambda: False, on_chunk=lambda _: None)

    assert max(threads) == 2
    assert at_once == in_turn
    assert at_once[0] == at_once[1]
    assert threading.active_count() == 1


def test_a_difference_shows_on_the_side_that_has_it(disks: tuple[Path, Path], pair: tuple[Side, Side]) -> None:
    good = read_at_once(pair)
    with (disks[1] / "copy").open("r+b") as file:
        file.seek(SIZE - 3)
        file.write(b"?")

    found = read_at_once(pair)

    assert found[0] == good[0]
    assert found[1] != good[1]


@pytest.mark.parametrize("shorter", [0, 1])
def test_a_file_that_became_shorter_ends_the_reading_of_both(
    disks: tuple[Path, Path], pair: tuple[Side, Side], shorter: int
) -> None:
    os.truncate([disks[0] / "s/u/it", disks[1] / "copy"][shorter], 9 * MIB)

    with pytest.raises(ChangedError):
        read_at_once(pair)

    assert threading.active_count() == 1


@pytest.mark.needs_tool("nbdkit", "nbdfuse")
@pytest.mark.parametrize("order", [1, -1])
def test_a_read_error_of_either_side_ends_both_and_names_its_disk(
    tmp_path: Path, disks: tuple[Path, Path], order: int
) -> None:
    with device_with_errors(tmp_path / "failing", "ext4", 64) as failing, ExitStack() as stack:
        (failing.root / "copy").write_bytes((disks[0] / "s/u/it").read_bytes())
        parts = []
        for path, name in ((disks[0] / "s/u/it", "sound"), (failing.root / "copy", "failing")):
            fd = os.open(path, os.O_RDONLY)
            stack.callback(os.close, fd)
            os.fsync(fd)
            parts.append(Side(fd, name, content.evict(fd)))
        read = []

        def strike(count: int) -> None:
            read.append(count)
            if sum(read) == 2 * MIB:
                failing.strike()

        with pytest.raises(UnreadableError) as caught:
            sides.read_again(parts[::order], SIZE, are_apart=lambda: True, on_chunk=strike)

        assert caught.value.disk == "failing"
        assert sum(read) < SIZE
        assert threading.active_count() == 1


def test_a_stop_ends_both_sides(pair: tuple[Side, Side]) -> None:
    read = []

    def stop(count: int) -> None:
        read.append(count)
        if len(read) == 3:
            raise CancelledError("cancelled")

    with pytest.raises(CancelledError):
        read_at_once(pair, on_chunk=stop)

    assert len(read) == 3
    assert threading.active_count() == 1


def test_while_one_side_waits_the_other_stands_still_a_few_windows_later(pair: tuple[Side, Side]) -> None:
    read: list[int] = []

    def pause(count: int) -> None:
        if not read:
            time.sleep(0.2)
            read.append(bytes_read())
            time.sleep(0.2)
            read.append(bytes_read())

    read_at_once(pair, on_chunk=pause)

    assert read[1] - read[0] < MIB  # nothing but the figures themselves


def test_the_real_worker_reads_sides_apart_in_two_threads_and_a_file_too_small_for_that_in_one(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    trace = bench.folder / "trace"
    (disks[0] / "s/v").mkdir()
    (disks[0] / "s/v/small").write_bytes(os.urandom(2 * MIB))
    strace = ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=preadv,preadv2"]

    readers = {}
    for unit in ("s/u", "s/v"):
        assert bench.work(bench.operation([unit], *disks), under=strace).finished.files_moved == 1
        readers[unit] = {line.split()[0] for line in trace.read_text().splitlines() if "preadv" in line}

    assert {unit: len(found) for unit, found in readers.items()} == {"s/u": 2, "s/v": 1}


def test_two_disks_on_one_spindle_are_read_one_after_the_other(bench: Bench, make_disk: MakeDisk) -> None:
    disks = make_disk("ext4", 64, "disk1"), make_disk("xfs", 300, "disk2")
    for disk in disks:
        lab.disks.set_rotational(disk, rotational=True)
    one, other = (medium_of(disk) for disk in disks_at(*disks))
    assert one.spindles & other.spindles
    (disks[0] / "s/u").mkdir(parents=True)
    (disks[0] / "s/u/it").write_bytes(os.urandom(SIZE))
    trace = bench.folder / "trace"

    worked = bench.work(
        bench.operation(["s/u"], *disks), under=["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=preadv,preadv2"]
    )

    assert worked.finished.files_moved == 1
    assert len({line.split()[0] for line in trace.read_text().splitlines() if "preadv" in line}) == 1


def test_a_worker_stopped_while_both_sides_are_read_leaves_nothing_half_done(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    before = lab.snapshot(disks[0])
    operation = bench.operation(["s/u"], *disks, rate=20 * MIB)

    with bench.start(operation) as process:
        wait_until(lambda: len(os.listdir(f"/proc/{process.pid}/task")) == 2)
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        worked = ended(process)

    assert time.monotonic() - asked < 2
    assert (worked.finished.stopped, worked.finished.files_moved) == ("cancelled", 0)
    assert lab.difference(before, lab.snapshot(disks[0])) == []
    assert [path for path in disks[1].rglob("*") if not path.is_dir()] == []
    assert own_names(*disks) == []
