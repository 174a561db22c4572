"""The catalogue of bad input, item by item: a clear sentence, the right exit code, nothing lost.

The numbers are those of the catalogue's paths, files and disks; each is answered here by the real program on real
file systems, by a test named in `ELSEWHERE`, or has a reason in `DOES_NOT_APPLY`.
"""

import ast
import mmap
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

import lab
from acceptance.bad_input_lab import MIB, NAMES, Trial, assert_clear_answer, bind, files, lost, own_names
from lab import MakeDisk

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_loop_disks("ext4")]

Arrange = Callable[[Trial], object]


@dataclass(frozen=True, slots=True)
class Case:
    """One item. ``said`` must be in the answer, or one of several with ``|`` between; of the names of the unit, ``stays`` are still on the first disk."""

    item: int
    title: str
    arrange: Arrange
    said: str = "completed"
    exit_code: int = 0
    stays: tuple[str | bytes, ...] = ()
    goes: tuple[str | bytes, ...] = ("first", "it", "last")
    during: Arrange | None = None  # once a copy is under way
    disks: tuple[str, str] = ("ext4", "tmpfs")
    loses: tuple[bytes, ...] = ()  # what somebody else took away meanwhile
    keeps_mark: str = ""  # a name like ours that must not be touched
    check: Arrange = id  # nothing more to look at


def odd_name(item: int, title: str, name: bytes, shown: str) -> Case:
    """A name that is moved byte by byte; a second one, in conflict, is shown harmlessly."""
    other = name[:200] + b"2"

    def arrange(trial: Trial) -> None:
        for each in (name, other):
            (trial.unit / os.fsdecode(each)).write_bytes(each)
        trial.beside(other, b"different")

    return Case(item, title, arrange, said=shown, exit_code=1, stays=(other,), goes=(*NAMES, name))


def it_stays(item: int, title: str, arrange: Arrange, said: str, **changes: object) -> Case:
    """One file of the unit stays with its reason, the others move."""
    return Case(item, title, arrange, said, 1, stays=("it",), goes=("first", "last"), **changes)  # type: ignore[arg-type]


def replaced_by(make: Callable[[Path], object]) -> Arrange:
    def arrange(trial: Trial) -> None:
        trial.it.unlink()
        make(trial.it)

    return arrange


def large(size: int = 12 * MIB) -> Arrange:
    return lambda trial: trial.it.write_bytes(os.urandom(size))


def hold(path: Path, mode: str, stack: ExitStack) -> None:
    stack.enter_context(path.open(mode))


def map_for_writing(trial: Trial) -> None:
    with trial.it.open("r+b") as file:
        trial.stack.callback(mmap.mmap(file.fileno(), 0).close)


def listen(path: Path) -> None:
    """Leave a socket behind; a path in an address holds 108 bytes at most (unix(7))."""
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(path.parent, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)


def append(trial: Trial) -> None:
    with suppress(BlockingIOError), trial.it.open("ab") as file:
        file.write(b"more")


def immutable_folder(trial: Trial) -> None:
    trial.beside("other", b"")
    trial.flag(trial.there, "immutable")


def link_outside(trial: Trial) -> None:
    (trial.disks[0] / "media/elsewhere").mkdir()
    (trial.disks[0] / "media/elsewhere/other name").hardlink_to(trial.it)


def swap_for_symlink(trial: Trial) -> None:
    trial.unit.rename(trial.unit.with_name("moved away"))
    trial.unit.symlink_to(trial.outside)


def privileged(trial: Trial) -> None:
    os.chown(trial.it, 54_321, 12_345)
    trial.it.chmod(0o6755)
    os.setxattr(trial.it, "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))


def sparse(trial: Trial) -> None:
    with trial.it.open("r+b") as file:
        file.truncate(10 * 2**30)
        file.seek(5 * 2**30)
        file.write(os.urandom(MIB))


def is_still_sparse(trial: Trial) -> None:
    assert (trial.there / "it").stat().st_size == 10 * 2**30
    assert (trial.there / "it").stat().st_blocks * 512 < 4 * MIB


def read_only(trial: Trial) -> None:
    lab.remount_read_only(trial.disks[1])


def limit_quota(trial: Trial) -> None:
    large()(trial)
    subprocess.run(["btrfs", "quota", "enable", trial.disks[1]], check=True)
    subprocess.run(["btrfs", "qgroup", "limit", "6M", "0/5", trial.disks[1]], check=True)


def subvolume(trial: Trial) -> None:
    subprocess.run(["btrfs", "-q", "subvolume", "create", trial.unit / "volume"], check=True)
    (trial.unit / "volume/inside").write_bytes(b"another volume")


def mounted_inside(trial: Trial) -> None:
    bind(trial.outside, trial.unit / "mounted", trial.stack)


LATIN = "café".encode("latin-1")

CASES = (
    odd_name(1, "a line break in a name", b"two\nlines", "two\\nlines"),
    odd_name(2, "a name that is not UTF-8", LATIN, "caf\\xe9"),
    odd_name(3, "a leading dash", b"-rf", "-rf"),
    odd_name(4, "an escape sequence in a name", b"red \x1b[31m", "red \\x1b[31m"),
    Case(5, "a name of 255 bytes", lambda t: (t.unit / ("n" * 255)).write_bytes(b"n"), goes=("n" * 255,)),
    odd_name(6, "a name that ends in a space or a dot", b"ends with. ", "ends with. 2"),
    Case(7, "composed and decomposed twins",
         lambda t: [(t.unit / n).write_text(n) for n in ("caf\u00e9", "cafe\u0301")], goes=("caf\u00e9", "cafe\u0301")),
    Case(10, "an empty file", lambda t: t.it.write_bytes(b"")),
    Case(11, "10 GiB of hole", sparse, check=is_still_sparse),
    Case(12, "larger than the free space", large(40 * MIB), "has no room", 1, stays=("it", "last"), goes=("first",)),
    it_stays(13, "grows while it is copied", large(), "in use", during=append, loses=(b"media/box/it",)),
    it_stays(14, "shrinks while it is copied", large(), "in use | became shorter", during=lambda t: os.truncate(t.it, 5), loses=(b"media/box/it",)),
    it_stays(16, "open for writing", lambda t: hold(t.it, "r+b", t.stack), "open for writing"),
    it_stays(17, "mapped for writing by somebody", map_for_writing, "in use"),
    it_stays(18, "immutable", lambda t: t.flag(t.it, "immutable"), "immutable"),
    it_stays(19, "append-only", lambda t: t.flag(t.it, "append-only"), "append-only"),
    Case(20, "the destination's folder is immutable", immutable_folder, "not permitted", 1, stays=NAMES, goes=(), disks=("ext4", "ext4")),
    Case(21, "hard links all in the unit", lambda t: (t.unit / "too").hardlink_to(t.it), goes=("it", "too"),
         check=lambda t: _demand((t.there / "too").samefile(t.there / "it"))),
    it_stays(22, "one hard link outside the unit", link_outside, "hard link: 1 of its 2 names"),
    it_stays(23, "a hard link made while it is copied", large(), "changed", during=lambda t: (t.disks[0] / "media/new").hardlink_to(t.it)),
    Case(24, "a symlink to a file", replaced_by(lambda p: p.symlink_to("first"))),
    Case(25, "a symlink stands in the path", lambda t: (t.disks[1] / "media").symlink_to(t.outside), "a file of that name stands", 1,
         stays=NAMES, goes=()),
    Case(26, "an absolute symlink out", replaced_by(lambda p: p.symlink_to("/etc/passwd"))),
    it_stays(27, "a pipe", replaced_by(os.mkfifo), "a pipe is never moved"),
    it_stays(28, "a socket", replaced_by(listen), "a socket is never moved"),
    it_stays(29, "a device", replaced_by(lambda p: os.mknod(p, 0o20600, os.makedev(1, 3))), "a device is never moved"),
    Case(30, "a mount inside the unit", mounted_inside, "another mount", 1, stays=("mounted",)),
    Case(31, "a btrfs subvolume inside the unit", subvolume, "another", 1, stays=("volume",), disks=("btrfs", "tmpfs")),
    Case(32, "its folder becomes a symlink during the run", large(), during=swap_for_symlink,
         check=lambda t: _demand(os.listdir(t.outside) == ["not ours"])),
    Case(33, "set-user-ID and capabilities", privileged, check=lambda t: _demand((t.there / "it").stat().st_mode & 0o6000 == 0o6000)),
    Case(37, "an owner without a name", lambda t: os.chown(t.it, 4_000_000, 4_000_001),
         check=lambda t: _demand((t.there / "it").stat().st_uid == 4_000_000)),
    Case(38, "nobody may read it", lambda t: t.it.chmod(0)),
    Case(40, "removed while it is copied", large(), during=lambda t: t.it.unlink(), goes=("first", "last"), loses=(b"media/box/it",)),
    Case(41, "an equal file at the destination", lambda t: subprocess.run(
        ["cp", "-a", t.disks[0] / "media", t.disks[1]], check=True)),
    it_stays(42, "a different file at the destination", lambda t: t.beside("it", b"different"), "another file stands at the destination"),
    it_stays(43, "a folder of that name at the destination", lambda t: (t.there / "it").mkdir(parents=True), "stand"),
    Case(45, "a temporary file of another run", lambda t: (t.unit / ".rebalancer-x-1.part").write_bytes(b"whose?"),
         "named like a temporary file of another run", 1, stays=(".rebalancer-x-1.part",), keeps_mark=".rebalancer-x-1.part"),
    Case(47, "a user's file that is named like ours", lambda t: t.beside(".rebalancer-mine-7.part", b"a user's"),
         goes=(*NAMES, ".rebalancer-mine-7.part"), keeps_mark=".rebalancer-mine-7.part"),
    Case(50, "the destination is read-only", read_only, "read-only", 4, stays=NAMES, goes=()),
    Case(56, "the quota is used up", limit_quota, "quota is used up", 1, stays=("it",), goes=(), disks=("ext4", "btrfs")),
)  # fmt: skip

HERE = {
    48: "test_one_disk_by_two_ways_is_never_moved_onto_itself",
    58: "test_a_disk_that_promised_more_than_it_has_loses_nothing_and_is_not_flushed_twice",
    59: "test_a_disk_that_hangs_does_not_keep_a_run_from_ending",
    61: "test_a_disk_of_no_size_is_no_division_by_zero",
}
ELSEWHERE = {
    9: "transfer/test_transfer_names.py::test_a_tree_three_thousand_folders_deep_is_moved",
    15: "transfer/test_transfer_left.py::test_an_edit_that_puts_size_and_time_back_is_seen_all_the_same",
    35: "transfer/test_transfer_left.py::test_an_attribute_too_large_for_the_destination_keeps_the_file_where_it_is",
    36: "transfer/test_transfer_left.py::test_a_time_that_the_destination_cannot_hold_keeps_the_file_where_it_is",
    39: "transfer/test_transfer_left.py::test_a_file_that_vanished_is_no_failure",
    44: "transfer/test_transfer_recover.py::test_parts_of_this_operation_go_and_those_of_another_one_stay",
    46: "transfer/test_transfer_names.py::test_a_symlink_planted_at_the_name_of_a_temporary_file_is_not_written_through",
    49: "acceptance/test_acceptance_left.py::test_a_disk_that_became_unusable_after_the_plan_costs_only_its_own_moves",
    51: "acceptance/test_acceptance_left.py::test_a_disk_that_fails_during_the_run_costs_only_its_own_moves",
    52: "transfer/test_transfer_verify.py::test_a_read_error_of_one_file_is_named_and_the_others_move",
    53: "transfer/test_transfer_verify.py::test_an_error_of_fsync_is_final_and_nothing_is_flushed_twice",
    54: "transfer/test_transfer_left.py::test_a_destination_that_is_full_in_the_middle_of_a_file_keeps_no_part_of_it",
    55: "transfer/test_transfer_left.py::test_a_destination_without_free_inodes_ends_the_unit_with_nothing_half_done",
    57: "array/test_array_discovery.py::test_the_wrong_kind_of_file_system_is_refused_also_with_a_limit",
    60: "array/test_array_discovery.py::test_a_swapped_disk_is_noticed",
}
DOES_NOT_APPLY = {
    8: "file systems that ignore case and cannot keep owners (vfat, exfat, ntfs) are refused as disks; this kernel has no "
       "casefold for ext4 nor ASCII-CI for xfs to try the others on, which meet the conflict of item 42",
    34: "no file system of this kernel is without ACLs (noacl is gone): the same check of what was kept answers as in item 35",
}  # fmt: skip


@pytest.fixture
def trial(make_disk: MakeDisk, mounts: ExitStack, tmp_path: Path, state: Path) -> Iterator[Trial]:
    with ExitStack() as stack:
        yield Trial(make_disk, stack, tmp_path, state)


def test_every_item_of_the_catalogue_is_accounted_for_once() -> None:
    numbers = [*(case.item for case in CASES), *HERE, *ELSEWHERE, *DOES_NOT_APPLY]

    assert sorted(numbers) == list(range(1, 62))


@pytest.mark.parametrize(
    "node", [*ELSEWHERE.values(), *(f"acceptance/test_bad_input.py::{name}" for name in HERE.values())]
)
def test_what_is_shown_elsewhere_is_shown_there(node: str) -> None:
    file, _, name = node.partition("::")
    tree = ast.parse((Path(__file__).parents[1] / file).read_text())

    assert name in {part.name for part in tree.body if isinstance(part, ast.FunctionDef)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.item}-{case.title}")
def test_bad_input_costs_only_itself_and_is_named(trial: Trial, case: Case) -> None:
    trial.kinds = case.disks
    trial.prepare()
    case.arrange(trial)
    before = files(*trial.disks)

    ran = trial.run(None if case.during is None else lambda: case.during(trial))  # type: ignore[misc]

    assert_clear_answer(ran, case.said)
    assert ran.exit_code == case.exit_code, str(ran)
    after = files(*trial.disks)
    moved_away = {path.replace(b"/box/", b"/moved away/") for path, *_ in after}
    assert {path for path, _ in lost(before, after)} - set(case.loses) - (
        moved_away if case.item == 32 else set()
    ) == set()
    assert own_names(*trial.disks) - {case.keeps_mark} == set()
    for name in case.stays:
        assert os.path.lexists(os.fsencode(trial.unit) + b"/" + os.fsencode(name))
    for name in case.goes:
        assert not os.path.lexists(os.fsencode(trial.unit) + b"/" + os.fsencode(name))
        assert os.path.lexists(os.fsencode(trial.there) + b"/" + os.fsencode(name))
    assert (trial.outside / "not ours").read_bytes() == b"not ours"
    case.check(trial)


@pytest.mark.parametrize("way", ["twice", "bind", "symlink"])
def test_one_disk_by_two_ways_is_never_moved_onto_itself(trial: Trial, way: str) -> None:
    trial.prepare()
    disk = trial.disks[0]
    second = trial.folder / "mnt/again"
    if way == "bind":
        bind(disk, second, trial.stack)
    elif way == "symlink":
        second.symlink_to(disk)
    else:
        second = disk
    before = files(disk)

    ran = lab.run("--disk", disk, "--disk", second, "run", "--yes", state=trial.state)

    said = {"twice": "named twice", "bind": "same file system", "symlink": "symbolic link"}[way]
    assert_clear_answer(ran, said) if way == "twice" else assert_clear_answer(ran, "")
    assert ran.exit_code == (2 if way == "twice" else 0)
    assert files(disk) == before
    shown = lab.run("--disk", disk, "--disk", second, "disks", state=trial.state)
    assert said in shown.stdout + shown.stderr


def test_a_disk_that_promised_more_than_it_has_loses_nothing_and_is_not_flushed_twice(trial: Trial) -> None:
    """A sparse image on a small tmpfs: statvfs says there is room, the flush finds that there is none."""
    trial.prepare()
    large()(trial)
    small = trial.make_disk("tmpfs", 8, "small")
    thin = trial.stack.enter_context(lab.disk(small / "disk2", "ext4", 64))
    trial.disks[1] = thin
    before = files(trial.disks[0])

    ran = trial.run(None)

    assert ran.exit_code == 1
    assert_clear_answer(ran, "flushing")
    assert (b"media/box/it" in {path for path, *_ in files(trial.disks[0])}) is True
    assert lost(before, files(trial.disks[0])) == set()


def test_a_disk_that_hangs_does_not_keep_a_run_from_ending(trial: Trial) -> None:
    trial.kinds = ("ext4", "ext4")
    trial.prepare()
    large()(trial)
    before = files(trial.disks[0])
    process = lab.start(
        *trial.named, "run", "--yes", "--plan", trial.plan(), "--bandwidth-limit", "8MB/s", state=trial.state
    )
    trial.wait_for_copy(process)
    subprocess.run(["fsfreeze", "--freeze", trial.disks[1]], check=True)
    try:
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=40)
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", trial.disks[1]], check=True)
        if process.poll() is None:
            process.kill()
            process.communicate()

    assert process.returncode == 130
    assert_clear_answer(lab.Ran((), 130, output.decode(), errors.decode()), "kill pending")
    deadline = time.monotonic() + 10
    while (ran := lab.run(*trial.named, "run", "--yes", state=trial.state)).exit_code == 75:
        assert time.monotonic() < deadline, "the killed worker lives on"
    assert ran.exit_code == 0, str(ran)
    assert lost(before, files(*trial.disks)) == set()
    assert own_names(*trial.disks) == set()


def test_a_disk_of_no_size_is_no_division_by_zero(trial: Trial) -> None:
    inventory = trial.folder / "inventory.json"
    disks = ",".join(
        f'{{"name":"{name}","path":"/{name}","size_bytes":{size},"used_bytes":0}}'
        for name, size in (("a", 0), ("b", 9))
    )
    inventory.write_text(f'{{"disks":[{disks}],"units":[]}}')

    ran = lab.run("plan", "--inventory", inventory, state=trial.state)

    assert_clear_answer(ran, "")
    assert ran.exit_code == 0


def _demand(claim: bool) -> None:
    assert claim
