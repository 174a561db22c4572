"""Bytes that went wrong on their way or on the medium are found before the source goes."""

import mmap
import os
import signal
from pathlib import Path

import pytest

import lab
from lab import MakeDisk
from rebalancer import linux
from rebalancer.planning.selection import Verification
from transfer.bench import Bench, Worked, own_names, wait_until

MIB = 2**20

needs_strace = pytest.mark.needs_tool("strace")


@pytest.fixture
def disks(make_disk: MakeDisk) -> tuple[Path, Path]:
    source, destination = make_disk("ext4", 64, "disk1"), make_disk("xfs", 300, "disk2")
    (source / "s/u").mkdir(parents=True)
    (source / "s/u/it").write_bytes(os.urandom(5 * MIB))
    return source, destination


def work_with_fault(bench: Bench, disks: tuple[Path, Path], *, call: str, fault: str) -> Worked:
    """Run the real worker while a system call lies; the fault must have fired."""
    trace = bench.folder / "trace"
    strace = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={call}", "-e", f"inject={call}:{fault}"]

    worked = bench.work(bench.operation(["s/u"], *disks), under=strace)

    assert trace.read_text().count("(INJECTED)") == 1, "the fault did not fire once"
    return worked


def assert_it_stays(worked: Worked, disks: tuple[Path, Path], before: lab.originals.Originals, reason: str) -> None:
    assert reason in worked.left["s/u/it"]
    assert (worked.finished.files_moved, worked.finished.files_left) == (0, 1)
    assert lab.difference(before, lab.snapshot(disks[0])) == []
    assert [path for path in disks[1].rglob("*") if not path.is_dir()] == []
    assert own_names(*disks) == []


@needs_strace
@pytest.mark.parametrize("verify", [Verification.FULL, Verification.FAST])
def test_a_write_that_only_claims_to_have_written_is_found(
    bench: Bench, disks: tuple[Path, Path], verify: Verification
) -> None:
    before, bench.verify = lab.snapshot(disks[0]), verify

    worked = work_with_fault(bench, disks, call="pwrite64", fault=f"retval={MIB}:when=3")

    assert_it_stays(worked, disks, before, "what was read again from disk2 differs")


@needs_strace
def test_a_first_read_of_the_source_that_went_wrong_is_found_by_full_verification(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    before = lab.snapshot(disks[0])

    worked = work_with_fault(bench, disks, call="preadv,preadv2", fault=f"retval={MIB}:when=2")

    assert_it_stays(worked, disks, before, "what was read again from disk1 differs")


@needs_strace
def test_an_error_of_fsync_is_final_and_nothing_is_flushed_twice(bench: Bench, disks: tuple[Path, Path]) -> None:
    before = lab.snapshot(disks[0])

    worked = work_with_fault(bench, disks, call="fsync", fault="error=EIO:when=1")

    assert "disk2: input/output error while flushing" in str(worked.left)
    assert lab.difference(before, lab.snapshot(disks[0])) == []
    assert (bench.folder / "trace").read_text().count("fsync(") == 1
    assert own_names(*disks) == []


@needs_strace
@pytest.mark.parametrize(("call", "error"), [("pwrite64", "ENOSPC"), ("pwrite64", "EDQUOT"), ("pwrite64", "EIO")])
def test_an_error_of_a_write_keeps_the_source_and_no_part(
    bench: Bench, disks: tuple[Path, Path], call: str, error: str
) -> None:
    before = lab.snapshot(disks[0])

    worked = work_with_fault(bench, disks, call=call, fault=f"error={error}:when=2")

    assert worked.finished.files_moved == 0
    assert worked.left
    assert lab.difference(before, lab.snapshot(disks[0])) == []
    assert own_names(*disks) == []


@needs_strace
def test_a_read_error_of_one_file_is_named_and_the_others_move(bench: Bench, disks: tuple[Path, Path]) -> None:
    (disks[0] / "s/u/other").write_bytes(b"other")

    worked = work_with_fault(bench, disks, call="preadv,preadv2", fault="error=EIO:when=2")

    assert "it cannot be read: input/output error" in worked.left["s/u/it"]
    assert (disks[1] / "s/u/other").read_bytes() == b"other"
    assert os.listdir(disks[0] / "s/u") == ["it"]


@pytest.mark.parametrize(
    ("file_system", "verify"),
    [
        ("ext4", Verification.FULL),
        ("ext4", Verification.FAST),
        ("xfs", Verification.FULL),
        ("btrfs", Verification.FULL),
    ],
)
def test_bytes_that_rot_on_the_destination_before_they_are_verified_are_found(
    bench: Bench, make_disk: MakeDisk, file_system: str, verify: Verification
) -> None:
    source, destination = make_disk("ext4", 64, "disk1"), make_disk(file_system, 300, "disk2")
    content = os.urandom(7 * MIB)  # so short that no page of it is dropped before it is verified
    (source / "s/u").mkdir(parents=True)
    (source / "s/u/it").write_bytes(content)
    before, bench.verify = lab.snapshot(source), verify
    bench.control.limit(10 * MIB)

    def rot() -> None:
        part = next(destination.rglob("*.part"))
        wait_until(lambda: part.stat().st_size >= 4 * MIB)
        os.kill(os.getpid(), signal.SIGUSR1)
        try:
            _zero_on_medium(destination, content[MIB : MIB + 4096])
        finally:
            os.kill(os.getpid(), signal.SIGUSR2)

    with bench.meanwhile(rot):
        outcome = bench.move("s/u", source, destination)

    assert outcome.left.keys() == {b"s/u/it"}
    assert "read" in outcome.left[b"s/u/it"]
    assert outcome.files_moved == 0
    assert lab.difference(before, lab.snapshot(source)) == []
    assert own_names(source, destination) == []


def _zero_on_medium(disk: Path, block: bytes) -> None:
    """Zero a block in the image below a mounted file system, behind the back of its page cache."""
    root = os.open(disk, os.O_RDONLY | os.O_DIRECTORY)
    try:
        linux.sync_file_system(root)
    finally:
        os.close(root)
    with disk.with_name(f"{disk.name}.img").open("r+b") as image, mmap.mmap(image.fileno(), 0) as medium:
        at = medium.find(block)
        assert at >= 0, "the block is not on the medium"
        medium[at : at + len(block)] = bytes(len(block))
        medium.flush()
