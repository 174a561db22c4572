"""A disk that fails is left alone: after a few read errors, at once for any other, and always with its own name."""

import errno
import os
from pathlib import Path

import pytest

import lab
from lab import MakeDisk
from rebalancer.transfer.failure import DiskFailedError, FileLeftError, UnitLeftError, explain
from transfer.bench import Bench, Worked, own_names

MIB = 2**20
UNITS = [f"s/u{number}" for number in range(6)]

needs_strace = pytest.mark.needs_tool("strace")


@pytest.fixture
def disks(make_disk: MakeDisk) -> tuple[Path, Path]:
    """A disk with six folders of one file each, and an empty one."""
    source, destination = make_disk("ext4", 64, "disk1"), make_disk("xfs", 300, "disk2")
    for unit in UNITS:
        (source / unit).mkdir(parents=True)
        (source / unit / "it").write_bytes(os.urandom(MIB))
    return source, destination


def work_with(bench: Bench, disks: tuple[Path, Path], fault: str, *units: str) -> tuple[Worked, int]:
    """Run the real worker while a system call fails; return also how often it did."""
    call, trace = fault.partition(":")[0], bench.folder / "trace"
    strace = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={call}", "-e", f"inject={fault}"]
    worked = bench.work(bench.operation(units or UNITS, *disks), under=strace)
    fired = trace.read_text().count("(INJECTED)")
    assert fired, "the fault did not fire"
    assert worked.exit_code == 0
    return worked, fired


def assert_nothing_moved(worked: Worked, disks: tuple[Path, Path], before: lab.originals.Originals) -> None:
    assert worked.finished.files_moved == 0
    assert lab.difference(before, lab.snapshot(disks[0])) == []
    assert [path for path in disks[1].rglob("*") if not path.is_dir()] == []
    assert own_names(*disks) == []


# -- read errors --------------------------------------------------------------------------------------------------


@needs_strace
@pytest.mark.parametrize("error", ["EIO", "EBADMSG", "EUCLEAN"])
def test_three_read_errors_of_the_medium_end_all_work_on_the_disk(
    bench: Bench, disks: tuple[Path, Path], error: str
) -> None:
    before = lab.snapshot(disks[0])

    worked, fired = work_with(bench, disks, f"preadv,preadv2:error={error}:when=1+")

    assert fired == 3
    assert [path for path in worked.left if path.endswith("/it")] == [f"{unit}/it" for unit in UNITS[:3]]
    assert worked.left["s/u2"] == "disk1: 3 files could not be read, so nothing more is done on it"
    assert all(worked.left[unit].startswith("disk1: left alone since") for unit in UNITS[3:])
    assert_nothing_moved(worked, disks, before)


@needs_strace
def test_two_read_errors_cost_two_files_only(bench: Bench, disks: tuple[Path, Path]) -> None:
    worked, fired = work_with(bench, disks, "preadv,preadv2:error=EIO:when=1..2")

    assert fired == 2
    assert list(worked.left) == ["s/u0/it", "s/u1/it"]
    assert worked.finished.files_moved == 4


@needs_strace
def test_a_read_error_that_is_not_the_mediums_does_not_count_against_the_disk(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    worked, fired = work_with(bench, disks, "preadv,preadv2:error=ENOMEM:when=1+")

    assert fired == len(UNITS)
    assert list(worked.left) == [f"{unit}/it" for unit in UNITS]


@needs_strace
def test_read_errors_while_verifying_the_copy_count_against_the_destination(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    before, one_file = lab.snapshot(disks[0]), 3  # reads of a file of one MiB: copied, read again here and there

    worked, fired = work_with(bench, disks, f"preadv,preadv2:error=EIO:when={one_file}+{one_file}")

    assert fired == 3
    assert worked.left["s/u2"] == "disk2: 3 files could not be read, so nothing more is done on it"
    assert_nothing_moved(worked, disks, before)


# -- the right disk -----------------------------------------------------------------------------------------------


@needs_strace
def test_an_error_of_the_map_of_holes_is_the_sources_and_counts_as_a_read_error(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    before, trace = lab.snapshot(disks[0]), bench.folder / "trace"
    fault = ["-P", str(disks[0] / "s/u0/it"), "-e", "trace=lseek", "-e", "inject=lseek:error=EIO:when=1"]

    worked = bench.work(bench.operation(["s/u0"], *disks), under=["strace", "-qq", "-o", str(trace), *fault])

    assert trace.read_text().count("(INJECTED)") == 1
    assert worked.left == {"s/u0/it": "it cannot be read: input/output error"}
    assert_nothing_moved(worked, disks, before)


@needs_strace
@pytest.mark.parametrize("call", ["getdents64", "readlink,readlinkat"])
def test_an_error_while_reading_a_folder_or_a_link_is_the_sources(
    bench: Bench, disks: tuple[Path, Path], call: str
) -> None:
    (disks[0] / "s/u0/link").symlink_to("it")
    before, trace = lab.snapshot(disks[0]), bench.folder / "trace"
    fault = ["-P", str(disks[0] / "s/u0"), "-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when=1"]

    worked = bench.work(bench.operation(["s/u0", "s/u1"], *disks), under=["strace", "-qq", "-o", str(trace), *fault])

    assert trace.read_text().count("(INJECTED)") == 1
    assert worked.left["s/u0"].startswith("disk1: input/output error while reading a")
    assert worked.left["s/u1"].startswith("disk1: left alone since an earlier failure")
    assert_nothing_moved(worked, disks, before)


@needs_strace
def test_a_copy_that_neither_can_be_written_nor_removed_ends_the_work_on_the_disk_only(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    before, trace = lab.snapshot(disks[0]), bench.folder / "trace"
    faults = ["-e", "inject=pwrite64:error=ENOSPC:when=1", "-e", "inject=unlinkat:error=EIO:when=1+"]

    worked = bench.work(bench.operation(UNITS, *disks), under=["strace", "-f", "-qq", "-o", str(trace), *faults])

    assert trace.read_text().count("(INJECTED)") == 2
    assert worked.left["s/u0"] == "disk2: input/output error while removing a temporary file"
    assert worked.left["s/u1"].startswith("disk2: left alone since an earlier failure")
    assert lab.difference(before, lab.snapshot(disks[0])) == []


@needs_strace
@pytest.mark.parametrize("first", [2, 3, 4, 5])  # of the looks at a file while it is moved
def test_a_source_that_does_not_even_answer_what_its_file_is_like_is_the_one_to_blame(
    bench: Bench, disks: tuple[Path, Path], first: int
) -> None:
    before, trace = lab.snapshot(disks[0]), bench.folder / "trace"
    path, calls = ["-P", str(disks[0] / "s/u0/it")], "fstat,newfstatat,statx"
    faults = ["-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO:when={first}+"]

    worked = bench.work(bench.operation(UNITS[:1], *disks), under=["strace", "-qq", "-o", str(trace), *path, *faults])

    assert "(INJECTED)" in trace.read_text()
    assert "input/output error" in str(worked.left)
    assert "disk2" not in str(worked.left)
    assert_nothing_moved(worked, disks, before)


@pytest.mark.parametrize(
    "code",
    [
        errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.EUCLEAN, errno.EBADMSG,
        errno.ENOTCONN, errno.ECONNABORTED, errno.ENOMEDIUM, errno.EREMOTEIO, errno.ETIMEDOUT, errno.ENOLINK,
        errno.EBADE, errno.ESHUTDOWN,
    ],
)  # fmt: skip
def test_every_error_that_says_the_disk_is_not_well_ends_the_work_on_it(code: int) -> None:
    assert isinstance(explain(OSError(code, "x"), disk="disk1", doing="copying"), DiskFailedError)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [(errno.ENOSPC, UnitLeftError), (errno.EDQUOT, UnitLeftError), (errno.ENAMETOOLONG, FileLeftError)],
)
def test_what_the_disk_is_not_to_blame_for_ends_no_more_than_it_must(code: int, meaning: type[Exception]) -> None:
    assert isinstance(explain(OSError(code, "x"), disk="disk1", doing="copying"), meaning)


# -- an error of a flush is final ---------------------------------------------------------------------------------


@needs_strace
@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EDQUOT", "ENOMEM"])
@pytest.mark.parametrize("which", [1, 2])  # the file's, then its folder's once the copy has its name
def test_an_error_of_a_files_or_a_folders_flush_is_final(
    bench: Bench, disks: tuple[Path, Path], error: str, which: int
) -> None:
    (disks[1] / "s/u0").mkdir(parents=True)
    before = lab.snapshot(disks[0])

    worked, fired = work_with(bench, disks, f"fsync:error={error}:when={which}", "s/u0")

    assert fired == 1
    assert (bench.folder / "trace").read_text().count("fsync(") == which
    assert "while flushing" in worked.left["s/u0"]
    assert_nothing_moved(worked, disks, before)


@needs_strace
@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EDQUOT", "ENOMEM"])
@pytest.mark.parametrize("which", [1, 2])  # that of many files, then that of their folders
def test_an_error_of_a_whole_file_systems_flush_is_final(
    bench: Bench, disks: tuple[Path, Path], error: str, which: int
) -> None:
    for number in range(9):
        (disks[0] / f"s/u0/{number}").write_bytes(b"small")
    before, trace = lab.snapshot(disks[0]), bench.folder / "trace"
    fault = ["-e", "trace=syncfs,unlinkat", "-e", f"inject=syncfs:error={error}:when={which}"]

    worked = bench.work(bench.operation(["s/u0"], *disks), under=["strace", "-qq", "-o", str(trace), *fault])

    afterwards = trace.read_text().partition("(INJECTED)")[2]
    until_the_copies_are_gone = afterwards.rpartition("unlinkat(")[0]
    assert until_the_copies_are_gone.count("unlinkat(") == 9
    assert "syncfs(" not in until_the_copies_are_gone
    assert "while flushing" in worked.left["s/u0"]
    assert_nothing_moved(worked, disks, before)


@needs_strace
def test_an_error_of_the_first_close_of_a_copy_is_final(bench: Bench, disks: tuple[Path, Path]) -> None:
    before, trace = lab.snapshot(disks[0]), bench.folder / "trace"
    part = disks[1] / "s/u0/.rebalancer-op-3.part"  # after those of its two folders
    fault = ["-P", str(part), "-e", "trace=close", "-e", "inject=close:error=EDQUOT:when=1"]

    worked = bench.work(bench.operation(["s/u0"], *disks), under=["strace", "-qq", "-o", str(trace), *fault])

    assert trace.read_text().count("(INJECTED)") == 1
    assert "its quota is used up while flushing" in worked.left["s/u0"]
    assert_nothing_moved(worked, disks, before)


@needs_strace
def test_a_write_that_writes_nothing_is_an_error_and_not_repeated_for_ever(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    before = lab.snapshot(disks[0])

    worked, fired = work_with(bench, disks, "pwrite64:retval=0:when=1+", "s/u0")

    assert fired == 1
    assert worked.left["s/u0"] == "disk2: input/output error while copying"
    assert_nothing_moved(worked, disks, before)


# -- what some file systems cannot promise --------------------------------------------------------------------------


@needs_strace
def test_a_destination_that_cannot_promise_to_replace_nothing_gets_the_file_by_a_link(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    (disks[1] / "s/u0").mkdir(parents=True)
    before = lab.snapshot(disks[0] / "s/u0")

    worked, fired = work_with(bench, disks, "renameat2:error=EINVAL:when=1", "s/u0")

    assert fired == 1
    assert worked.left == {}
    assert lab.difference(before, lab.snapshot(disks[1] / "s/u0")) == []
    assert own_names(*disks) == []


@needs_strace
def test_a_source_that_cannot_promise_to_replace_nothing_keeps_its_file(bench: Bench, disks: tuple[Path, Path]) -> None:
    (disks[1] / "s/u0").mkdir(parents=True)
    before = lab.snapshot(disks[0])

    worked, fired = work_with(bench, disks, "renameat2:error=EINVAL:when=2", "s/u0")

    assert fired == 1
    assert list(worked.left) == ["s/u0/it"]
    assert_nothing_moved(worked, disks, before)
