"""A stop, a pause and somebody who wants a file interrupt the work at once and leave nothing half done."""

import os
import signal
import time
from pathlib import Path

import pytest

import lab
from lab import MakeDisk
from rebalancer.errors import CancelledError
from rebalancer.transfer.messages import Progress
from transfer.bench import Bench, ended, own_names, wait_until

MIB = 2**20
SIZE = 300 * MIB


@pytest.fixture
def disks(make_disk: MakeDisk) -> tuple[Path, Path]:
    """Two disks, the first with a file of 300 MB that takes long under a bandwidth limit, and a small one."""
    source, destination = make_disk("ext4", 400, "disk1"), make_disk("xfs", 400, "disk2")
    (source / "s/u").mkdir(parents=True)
    block = os.urandom(MIB)
    with (source / "s/u/large").open("wb") as file:
        for number in range(300):
            file.write(number.to_bytes(4, "little") + block[4:])
    (source / "s/u/small").write_bytes(b"small")
    return source, destination


def test_a_stop_ends_a_large_copy_within_a_second_and_leaves_no_part(bench: Bench, disks: tuple[Path, Path]) -> None:
    before, asked = lab.snapshot(disks[0]), []
    bench.control.limit(20 * MIB)

    def stop() -> None:
        time.sleep(0.3)
        asked.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    with bench.meanwhile(stop), pytest.raises(CancelledError):
        bench.move("s/u", *disks)

    assert time.monotonic() - asked[0] < 1
    assert lab.difference(before, lab.snapshot(disks[0])) == []
    assert [path for path in disks[1].rglob("*") if path.is_file()] == []
    assert own_names(*disks) == []


def test_the_real_worker_answers_a_stop_with_what_it_did_and_what_waits(bench: Bench, disks: tuple[Path, Path]) -> None:
    (disks[0] / "s/before").mkdir()
    (disks[0] / "s/before/file").write_bytes(b"first")
    operation = bench.operation(["s/before", "s/u"], *disks, rate=20 * MIB)

    with bench.start(operation) as process:
        wait_until(lambda: any(disks[1].rglob("*.part")))
        time.sleep(0.2)
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        worked = ended(process)

    assert time.monotonic() - asked < 1
    assert (worked.exit_code, worked.finished.stopped, worked.finished.files_moved) == (0, "cancelled", 1)
    assert sorted(os.listdir(disks[0] / "s/u")) == ["large", "small"]
    assert own_names(*disks) == []


def test_a_waiting_writer_gets_the_file_at_once_and_its_write_is_kept(bench: Bench, disks: tuple[Path, Path]) -> None:
    waited = []
    bench.control.limit(60 * MIB)

    def write() -> None:
        time.sleep(0.2)
        asked = time.monotonic()
        with (disks[0] / "s/u/large").open("r+b") as file:
            waited.append(time.monotonic() - asked)
            file.seek(SIZE)
            file.write(b"written")

    with bench.meanwhile(write):
        outcome = bench.move("s/u", *disks)

    assert waited[0] < 1
    assert outcome.left.keys() == {b"s/u/large"}
    assert (disks[0] / "s/u/large").stat().st_size == SIZE + len(b"written")
    assert os.listdir(disks[1] / "s/u") == ["small"]
    assert own_names(*disks) == []


def test_a_paused_move_stands_still_and_after_resuming_it_is_finished(bench: Bench, disks: tuple[Path, Path]) -> None:
    before, sizes = lab.snapshot(disks[0]), []
    bench.control.limit(300 * MIB)

    def pause_and_resume() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        part = next(disks[1].rglob("*.part"))
        for _ in range(2):
            time.sleep(0.3)
            sizes.append(part.stat().st_size)
        os.kill(os.getpid(), signal.SIGUSR2)

    with bench.meanwhile(pause_and_resume):
        outcome = bench.move("s/u", *disks)

    assert sizes[0] == sizes[1] < SIZE
    assert outcome.left == {}
    assert lab.difference(before, lab.snapshot(disks[1])) == []


def test_the_real_worker_says_that_it_is_paused_and_goes_on_when_resumed(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    operation = bench.operation(["s/u"], *disks, rate=200 * MIB)

    with bench.start(operation) as process:
        wait_until(lambda: any(disks[1].rglob("*.part")))
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.4)
        process.send_signal(signal.SIGUSR2)
        worked = ended(process)

    phases = [message.phase for message in worked.messages if isinstance(message, Progress)]
    assert phases.count("paused") == 1
    assert phases[-1] != "paused"
    assert worked.finished.files_moved == 2


def test_a_writer_gets_the_file_also_while_the_move_is_paused(bench: Bench, disks: tuple[Path, Path]) -> None:
    waited = []
    bench.control.limit(100 * MIB)

    def pause_and_write() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.2)
        asked = time.monotonic()
        with (disks[0] / "s/u/large").open("ab"):
            waited.append(time.monotonic() - asked)
        os.kill(os.getpid(), signal.SIGUSR2)

    with bench.meanwhile(pause_and_write):
        outcome = bench.move("s/u", *disks)

    assert waited[0] < 1
    assert b"s/u/large" in outcome.left


def test_a_paused_move_can_be_stopped(bench: Bench, disks: tuple[Path, Path]) -> None:
    bench.control.limit(100 * MIB)

    def pause_and_stop() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    with bench.meanwhile(pause_and_stop), pytest.raises(CancelledError):
        bench.move("s/u", *disks)

    assert sorted(os.listdir(disks[0] / "s/u")) == ["large", "small"]
    assert own_names(*disks) == []


def test_a_bandwidth_limit_is_kept(bench: Bench, disks: tuple[Path, Path]) -> None:
    bench.control.limit(200 * MIB)
    started = time.monotonic()

    bench.move("s/u", *disks)

    assert time.monotonic() - started > 1.3
