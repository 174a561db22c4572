import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

import lab
from lab import MakeDisk, MountPool, needs


def change_a_byte(root: Path) -> None:
    with (root / "a").open("r+b") as file:
        file.write(b"X")


def shorten(root: Path) -> None:
    os.truncate(root / "a", 3)


def change_the_mode(root: Path) -> None:
    (root / "a").chmod(0o604)


def change_the_time_by_a_nanosecond(root: Path) -> None:
    moment = (root / "a").stat().st_mtime_ns + 1
    os.utime(root / "a", ns=(moment, moment))


def change_the_time_of_a_folder(root: Path) -> None:
    os.utime(root / "folder", ns=(1, 1))


def change_an_xattr(root: Path) -> None:
    os.setxattr(root / "a", "user.note", b"other")


def drop_an_xattr_of_a_folder(root: Path) -> None:
    os.removexattr(root / "folder", "user.note")


def break_a_hard_link(root: Path) -> None:
    shutil.copy2(root / "linked", root / "copy")
    (root / "copy").rename(root / "linked too")


def change_a_symlink(root: Path) -> None:
    (root / "symlink").unlink()
    (root / "symlink").symlink_to("elsewhere")


def replace_a_symlink_by_its_target(root: Path) -> None:
    (root / "symlink").unlink()
    (root / "symlink").write_bytes(b"first")


def fill_a_hole(root: Path) -> None:
    data = (root / "sparse").read_bytes()
    status = (root / "sparse").stat()
    (root / "sparse").write_bytes(data)
    os.utime(root / "sparse", ns=(status.st_atime_ns, status.st_mtime_ns))


def remove_an_empty_folder(root: Path) -> None:
    (root / "folder" / "empty").rmdir()


def leave_something_behind(root: Path) -> None:
    (root / ".rebalancer-1-1.part").write_bytes(b"")


@pytest.fixture
def tree(make_disk: MakeDisk) -> Path:
    root = make_disk("ext4", 64, "disk1") / "tree"
    (root / "folder" / "empty").mkdir(parents=True)
    (root / "a").write_bytes(b"first")
    (root / "linked").write_bytes(b"linked")
    (root / "linked too").hardlink_to(root / "linked")
    (root / "symlink").symlink_to("a")
    with (root / "sparse").open("xb") as file:
        file.truncate(2**20)
    os.setxattr(root / "a", "user.note", b"one")
    os.setxattr(root / "folder", "user.note", b"one")
    return root


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (change_a_byte, "content was"),
        (shorten, "size was"),
        (change_the_mode, "mode was"),
        (change_the_time_by_a_nanosecond, "mtime_ns was"),
        (change_the_time_of_a_folder, "mtime_ns was"),
        (change_an_xattr, "xattrs was"),
        (drop_an_xattr_of_a_folder, "xattrs was"),
        (break_a_hard_link, "links was"),
        (change_a_symlink, "target was"),
        (replace_a_symlink_by_its_target, "kind was"),
        (fill_a_hole, "holes were filled"),
        (remove_an_empty_folder, "is gone"),
        (leave_something_behind, "appeared"),
    ],
)
def test_a_change_is_found(tree: Path, change: Callable[[Path], None], seen: str) -> None:
    before = lab.snapshot(tree)

    change(tree)

    assert any(seen in line for line in lab.difference(before, lab.snapshot(tree)))


@pytest.mark.needs_root
def test_a_changed_owner_is_found(tree: Path) -> None:
    before = lab.snapshot(tree)

    os.chown(tree / "a", 1, 2)

    assert lab.difference(before, lab.snapshot(tree)) == ["b'a': gid was 0, is 2", "b'a': uid was 0, is 1"]


def test_times_of_folders_can_be_left_out(tree: Path) -> None:
    before = lab.snapshot(tree)

    change_the_time_of_a_folder(tree)

    assert lab.difference(before, lab.snapshot(tree), ignore_folder_times=True) == []


def test_a_file_on_two_disks_is_found(tmp_path: Path) -> None:
    for name in ("disk1", "disk2"):
        (tmp_path / name / "media").mkdir(parents=True)
        (tmp_path / name / "media" / "film").write_bytes(b"same")

    with pytest.raises(AssertionError, match=r"b'media/film' is on two disks: .*disk1 and .*disk2"):
        lab.snapshot_array([tmp_path / "disk1", tmp_path / "disk2"])


def test_a_folder_on_two_disks_is_one_folder(tmp_path: Path) -> None:
    for name in ("disk1", "disk2"):
        (tmp_path / name / "media").mkdir(parents=True)
        (tmp_path / name / "media" / name).write_bytes(b"own")

    array = lab.snapshot_array([tmp_path / "disk1", tmp_path / "disk2"])

    assert set(array) == {b"media", b"media/disk1", b"media/disk2"}


def test_a_tree_deeper_than_any_path_is_read(make_disk: MakeDisk) -> None:
    root = make_disk("tmpfs", 32, "disk1")

    lab.write_deep_folders(root / "media", 3_000)

    entries = lab.snapshot(root)
    assert len(entries) == 3_002
    assert max(map(len, entries)) > 3_000 * len("deeper/")


@pytest.mark.parametrize(("file_system", "size_mib"), [("ext4", 128), ("xfs", 300), ("btrfs", 128), ("tmpfs", 128)])
def test_a_written_tree_holds_everything_that_is_promised(make_disk: MakeDisk, file_system: str, size_mib: int) -> None:
    root = make_disk(file_system, size_mib, "disk1")

    lab.write_tree(root, files=60, seed=3, total=20 * 2**20)

    entries = lab.snapshot(root)
    files = [entry for entry in entries.values() if entry.kind == "file"]
    attributes = {name for entry in entries.values() for name, _ in entry.xattrs}
    assert {path.rpartition(b"/")[2] for path in entries}.issuperset(lab.ODD_NAMES)
    assert 19 * 2**20 < sum(entry.size for path, entry in entries.items() if b"/file " in path) < 21 * 2**20
    assert sorted(entry.links.rpartition(b"/")[2] for entry in files if entry.links) == [b"third"] * 3
    assert any(entry.size > entry.data_size + 2**20 for entry in files)
    assert any(entry.size and not entry.data_size for entry in files)
    assert any(entry.mtime_ns % 1000 for entry in files)
    assert {entry.kind for entry in entries.values()} == {"file", "folder", "symlink"}
    assert {entry.uid for entry in entries.values()} == {0, 99, 54_321}
    assert any(entry.mode & stat.S_ISUID for entry in files)
    assert attributes == {
        "user.comment",
        "user.long",
        "user.folder",
        "system.posix_acl_access",
        "system.posix_acl_default",
        "security.capability",
        "trusted.note",
    }


def test_the_same_seed_writes_the_same_tree(tmp_path: Path) -> None:
    for name in ("one", "two"):
        lab.write_tree(tmp_path / name, files=40, seed=5, total=2**20)

    assert lab.difference(lab.snapshot(tmp_path / "one"), lab.snapshot(tmp_path / "two")) == []


def test_trees_of_several_disks_do_not_meet(tmp_path: Path) -> None:
    for seed in (1, 2):
        lab.write_tree(tmp_path / f"disk{seed}", files=40, seed=seed, total=2**20)

    array = lab.snapshot_array([tmp_path / "disk1", tmp_path / "disk2"])

    assert sum(entry.kind == "file" for entry in array.values()) > 80


@pytest.mark.needs_tool("rsync")
def test_the_model_and_rsync_agree_that_a_copy_between_file_systems_is_equal(make_disk: MakeDisk) -> None:
    original, copy = make_disk("ext4", 128, "disk1"), make_disk("xfs", 300, "disk2")
    lab.write_tree(original, files=60, seed=4, total=10 * 2**20)

    subprocess.run(["rsync", "-aHAXS", NO_SECOND_ACLS, "--exclude=/lost+found", f"{original}/", f"{copy}/"], check=True)

    assert lab.difference(lab.snapshot(original), lab.snapshot(copy)) == []


def test_a_pool_shows_the_files_of_its_disks_as_they_are(make_disk: MakeDisk, mount_pool: MountPool) -> None:
    disks = [make_disk("tmpfs", 64, "disk1"), make_disk("btrfs", 128, "disk2")]
    for seed, root in enumerate(disks):
        lab.write_tree(root, files=30, seed=seed, total=4 * 2**20)

    pool = mount_pool(disks)

    assert lab.difference(lab.snapshot_array(disks), lab.snapshot(pool)) == []


@pytest.mark.parametrize(("file_system", "size_mib"), [("ext4", 64), ("xfs", 300), ("btrfs", 64), ("tmpfs", 64)])
def test_a_disk_is_filled_to_a_percentage(make_disk: MakeDisk, file_system: str, size_mib: int) -> None:
    root = make_disk(file_system, size_mib, "disk1")

    lab.fill(root, 80)

    assert lab.used_percent(root) == pytest.approx(80, abs=0.5)


def test_a_disk_that_is_remounted_read_only_refuses_writes(make_disk: MakeDisk) -> None:
    root = make_disk("tmpfs", 8, "disk1")

    lab.remount_read_only(root)

    with pytest.raises(OSError, match="Read-only file system"):
        (root / "file").write_bytes(b"")


@pytest.mark.needs_loop_disks("ext4")
def test_nothing_is_left_mounted_when_the_work_on_a_disk_fails(tmp_path: Path) -> None:
    at, image = tmp_path / "disk1", tmp_path / "disk1.img"

    with pytest.raises(RuntimeError, match=str(image)):
        fail_with_a_disk(at)

    assert not os.path.ismount(at)
    assert str(image) not in loop_devices()


def fail_with_a_disk(at: Path) -> None:
    with lab.disk(at, "ext4", 16):
        raise RuntimeError(loop_devices())


@pytest.mark.needs_loop_disks("ext4")
def test_a_disk_still_in_use_is_detached_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.disks._PATIENCE", 0.1)
    at = tmp_path / "disk1"

    with ExitStack() as mounts:
        mounts.enter_context(lab.disk(at, "ext4", 16))
        user = (at / "open").open("xb")
        with pytest.raises(lab.Busy):
            mounts.close()

    assert not os.path.ismount(at)
    user.close()
    assert str(tmp_path / "disk1.img") not in loop_devices()


def test_a_missing_program_is_named_with_its_package() -> None:
    assert needs.lacking_tools("sh") == ""
    assert needs.lacking_tools("no-such-program") == "no-such-program is not installed (package no-such-program)"


# rsync -X as root takes the view of the ACLs that xfs adds for an attribute of its own, and drops the ACL with it
NO_SECOND_ACLS = "--filter=-x trusted.SGI_ACL_*"

SKIPPING_TESTS = """
import pytest

@pytest.mark.needs_tool("no-such-program")
def test_with_a_marker(): pass

def test_with_a_call(): pytest.skip("not today")

@pytest.mark.xfail(reason="known")
def test_that_is_expected_to_fail(): assert False
"""


@pytest.mark.parametrize(
    ("variables", "expected"), [({}, "2 skipped, 1 xfailed"), ({"CI": "true"}, "1 failed, 1 xfailed, 1 error")]
)
def test_what_is_skipped_at_home_fails_in_ci(tmp_path: Path, variables: dict[str, str], expected: str) -> None:
    answer = run_pytest(tmp_path, SKIPPING_TESTS, variables)

    assert expected in answer
    assert "no-such-program is not installed (package no-such-program)" in answer
    assert "not today" in answer


@pytest.mark.parametrize(("variables", "expected"), [({}, "1 skipped"), ({"REBALANCER_NO_SKIPS": "1"}, "1 error")])
def test_a_whole_file_that_is_skipped_fails_in_ci_too(tmp_path: Path, variables: dict[str, str], expected: str) -> None:
    answer = run_pytest(tmp_path, "import pytest\npytest.skip('no', allow_module_level=True)", variables)

    assert expected in answer


def run_pytest(folder: Path, text: str, variables: dict[str, str]) -> str:
    shutil.copy(Path(__file__).with_name("conftest.py"), folder)
    (folder / "test_inner.py").write_text(text)
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "REBALANCER_NO_SKIPS"}}
    environment |= {"PYTHONPATH": str(Path(__file__).parent)} | variables
    command = [
        *lab.command_line()[:1],
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-rs",
        "--rootdir",
        str(folder),
        str(folder),
    ]
    answer = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=folder)
    return answer.stdout + answer.stderr


def loop_devices() -> str:
    command = ["losetup", "--all", "--output", "BACK-FILE", "--noheadings"]
    environment = os.environ | {"PATH": needs.PLACES}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


@pytest.mark.xdist_group("itself")
def test_tests_of_a_group_run_in_one_process(request: pytest.FixtureRequest) -> None:
    """pytest-xdist tells a group by the end of the test's name, which not every pytest lets it change."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@itself")
