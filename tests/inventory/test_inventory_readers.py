"""What several processes find that read one disk together: the same as one thread; and how they stop."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import MakeDisk
from lab.processes import descriptors
from rebalancer import proc
from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.errors import CancelledError, RebalancerError
from rebalancer.inventory import team, xfs
from rebalancer.inventory.channel import Begin
from rebalancer.inventory.findings import DiskContent, Findings
from rebalancer.inventory.reading import WHOLE, Depths, DiskReading
from rebalancer.inventory.scan import scan

DEPTHS = Depths(1)


def call(command: list[str | Path]) -> None:
    subprocess.run(command, check=True)


def write(path: Path, content: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def unseen(*_: object) -> None:
    return


def disk_at(path: Path, name: str = "disk1") -> Disk:
    return Disk(name=name, path=str(path), size_bytes=1, used_bytes=0)


def read_alone(root: int, path: Path) -> DiskContent:
    reading = DiskReading(root, depths=DEPTHS, writers={}, path=os.fsencode(path))
    reading.read([WHOLE], check=lambda: None)
    return reading.findings.content("disk1")


def read_together(root: int, path: Path, *, count: int) -> DiskContent:
    process, lines = team.start([root] * count)
    readers = team.Team("disk1", lines, Begin(DEPTHS, {}, os.fsencode(path)))
    try:
        findings = Findings()
        for found in readers.read([WHOLE], check=lambda: None):
            findings.absorb(found)
        return findings.content("disk1")
    finally:
        readers.close()
        process.wait(10)


@pytest.fixture
def opened() -> Iterator[Callable[[Path], int]]:
    """``opened(path)``: a descriptor of that folder, at its beginning."""
    fds: list[int] = []

    def open_folder(path: Path) -> int:
        fds.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY))
        return fds[-1]

    yield open_folder
    for fd in fds:
        os.close(fd)


def make_tangle(root: Path) -> None:
    """Shares of many units, with all that has a reason to stay, and files whose names lie far apart."""
    for number in range(1500):
        folder = root / f"share{number % 3}/unit{number % 40}/a/b{number % 7}/c{number}"
        for name in range(number % 9):
            write(folder / f"file {name}", b"x" * (number * 17 % 9000))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").symlink_to("file 0")
    for number in range(60):
        first = write(root / f"share0/unit{number % 30}/a/linked{number}", b"y" * 5000)
        for other in (f"share0/unit{number % 30}/z/again{number}", *([f"share1/far{number}/x"] * (number % 4 == 0))):
            (root / other).parent.mkdir(parents=True, exist_ok=True)
            os.link(first, root / other)
    (root / ".hidden").mkdir()
    os.link(write(root / "share2/unit1/kept"), root / ".hidden/kept")
    os.mkfifo(root / "share2/unit2/pipe")
    write(root / "share2/unit3/a/.rebalancer-op-1.part")
    write(root / "share2/loose file")


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs"])
@pytest.mark.parametrize("count", [1, 3])
def test_processes_find_together_what_one_thread_finds(
    make_disk: MakeDisk, opened: Callable[[Path], int], file_system: str, count: int
) -> None:
    root = make_disk(file_system, 300, "disk1")
    make_tangle(root)
    subprocess.run(["sync", "--file-system", str(root)], check=True)

    together = read_together(opened(root), root, count=count)

    alone = read_alone(opened(root), root)
    assert together.units == alone.units
    assert together.left_alone == alone.left_alone
    assert sum(unit.files for unit in alone.units) > 5000


# XFS tells of many inodes at once


@pytest.fixture
def xfs_disk(make_disk: MakeDisk) -> Path:
    root = make_disk("xfs", 300, "disk1")
    (root / "s/u").mkdir(parents=True)
    for number in range(200):
        (root / f"s/u/file{number}").write_bytes(b"x" * (number * 100))
        os.utime(root / f"s/u/file{number}", ns=(0, 1_700_000_000_123_456_789 + number * 1_000_000_007))
    os.truncate(root / "s/u/file7", 2**30)
    subprocess.run(["sync", "--file-system", str(root)], check=True)
    return root


def test_what_xfs_tells_at_once_is_what_stat_tells(xfs_disk: Path, opened: Callable[[Path], int]) -> None:
    (unit,) = read_alone(opened(xfs_disk), xfs_disk).units

    status = [path.stat() for path in (xfs_disk / "s/u").iterdir()]
    assert xfs.bulk(opened(xfs_disk), os.fsencode(xfs_disk)) is not None
    assert unit.files == 200
    assert unit.apparent_bytes == sum(one.st_size for one in status)
    assert unit.size_bytes == sum(one.st_blocks * 512 for one in [*status, (xfs_disk / "s/u").stat()])
    assert unit.newest_mtime == max(one.st_mtime_ns for one in status) / 1e9


@pytest.mark.parametrize("letter", ["i", "a"])
def test_a_flag_among_many_files_of_xfs_is_seen(
    xfs_disk: Path, opened: Callable[[Path], int], mounts: ExitStack, letter: str
) -> None:
    subprocess.run(["chattr", f"+{letter}", xfs_disk / "s/u/file100"], check=True)
    mounts.callback(call, ["chattr", f"-{letter}", xfs_disk / "s/u/file100"])

    (unit,) = read_alone(opened(xfs_disk), xfs_disk).units

    assert unit.left_alone.endswith(": s/u/file100")
    assert unit.files == 200


def test_a_second_name_among_many_files_of_xfs_is_seen(xfs_disk: Path, opened: Callable[[Path], int]) -> None:
    os.link(xfs_disk / "s/u/file100", xfs_disk / "outside")

    (unit,) = read_alone(opened(xfs_disk), xfs_disk).units

    assert unit.left_alone.startswith("hard link outside its unit: s/u/file100")


def test_a_file_of_xfs_that_something_is_mounted_on_is_seen(
    xfs_disk: Path, opened: Callable[[Path], int], mounts: ExitStack
) -> None:
    subprocess.run(["mount", "--bind", xfs_disk / "s/u/file1", xfs_disk / "s/u/file100"], check=True)
    mounts.callback(call, ["umount", xfs_disk / "s/u/file100"])

    (unit,) = read_alone(opened(xfs_disk), xfs_disk).units

    assert unit.left_alone == "another mount or volume: s/u/file100"


def test_a_folder_of_xfs_whose_inodes_are_scattered_is_read_too(xfs_disk: Path, opened: Callable[[Path], int]) -> None:
    for number in range(0, 200, 3):
        (xfs_disk / f"s/u/file{number}").rename(xfs_disk / f"s/file{number}")

    units = read_alone(opened(xfs_disk), xfs_disk).units

    assert sum(unit.files for unit in units) == 200


def test_what_was_written_a_moment_ago_has_its_length(make_disk: MakeDisk) -> None:
    root = make_disk("xfs", 300, "disk1")
    for number in range(50):
        write(root / f"s/u/file{number}", b"x" * 70_000)

    (unit,) = scan([disk_at(root)], depth=1, now=0, cancel=Cancel(), on_progress=unseen).units

    assert unit.apparent_bytes == 50 * 70_000


# stopping


@pytest.fixture
def two_disks(tmp_path: Path) -> list[Disk]:
    """Enough to read that processes are started."""
    for disk in ("one", "two"):
        for number in range(15_000):
            (tmp_path / disk / f"s/u{number % 50}/d{number}").mkdir(parents=True)
    return [disk_at(tmp_path / disk, disk) for disk in ("one", "two")]


def readers_of_this_process() -> list[int]:
    """Return the processes that read for scans of this one: those that were forked by one that it started."""
    ours = [pid for pid in proc.numbers() if proc.parent_of(pid) == os.getpid()]
    return [pid for pid in proc.numbers() if proc.parent_of(pid) in ours]


def in_readers(act: Callable[[list[int]], None]) -> Callable[[str, int, int], None]:
    """Return what acts on the readers once, when there are some, as the progress of a scan."""
    done: list[bool] = []

    def on_progress(*_: object) -> None:
        if not done and (readers := readers_of_this_process()):
            done.append(True)
            act(readers)

    return on_progress


def test_a_cancel_ends_the_processes_and_lets_go_of_the_disks(two_disks: list[Disk]) -> None:
    cancel = Cancel()
    before = descriptors()
    seen: list[int] = []

    def stop(readers: list[int]) -> None:
        seen.extend(readers)
        cancel.request("enough")

    with pytest.raises(CancelledError, match="enough"):
        scan(two_disks, depth=1, now=0, cancel=cancel, on_progress=in_readers(stop))

    assert seen
    assert readers_of_this_process() == []
    assert descriptors() == before


def test_a_reader_that_does_not_answer_holds_up_no_stop(two_disks: list[Disk], mounts: ExitStack) -> None:
    cancel = Cancel()

    def stop_all_but_one(readers: list[int]) -> None:
        os.kill(readers[0], signal.SIGSTOP)
        mounts.callback(os.kill, readers[0], signal.SIGCONT)
        cancel.request("enough")

    start = time.monotonic()
    with pytest.raises(CancelledError):
        scan(two_disks, depth=1, now=0, cancel=cancel, on_progress=in_readers(stop_all_but_one))

    assert time.monotonic() - start < 30  # it would never end


def test_a_scan_whose_reader_was_killed_is_no_scan(two_disks: list[Disk]) -> None:
    def kill(readers: list[int]) -> None:
        os.kill(readers[0], signal.SIGKILL)

    with pytest.raises(RebalancerError, match="ended before its time"):
        scan(two_disks, depth=1, now=0, cancel=Cancel(), on_progress=in_readers(kill))

    assert readers_of_this_process() == []


def test_readers_end_when_the_process_that_scans_is_killed(two_disks: list[Disk]) -> None:
    places = [disk.path for disk in two_disks]
    program = (
        "import sys; from rebalancer.array.disk import Disk; from rebalancer.cancel import Cancel\n"
        "from rebalancer.inventory.scan import scan\n"
        f"disks = [Disk(name=path, path=path, size_bytes=1, used_bytes=0) for path in {places!r}]\n"
        "scan(disks, depth=1, now=0, cancel=Cancel(), on_progress=lambda *_: print(flush=True))"
    )
    with subprocess.Popen(["python3", "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        started = [pid for pid in proc.numbers() if proc.parent_of(pid) == process.pid]
        forked = [pid for pid in proc.numbers() if proc.parent_of(pid) in started]
        process.kill()

    deadline = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{pid}/exe") for pid in [*started, *forked]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [pid for pid in [*started, *forked] if os.path.exists(f"/proc/{pid}/exe")] == []
