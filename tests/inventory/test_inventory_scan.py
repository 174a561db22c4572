"""What a scan makes of real files: units, sizes, and the reasons for what must stay."""

import os
import shutil
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.processes import descriptors
from rebalancer import names
from rebalancer.array.disk import Disk, DiskStatus
from rebalancer.cancel import Cancel
from rebalancer.errors import CancelledError, UsageError
from rebalancer.inventory.scan import scan
from rebalancer.inventory.unit import Inventory, Unit, UnitKind

GIB = 2**30
Open = Callable[[Path, str], int]


def disk_at(path: Path, name: str = "disk1") -> Disk:
    return Disk(name=name, path=str(path), size_bytes=10 * GIB, used_bytes=GIB, free_bytes=9 * GIB, is_folder=True)


def scan_folder(path: Path, *, depth: int = 1) -> Inventory:
    return scan([disk_at(path)], depth=depth, now=1000.0, cancel=Cancel(), on_progress=lambda *_: None)


def write(path: Path, content: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def by_path(inventory: Inventory) -> dict[str, Unit]:
    return {unit.path: unit for unit in inventory.units}


def reasons(inventory: Inventory) -> dict[str, str]:
    return {left.path: left.reason for left in inventory.left_alone}


def occupied(*paths: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in paths)


# units


def test_folders_below_a_share_and_loose_files_in_it_are_units(tmp_path: Path) -> None:
    write(tmp_path / "media/film/cd1/a.mkv")
    write(tmp_path / "media/film/b.mkv")
    write(tmp_path / "media/loose.iso")

    found = scan_folder(tmp_path)

    assert [(unit.path, unit.kind, unit.share, unit.files) for unit in found.units] == [
        ("media/film", UnitKind.FOLDER, "media", 2),
        ("media/loose.iso", UnitKind.FILE, "media", 1),
    ]
    assert found.scanned_at == 1000.0
    assert found.left_alone == ()


def test_at_depth_two_units_lie_two_folders_below_the_share(tmp_path: Path) -> None:
    write(tmp_path / "tv/show/season/episode/a")
    write(tmp_path / "tv/show/poster.jpg")
    write(tmp_path / "tv/readme")

    found = scan_folder(tmp_path, depth=2)

    assert [(unit.path, unit.kind) for unit in found.units] == [
        ("tv/readme", UnitKind.FILE),
        ("tv/show/poster.jpg", UnitKind.FILE),
        ("tv/show/season", UnitKind.FOLDER),
    ]


def test_at_depth_zero_the_share_is_the_unit(tmp_path: Path) -> None:
    write(tmp_path / "tv/show/a")
    write(tmp_path / "tv/b")

    found = scan_folder(tmp_path, depth=0)

    assert [(unit.path, unit.share, unit.files) for unit in found.units] == [("tv", "tv", 2)]


def test_a_depth_below_zero_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unit depth"):
        scan_folder(tmp_path, depth=-1)


def test_an_empty_folder_is_a_unit_without_files(tmp_path: Path) -> None:
    (tmp_path / "s/empty").mkdir(parents=True)

    (unit,) = scan_folder(tmp_path).units

    assert (unit.path, unit.files, unit.size_bytes) == ("s/empty", 0, occupied(tmp_path / "s/empty"))


def test_units_come_in_byte_order_and_disks_in_the_order_given(tmp_path: Path) -> None:
    for disk in "ab":
        for name in (b"\xff", b"Z", b"a", b"\xc3\xa9"):
            os.makedirs(os.fsencode(tmp_path / disk) + b"/s/" + name)
    disks = [disk_at(tmp_path / "b", "second"), disk_at(tmp_path / "a", "first")]

    found = scan(disks, depth=1, now=0, cancel=Cancel(), on_progress=lambda *_: None)

    raw = [(unit.disk, names.decode(unit.path, unit.path_base64)) for unit in found.units]
    expected = [b"s/Z", b"s/a", b"s/\xc3\xa9", b"s/\xff"]
    assert raw == [("second", path) for path in expected] + [("first", path) for path in expected]
    assert [disk.name for disk in found.disks] == ["second", "first"]


# sizes


def test_sizes_are_what_is_allocated_and_what_is_apparent(tmp_path: Path) -> None:
    small = write(tmp_path / "s/u/small", b"x" * 5000)
    sparse = tmp_path / "s/u/sparse"
    with sparse.open("wb") as file:
        file.truncate(GIB)
        file.seek(GIB // 2)
        file.write(b"y" * 4096)

    (unit,) = scan_folder(tmp_path).units

    assert unit.size_bytes == occupied(small, sparse, tmp_path / "s/u")
    assert unit.size_bytes < 2**20
    assert unit.apparent_bytes == 5000 + GIB


def test_symlinks_count_as_files_and_are_never_followed(tmp_path: Path) -> None:
    outside = write(tmp_path / "elsewhere/big", b"x" * 100_000)
    (tmp_path / "disk/s/u").mkdir(parents=True)
    (tmp_path / "disk/s/u/to-file").symlink_to(outside)
    (tmp_path / "disk/s/u/to-folder").symlink_to(outside.parent)
    (tmp_path / "disk/s/u/to-itself").symlink_to("to-itself")

    (unit,) = scan_folder(tmp_path / "disk").units

    assert (unit.files, unit.apparent_bytes, unit.left_alone) == (3, 0, "")


def test_the_newest_time_is_that_of_the_newest_file(tmp_path: Path) -> None:
    os.utime(write(tmp_path / "s/u/old"), (1, 1))
    os.utime(write(tmp_path / "s/u/sub/new"), ns=(0, 5_000_000_000_500_000_000))

    (unit,) = scan_folder(tmp_path).units

    assert unit.newest_mtime == pytest.approx(5_000_000_000.5)


# names


@pytest.mark.parametrize(
    "name", [b"new\nline", b"\xff\xfe", b"-rf", b"n" * 255, b"\x1b[31m", b" ", "日本".encode(), b"back\\slash"]
)
def test_a_name_is_kept_to_the_byte(tmp_path: Path, name: bytes) -> None:
    folder = os.fsencode(tmp_path) + b"/s/" + name
    os.makedirs(folder + b"/" + name)
    with open(folder + b"/" + name + b"/" + name, "wb") as file:
        file.write(b"x")

    (unit,) = scan_folder(tmp_path).units

    assert unit.members[0].raw_path == b"s/" + name
    assert (unit.files, unit.left_alone) == (1, "")


def test_a_share_whose_name_is_not_utf8_is_scanned(tmp_path: Path) -> None:
    os.makedirs(os.fsencode(tmp_path) + b"/sh\xffare/u")

    (unit,) = scan_folder(tmp_path).units

    assert (unit.share, unit.members[0].raw_path) == ("sh\\xffare", b"sh\xffare/u")


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A disk with a chain of 3,000 folders, each with a second folder and a file in it; the path is 36,000 bytes long."""
    (tmp_path / "s/u").mkdir(parents=True)
    fd = os.open(tmp_path / "s/u", os.O_RDONLY)
    for number in range(3000):
        name = f"folder-{number:04}"
        for made in (name, "side"):
            os.mkdir(made, dir_fd=fd)
        os.close(os.open("side/file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.mkfifo("pipe", dir_fd=fd)
    os.close(fd)
    yield tmp_path
    subprocess.run(["rm", "-rf", str(tmp_path / "s")], check=True)  # pytest's own removal is recursive


def test_a_tree_of_3000_levels_is_read_to_its_end(deep: Path) -> None:
    before = descriptors()

    (unit,) = scan_folder(deep).units

    assert unit.files == 3000
    assert unit.left_alone.startswith("special file (fifo): s/u/folder-0000/")
    assert unit.left_alone.endswith("/folder-2999/pipe")
    assert len(unit.left_alone) < 300
    assert descriptors() == before


# what belongs to no unit


def test_what_is_not_in_a_share_is_reported_and_not_read(tmp_path: Path) -> None:
    write(tmp_path / ".Recycle.Bin/share/deleted")
    write(tmp_path / "lost+found/#123")
    write(tmp_path / "file at the top")
    (tmp_path / "link").symlink_to("share")
    (tmp_path / "share").mkdir()

    found = scan_folder(tmp_path)

    assert found.units == ()
    assert reasons(found) == {
        ".Recycle.Bin": "hidden top-level folder, not a share",
        "file at the top": "not inside a share",
        "link": "not inside a share",
    }


def test_hidden_folders_in_a_share_are_units(tmp_path: Path) -> None:
    write(tmp_path / "share/.cache/a")

    assert list(by_path(scan_folder(tmp_path))) == ["share/.cache"]


def test_leftovers_of_a_move_are_not_files_of_a_unit(tmp_path: Path) -> None:
    write(tmp_path / "s/u/a")
    write(tmp_path / "s/u/.rebalancer-op-1.part", b"x" * 100_000)
    write(tmp_path / "s/.rebalancer-op-2.part")

    found = scan_folder(tmp_path)

    (unit,) = found.units
    assert (unit.files, unit.apparent_bytes) == (1, len(b"content"))
    assert unit.left_alone == "unfinished move of this program: s/u/.rebalancer-op-1.part"
    assert reasons(found) == {"s/.rebalancer-op-2.part": "unfinished move of this program"}


# reasons to leave a unit alone


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkfifo, "fifo"),
        (make_socket, "socket"),
        pytest.param(
            lambda path: os.mknod(path, 0o020600, os.makedev(1, 3)), "character device", marks=pytest.mark.needs_root
        ),
        pytest.param(
            lambda path: os.mknod(path, 0o060600, os.makedev(7, 200)), "block device", marks=pytest.mark.needs_root
        ),
    ],
)
def test_a_special_file_keeps_its_unit_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], kind: str
) -> None:
    write(tmp_path / "s/u/a")
    monkeypatch.chdir(tmp_path / "s/u")  # the path of a socket is at most 108 bytes long
    make(Path("special"))

    (unit,) = scan_folder(tmp_path).units

    assert (unit.files, unit.left_alone) == (1, f"special file ({kind}): s/u/special")


def test_a_loose_fifo_is_a_unit_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    os.mkfifo(tmp_path / "s/pipe")

    (unit,) = scan_folder(tmp_path).units

    assert (unit.kind, unit.files, unit.left_alone) == (UnitKind.FILE, 0, "special file (fifo): s/pipe")


def test_of_several_reasons_the_first_by_path_is_given(tmp_path: Path) -> None:
    for name in ("z", "b/pipe", "b/a", "m"):
        (tmp_path / "s/u" / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(tmp_path / "s/u" / name)

    (unit,) = scan_folder(tmp_path).units

    assert unit.left_alone == "special file (fifo): s/u/b/a"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """``opened(path, "r+b")``: another process that keeps a file open; returns its number."""
    running = []

    def start(path: Path, mode: str) -> int:
        program = f"import sys; f = open({str(path)!r}, {mode!r}); print('ready', flush=True); sys.stdin.read()"
        process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process.pid

    yield start
    for process in running:
        process.communicate()


def test_a_file_open_for_writing_is_named_with_its_unit(tmp_path: Path, opened: Open) -> None:
    write(tmp_path / "s/u/sub/log")
    write(tmp_path / "s/other/a")
    pid = opened(tmp_path / "s/u/sub/log", "ab")

    units = by_path(scan_folder(tmp_path))

    assert units["s/u"].in_use.startswith("open for writing by python")
    assert units["s/u"].in_use.endswith(f", pid {pid}: s/u/sub/log")
    assert units["s/u"].left_alone == ""
    assert units["s/other"].in_use == ""


def test_a_file_open_for_reading_may_move(tmp_path: Path, opened: Open) -> None:
    write(tmp_path / "s/u/film")
    opened(tmp_path / "s/u/film", "rb")

    (unit,) = scan_folder(tmp_path).units

    assert unit.left_alone == ""


# hard links


def test_names_of_one_file_in_one_unit_are_counted_once_by_size_and_twice_by_name(tmp_path: Path) -> None:
    first = write(tmp_path / "s/u/a", b"x" * 50_000)
    (tmp_path / "s/u/sub").mkdir()
    os.link(first, tmp_path / "s/u/sub/b")

    (unit,) = scan_folder(tmp_path).units

    assert (unit.kind, unit.files, unit.apparent_bytes, unit.left_alone) == (UnitKind.FOLDER, 2, 50_000, "")
    assert unit.size_bytes == occupied(first, tmp_path / "s/u", tmp_path / "s/u/sub")


def test_hard_links_tie_units_of_several_shares_into_one(tmp_path: Path) -> None:
    one = write(tmp_path / "b/one/a", b"x" * 50_000)
    two = write(tmp_path / "b/two/c", b"y" * 20_000)
    (tmp_path / "a").mkdir()
    os.link(one, tmp_path / "b/two/a")
    os.link(two, tmp_path / "a/loose")
    write(tmp_path / "b/apart/x")

    found = scan_folder(tmp_path)

    assert [unit.path for unit in found.units] == ["a/loose", "b/apart"]
    tied = found.units[0]
    assert (tied.kind, tied.share, [member.path for member in tied.also]) == (UnitKind.LINKS, "a", ["b/one", "b/two"])
    assert (tied.files, tied.apparent_bytes, tied.left_alone) == (4, 70_000, "")
    assert tied.size_bytes == occupied(one, two, tmp_path / "b/one", tmp_path / "b/two")


def test_a_reason_in_one_member_holds_for_the_whole_group(tmp_path: Path) -> None:
    first = write(tmp_path / "s/a/x")
    (tmp_path / "s/b").mkdir()
    os.link(first, tmp_path / "s/b/x")
    os.mkfifo(tmp_path / "s/b/pipe")

    (unit,) = scan_folder(tmp_path).units

    assert unit.left_alone == "special file (fifo): s/b/pipe"


@pytest.mark.parametrize("hidden", [".Trash/x", "at the top"])
def test_a_hard_link_outside_every_unit_keeps_its_unit_where_it_is(tmp_path: Path, hidden: str) -> None:
    first = write(tmp_path / "s/u/x")
    (tmp_path / ".Trash").mkdir()
    os.link(first, tmp_path / hidden)

    (unit,) = scan_folder(tmp_path).units

    assert unit.left_alone == "hard link outside its unit: s/u/x; 1 of 2 names found"


# progress, cancel, disks that cannot be read, memory


def many_folders(root: Path, count: int) -> Path:
    for number in range(count):
        (root / f"s/u{number % 50}/d{number}").mkdir(parents=True)
    return root


def test_progress_ends_with_the_totals(tmp_path: Path) -> None:
    write(tmp_path / "s/u/a", b"x" * 10_000)
    write(tmp_path / "s/u/b")
    seen: list[tuple[str, int, int]] = []

    found = scan(
        [disk_at(tmp_path)], depth=1, now=0, cancel=Cancel(), on_progress=lambda *progress: seen.append(progress)
    )

    assert seen[-1] == ("disk1", 2, found.units[0].size_bytes)


def test_a_cancel_in_the_middle_stops_every_thread(tmp_path: Path) -> None:
    many_folders(tmp_path, 20_000)
    cancel = Cancel()
    before = descriptors()

    with pytest.raises(CancelledError, match="enough"):
        scan([disk_at(tmp_path)], depth=1, now=0, cancel=cancel, on_progress=lambda *_: cancel.request("enough"))

    assert descriptors() == before


def test_nothing_is_read_when_the_cancel_came_first(tmp_path: Path) -> None:
    cancel = Cancel()
    cancel.request()

    with pytest.raises(CancelledError):
        scan([disk_at(tmp_path)], depth=1, now=0, cancel=cancel, on_progress=lambda *_: None)


def test_a_disk_that_cannot_be_read_comes_back_unusable_and_the_others_are_scanned(tmp_path: Path) -> None:
    write(tmp_path / "good/s/u/a")
    (tmp_path / "link").symlink_to("good")
    swapped = Disk(name="swapped", path=str(tmp_path / "good"), size_bytes=1, used_bytes=0, device=1, inode=1)
    disks = [
        disk_at(tmp_path / "gone", "gone"),
        disk_at(tmp_path / "link", "link"),
        swapped,
        disk_at(tmp_path / "good"),
    ]

    found = scan(disks, depth=1, now=0, cancel=Cancel(), on_progress=lambda *_: None)

    assert [disk.status for disk in found.disks] == [DiskStatus.UNSUITABLE] * 3 + [DiskStatus.OK]
    assert found.disks[0].reason == "cannot be read: no such file or directory"
    assert "another file system" in found.disks[2].reason
    assert [unit.disk for unit in found.units] == ["disk1"]


def test_an_unusable_disk_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "s/u/a")
    disk = Disk(
        name="d", path=str(tmp_path), size_bytes=1, used_bytes=0, status=DiskStatus.READ_ONLY, reason="it is read-only"
    )

    found = scan([disk], depth=1, now=0, cancel=Cancel(), on_progress=lambda *_: None)

    assert (found.disks, found.units) == ((disk,), ())


@pytest.fixture
def memory_disk() -> Iterator[Path]:
    root = Path(f"/dev/shm/rebalancer-test-{os.getpid()}")
    root.mkdir(mode=0o700)
    yield root
    shutil.rmtree(root)


def test_memory_stays_flat_over_200000_files(memory_disk: Path) -> None:
    for folder in range(400):
        path = memory_disk / f"s/u{folder % 20}/d{folder}"
        path.mkdir(parents=True)
        fd = os.open(path, os.O_RDONLY)
        for number in range(500):
            os.mknod(f"a file with a name of usual length {number}", 0o100644, dir_fd=fd)
        os.close(fd)
    tracemalloc.start()
    try:
        found = scan_folder(memory_disk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert sum(unit.files for unit in found.units) == 200_000
    assert peak < 1_000_000  # five bytes per file; its name alone takes ninety


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_share_may_have_a_depth_of_its_own(tmp_path: Path, depth: int) -> None:
    for path in ("tv/a/b/c/d/f", "tv/a/loose", "tv 2/a/b/c/d/f", "été/x/f"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")

    found = scan(
        [disk_at(tmp_path)],
        depth=depth,
        share_depths={"tv": 2, "été": 1},
        now=0,
        cancel=Cancel(),
        on_progress=lambda *_: None,
    )

    others = {0: "tv 2", 1: "tv 2/a", 3: "tv 2/a/b/c"}
    assert {unit.path for unit in found.units} == {"tv/a/b", "tv/a/loose", others[depth], "été/x"}
