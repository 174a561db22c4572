"""What stays where it is, with its reason, while everything else of its unit moves."""

import mmap
import os
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import lab
from lab import MakeDisk
from lab.processes import HOLD, MAP
from transfer.bench import Bench, Outcome, another_process, own_names, wait_until

MIB = 2**20
WRITABLE = (os.O_RDWR, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED)
LOOK_AGAIN_AND_AGAIN = """
import os, sys, time
print(1)
while True:
    for path in sys.argv[1:]:
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        os.read(fd, 100)
        time.sleep(0.002)
        os.close(fd)
        time.sleep(0.002)
"""


@pytest.fixture
def disks(make_disk: MakeDisk) -> tuple[Path, Path]:
    """An ext4 disk with three files in one folder, and an empty xfs disk."""
    source, destination = make_disk("ext4", 64, "disk1"), make_disk("xfs", 300, "disk2")
    (source / "s/u").mkdir(parents=True)
    for name in ("first", "it", "last"):
        (source / "s/u" / name).write_bytes(name.encode() * 2_000)
    return source, destination


@pytest.fixture
def slow(bench: Bench, disks: tuple[Path, Path]) -> tuple[Path, Path]:
    """The same, where copying "it" takes about a second."""
    (disks[0] / "s/u/it").write_bytes(os.urandom(12 * MIB))
    bench.control.limit(10 * MIB)
    return disks


@pytest.fixture
def flagged() -> Iterator[ExitStack]:
    """Takes flags off again, so that the files can be removed."""
    with ExitStack() as stack:
        yield stack


def assert_only_it_stays(outcome: Outcome, disks: tuple[Path, Path], *, reason: str, name: str = "it") -> None:
    """Everything else moved, nothing half done is anywhere."""
    source, destination = disks
    path = f"s/u/{name}".encode()
    assert outcome.left.keys() == {path}
    assert reason in outcome.left[path]
    assert sorted(os.listdir(source / "s/u")) == [name]
    assert sorted(os.listdir(destination / "s/u")) == sorted({"first", "it", "last"} - {name})
    assert own_names(*disks) == []


def test_a_file_that_another_process_has_open_for_writing_stays(bench: Bench, disks: tuple[Path, Path]) -> None:
    before = lab.snapshot(disks[0])

    with another_process(HOLD, disks[0] / "s/u/it", str(os.O_WRONLY)):
        outcome = bench.move("s/u", *disks)

    assert_only_it_stays(outcome, disks, reason="open for writing")
    assert lab.snapshot(disks[0])[b"s/u/it"] == before[b"s/u/it"]


def test_a_file_with_a_shared_writable_mapping_stays_though_it_was_closed(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    with another_process(MAP, disks[0] / "s/u/it", *map(str, WRITABLE)):
        outcome = bench.move("s/u", *disks)

    assert_only_it_stays(outcome, disks, reason="in use")


def test_a_file_that_a_reader_keeps_open_stays(bench: Bench, disks: tuple[Path, Path]) -> None:
    with another_process(HOLD, disks[0] / "s/u/it", str(os.O_RDONLY)):
        outcome = bench.move("s/u", *disks)

    assert_only_it_stays(outcome, disks, reason="in use")


def test_readers_that_open_and_close_again_and_again_do_not_prevent_the_move(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    before = lab.snapshot(disks[0])
    paths = [disk / "s/u" / name for disk in disks for name in ("first", "it", "last")]

    with another_process(LOOK_AGAIN_AND_AGAIN, *paths):
        outcome = bench.move("s/u", *disks)

    assert outcome.left == {}
    assert lab.difference(before, lab.snapshot(disks[1])) == []


def test_a_file_edited_in_the_middle_of_its_copy_stays_with_the_edit(bench: Bench, slow: tuple[Path, Path]) -> None:
    def edit() -> None:
        with (slow[0] / "s/u/it").open("r+b") as file:
            file.write(b"edited")

    with bench.meanwhile(edit):
        outcome = bench.move("s/u", *slow)

    assert_only_it_stays(outcome, slow, reason="in use")
    assert (slow[0] / "s/u/it").read_bytes().startswith(b"edited")


def test_a_wanted_file_is_given_up_also_after_another_one_had_to_stay(bench: Bench, slow: tuple[Path, Path]) -> None:
    def edit() -> None:
        with (slow[0] / "s/u/it").open("ab") as file:
            file.write(b"edited")

    (slow[1] / "s/u").mkdir(parents=True)
    (slow[1] / "s/u/first").write_bytes(b"other")
    with bench.meanwhile(edit):
        outcome = bench.move("s/u", *slow)

    assert outcome.conflicts == {b"s/u/first"}
    assert outcome.left.keys() == {b"s/u/first", b"s/u/it"}
    assert (slow[0] / "s/u/it").read_bytes().endswith(b"edited")
    assert own_names(*slow) == []


def test_an_edit_that_puts_size_and_time_back_is_seen_all_the_same(bench: Bench, slow: tuple[Path, Path]) -> None:
    path = slow[0] / "s/u/it"
    before = path.stat()

    def edit() -> None:
        with path.open("r+b") as file:
            file.write(b"edited")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with bench.meanwhile(edit):
        outcome = bench.move("s/u", *slow)

    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert len(outcome.left) == 1
    assert path.read_bytes().startswith(b"edited")
    assert not (slow[1] / "s/u/it").exists()
    assert own_names(*slow) == []


def test_a_change_that_no_lease_tells_of_is_seen_all_the_same(bench: Bench, slow: tuple[Path, Path]) -> None:
    with bench.meanwhile(lambda: (slow[0] / "s/u/it").chmod(0o600)):
        outcome = bench.move("s/u", *slow)

    assert_only_it_stays(outcome, slow, reason="it changed while it was moved")
    assert stat.S_IMODE((slow[0] / "s/u/it").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(stat.S_IFIFO, "a pipe"), (stat.S_IFSOCK, "a socket"), (stat.S_IFCHR, "a device"), (stat.S_IFBLK, "a device")],
)
def test_what_is_no_file_is_never_moved_nor_opened(
    bench: Bench, disks: tuple[Path, Path], kind: int, reason: str
) -> None:
    (disks[0] / "s/u/it").unlink()
    os.mknod(disks[0] / "s/u/it", kind | 0o644, os.makedev(1, 250))

    outcome = bench.move("s/u", *disks)

    assert_only_it_stays(outcome, disks, reason=reason)


@pytest.mark.parametrize(("letter", "reason"), [("i", "immutable"), ("a", "append-only")])
def test_immutable_and_append_only_files_stay(
    bench: Bench, disks: tuple[Path, Path], flagged: ExitStack, letter: str, reason: str
) -> None:
    path = disks[0] / "s/u/it"
    subprocess.run(["chattr", f"+{letter}", path], check=True)
    flagged.callback(lambda: subprocess.run(["chattr", f"-{letter}", path], check=True))

    outcome = bench.move("s/u", *disks)

    assert_only_it_stays(outcome, disks, reason=reason)


def test_a_different_file_at_the_destination_is_a_conflict_and_both_stay(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    source, destination = disks
    (destination / "s/u").mkdir(parents=True)
    (destination / "s/u/it").write_bytes(b"other")

    outcome = bench.move("s/u", *disks)

    assert outcome.conflicts == {b"s/u/it"} == set(outcome.left)
    assert os.listdir(source / "s/u") == ["it"]
    assert (source / "s/u/it").read_bytes() == b"it" * 2_000
    assert (destination / "s/u/it").read_bytes() == b"other"
    assert own_names(*disks) == []


@pytest.mark.parametrize("kind", ["folder", "symlink", "pipe"])
def test_what_is_no_file_at_the_destination_is_a_conflict_and_both_stay(
    bench: Bench, disks: tuple[Path, Path], kind: str
) -> None:
    source, destination = disks
    (destination / "s/u").mkdir(parents=True)
    at = destination / "s/u/it"
    plant: dict[str, Callable[[], object]] = {
        "folder": at.mkdir,
        "symlink": lambda: at.symlink_to("/etc/passwd"),
        "pipe": lambda: os.mkfifo(at),
    }
    plant[kind]()
    before = os.lstat(at)

    outcome = bench.move("s/u", *disks)

    assert outcome.conflicts == {b"s/u/it"} == set(outcome.left)
    assert os.listdir(source / "s/u") == ["it"]
    assert os.lstat(at) == before


def test_a_file_where_a_folder_is_needed_is_a_conflict_and_both_stay(bench: Bench, disks: tuple[Path, Path]) -> None:
    source, destination = disks
    (source / "s/u/sub").mkdir()
    (source / "s/u/sub/inside").write_bytes(b"inside")
    (destination / "s/u").mkdir(parents=True)
    (destination / "s/u/sub").write_bytes(b"a file")

    outcome = bench.move("s/u", *disks)

    assert outcome.conflicts == {b"s/u/sub"} == set(outcome.left)
    assert (source / "s/u/sub/inside").read_bytes() == b"inside"
    assert (destination / "s/u/sub").read_bytes() == b"a file"
    assert os.listdir(source / "s/u") == ["sub"]


def test_a_symlink_at_the_source_and_a_file_at_the_destination_are_a_conflict(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    source, destination = disks
    (source / "s/u/it").unlink()
    (source / "s/u/it").symlink_to("first")
    (destination / "s/u").mkdir(parents=True)
    (destination / "s/u/it").write_bytes(b"other")

    outcome = bench.move("s/u", *disks)

    assert outcome.conflicts == {b"s/u/it"} == set(outcome.left)
    assert os.readlink(source / "s/u/it") == "first"
    assert (destination / "s/u/it").read_bytes() == b"other"


def test_a_path_that_is_on_a_third_disk_too_stays(bench: Bench, disks: tuple[Path, Path], make_disk: MakeDisk) -> None:
    third = make_disk("tmpfs", 8, "disk3")
    (third / "s/u").mkdir(parents=True)
    (third / "s/u/it").write_bytes(b"third")
    bench.others = (third,)

    outcome = bench.move("s/u", *disks)

    assert_only_it_stays(outcome, disks, reason="the same path is also on disk3")
    assert (third / "s/u/it").read_bytes() == b"third"


def test_a_hard_link_group_with_a_name_outside_the_unit_stays_whole(bench: Bench, disks: tuple[Path, Path]) -> None:
    source, destination = disks
    (source / "s/u/second").hardlink_to(source / "s/u/it")
    (source / "s/outside").hardlink_to(source / "s/u/it")

    outcome = bench.move("s/u", *disks)

    assert outcome.left.keys() == {b"s/u/it", b"s/u/second"}
    assert all("2 of its 3 names are in this unit" in reason for reason in outcome.left.values())
    assert (source / "s/u/it").stat().st_nlink == 3
    assert sorted(os.listdir(destination / "s/u")) == ["first", "last"]


@pytest.mark.parametrize("way", [os.O_WRONLY, os.O_RDONLY])
def test_every_name_of_a_hard_link_group_that_is_in_use_is_reported_with_that_reason(
    bench: Bench, disks: tuple[Path, Path], way: int
) -> None:
    source, destination = disks
    (source / "s/u/second").hardlink_to(source / "s/u/it")

    with another_process(HOLD, source / "s/u/second", str(way)):
        outcome = bench.move("s/u", *disks)

    assert outcome.left.keys() == {b"s/u/it", b"s/u/second"}
    assert all("in use" in reason for reason in outcome.left.values())
    assert sorted(os.listdir(destination / "s/u")) == ["first", "last"]
    assert (source / "s/u/it").stat().st_nlink == 2


def test_a_file_that_appears_at_the_destination_meanwhile_is_never_replaced(
    bench: Bench, slow: tuple[Path, Path]
) -> None:
    with bench.meanwhile(lambda: (slow[1] / "s/u/it").write_bytes(b"other")):
        outcome = bench.move("s/u", *slow)

    assert outcome.conflicts == {b"s/u/it"} == set(outcome.left)
    assert (slow[1] / "s/u/it").read_bytes() == b"other"
    assert (slow[0] / "s/u/it").stat().st_size == 12 * MIB
    assert own_names(*slow) == []


def test_a_file_named_like_a_temporary_one_of_another_run_stays_and_is_reported(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    source, destination = disks
    foreign = source / "s/u/.rebalancer-x-1.part"
    foreign.write_bytes(b"whose?")
    (destination / "s/u").mkdir(parents=True)
    (destination / "s/u/.rebalancer-x-2.part").write_bytes(b"whose?")

    outcome = bench.move("s/u", *disks)

    assert outcome.left.keys() == {b"s/u/.rebalancer-x-1.part"}
    assert foreign.read_bytes() == b"whose?"
    assert sorted(os.listdir(destination / "s/u")) == [".rebalancer-x-2.part", "first", "it", "last"]


def test_a_file_that_appears_in_the_folder_meanwhile_stays_and_is_reported(
    bench: Bench, slow: tuple[Path, Path]
) -> None:
    with bench.meanwhile((slow[0] / "s/u/new").touch):
        outcome = bench.move("s/u", *slow)

    assert outcome.left == {b"s/u/new": "it appeared while its folder was moved"}
    assert os.listdir(slow[0] / "s/u") == ["new"]
    assert sorted(os.listdir(slow[1] / "s/u")) == ["first", "it", "last"]


def test_a_new_file_that_takes_the_name_of_a_hidden_one_stays(bench: Bench, disks: tuple[Path, Path]) -> None:
    path = disks[0] / "s/u/it"

    with _when_hidden(path, lambda _: path.write_bytes(b"new")):
        outcome = bench.move("s/u", *disks)

    assert list(outcome.left) == [b"s/u/it"]
    assert path.read_bytes() == b"new"
    assert (disks[1] / "s/u/it").read_bytes() == b"it" * 2_000
    assert own_names(*disks) == []


def test_nothing_is_lost_when_the_hidden_file_changes_and_its_name_is_taken(
    bench: Bench, disks: tuple[Path, Path]
) -> None:
    path = disks[0] / "s/u/it"

    def change(hidden: Path) -> None:
        with hidden.open("ab") as file:
            file.write(b"changed")
        path.write_bytes(b"new")

    with _when_hidden(path, change):
        outcome = bench.move("s/u", *disks)

    assert "a new file took its name" in outcome.left[b"s/u/it"]
    assert path.read_bytes() == b"new"
    assert (disks[0] / "s/u/.rebalancer-op.hidden/it").read_bytes() == b"it" * 2_000 + b"changed"
    assert (disks[1] / "s/u/it").read_bytes() == b"it" * 2_000


def test_a_write_into_the_hidden_file_is_undone_and_the_file_stays(bench: Bench, disks: tuple[Path, Path]) -> None:
    path = disks[0] / "s/u/it"

    def change(hidden: Path) -> None:
        with hidden.open("ab") as file:
            file.write(b"changed")

    with _when_hidden(path, change):
        outcome = bench.move("s/u", *disks)

    assert_only_it_stays(outcome, disks, reason="it changed while it was moved")
    assert path.read_bytes() == b"it" * 2_000 + b"changed"


def test_a_file_that_vanished_is_no_failure(bench: Bench, slow: tuple[Path, Path]) -> None:
    (slow[0] / "s/u/link").symlink_to("first")

    def remove() -> None:
        (slow[0] / "s/u/last").unlink()
        (slow[0] / "s/u/it").unlink()
        (slow[0] / "s/u/link").unlink()

    with bench.meanwhile(remove):
        outcome = bench.move("s/u", *slow)

    assert (outcome.left, outcome.failure) == ({}, "")
    assert os.listdir(slow[0] / "s") == []
    assert os.listdir(slow[1] / "s/u") == ["first"]


def test_a_unit_that_vanished_before_its_turn_is_no_failure(bench: Bench, disks: tuple[Path, Path]) -> None:
    outcome = bench.move("s/gone", *disks)

    assert (outcome.left, outcome.failure, outcome.files_moved) == ({}, "", 0)


def test_a_file_changed_too_recently_stays(bench: Bench, disks: tuple[Path, Path]) -> None:
    for name in ("first", "last"):
        os.utime(disks[0] / "s/u" / name, (10**9, 10**9))
    bench.min_age = 3_600

    outcome = bench.move("s/u", *disks)

    assert_only_it_stays(outcome, disks, reason="changed too recently")


# -- what the destination cannot take -----------------------------------------------------------------------------


def test_a_full_destination_ends_the_unit_above_the_reserve_and_keeps_no_part(
    bench: Bench, make_disk: MakeDisk
) -> None:
    source, destination = make_disk("ext4", 64, "disk1"), make_disk("tmpfs", 20, "disk2")
    (source / "s/u").mkdir(parents=True)
    for number in range(9):
        (source / f"s/u/{number}").write_bytes(os.urandom(3 * MIB))
    before, bench.reserve = lab.snapshot(source), 4 * MIB

    outcome = bench.move("s/u", source, destination)

    figures = os.statvfs(destination)
    assert "no room" in outcome.failure
    assert figures.f_bavail * figures.f_frsize >= bench.reserve
    assert outcome.files_moved == 5
    assert len(outcome.left) >= 4
    assert lab.difference(before, lab.snapshot_array([source, destination])) == []
    assert own_names(source, destination) == []


def test_a_destination_that_is_full_in_the_middle_of_a_file_keeps_no_part_of_it(
    bench: Bench, make_disk: MakeDisk
) -> None:
    source, destination = make_disk("ext4", 64, "disk1"), make_disk("tmpfs", 20, "disk2")
    (source / "s/u").mkdir(parents=True)
    (source / "s/u/it").write_bytes(os.urandom(16 * MIB))
    before = lab.snapshot(source)
    bench.control.limit(20 * MIB)

    with bench.meanwhile(lambda: lab.fill(destination, 95, name="filler")):
        outcome = bench.move("s/u", source, destination)

    assert "no space" in outcome.failure
    assert lab.difference(before, lab.snapshot(source)) == []
    assert own_names(source, destination) == []
    assert not (destination / "s/u/it").exists()


def test_a_destination_without_free_inodes_ends_the_unit_with_nothing_half_done(
    bench: Bench, make_disk: MakeDisk
) -> None:
    source = make_disk("ext4", 16, "disk1")
    destination = make_disk("tmpfs", 16, "disk2", options="noatime,nr_inodes=14")
    (source / "s/u").mkdir(parents=True)
    for number in range(30):
        (source / f"s/u/{number:02}").write_bytes(b"x")
    before = lab.snapshot(source)

    outcome = bench.move("s/u", source, destination)

    assert "inodes" in outcome.failure
    assert 0 < outcome.files_moved < 30
    assert lab.difference(before, lab.snapshot_array([source, destination])) == []
    assert own_names(source, destination) == []


def test_a_destination_that_became_read_only_ends_the_work_on_it(bench: Bench, disks: tuple[Path, Path]) -> None:
    before = lab.snapshot(disks[0])
    lab.remount_read_only(disks[1])

    outcome = bench.move("s/u", *disks)

    assert "read-only" in outcome.failure
    assert lab.difference(before, lab.snapshot(disks[0])) == []


def test_an_attribute_too_large_for_the_destination_keeps_the_file_where_it_is(
    bench: Bench, make_disk: MakeDisk
) -> None:
    disks = make_disk("xfs", 300, "disk1"), make_disk("ext4", 64, "disk2")
    (disks[0] / "s/u").mkdir(parents=True)
    for name in ("first", "it", "last"):
        (disks[0] / "s/u" / name).write_bytes(name.encode())
    os.setxattr(disks[0] / "s/u/it", "user.large", b"x" * 60_000)

    outcome = bench.move("s/u", *disks)

    assert_only_it_stays(outcome, disks, reason="cannot keep its extended attribute user.large")


def test_a_time_that_the_destination_cannot_hold_keeps_the_file_where_it_is(bench: Bench, make_disk: MakeDisk) -> None:
    disks = make_disk("xfs", 300, "disk1"), make_disk("ext4", 64, "disk2")
    (disks[0] / "s/u").mkdir(parents=True)
    for name in ("first", "it", "last"):
        (disks[0] / "s/u" / name).write_bytes(name.encode())
    late = 2**34 - 2**30  # seconds: the year 2480, which xfs holds and ext4, ending in 2446, does not
    os.utime(disks[0] / "s/u/it", (late, late))
    assert (disks[0] / "s/u/it").stat().st_mtime == late

    outcome = bench.move("s/u", *disks)

    assert_only_it_stays(outcome, disks, reason="cannot keep the modification time")


class _when_hidden:  # noqa: N801 - reads as the sentence it stands in
    """Do something in another thread as soon as a file was hidden; it must have happened by the block's end."""

    def __init__(self, path: Path, act: Callable[[Path], object]) -> None:
        self._hidden = path.parent / ".rebalancer-op.hidden" / path.name
        self._act = act
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._happened = False

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        assert self._happened, "the file was never seen hidden, or what was to happen then failed"

    def _run(self) -> None:
        wait_until(self._hidden.exists)
        time.sleep(0.01)
        self._act(self._hidden)
        self._happened = True
