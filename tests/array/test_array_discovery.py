"""Which disks form the array, why some are refused, and whether a disk still is what it was."""

import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

import lab
from lab import MakeDisk, MountPool
from rebalancer.array.discovery import confirm, find_disks, measure
from rebalancer.array.disk import Disk, DiskStatus
from rebalancer.errors import RefusedError, UsageError
from rebalancer.settings import DiskSettings, Settings

ROOT = Path("/")
MIB = 2**20


def named(*disks: Path | str, settings: Settings | None = None) -> tuple[Disk, ...]:
    return find_disks(root=ROOT, settings=settings or Settings(), named=[str(disk) for disk in disks])


def refusal(disk: Path | str) -> tuple[DiskStatus, str]:
    (found,) = named(disk)
    return found.status, found.reason


def folder(at: Path) -> Path:
    at.mkdir(parents=True)
    return at


def _unmount(at: Path) -> None:
    subprocess.run(["umount", at], check=True)


def bind(source: Path, at: Path, mounts: ExitStack) -> Path:
    folder(at)
    subprocess.run(["mount", "--bind", source, at], check=True)
    mounts.callback(_unmount, at)
    return at


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs", "tmpfs"])
def test_a_mounted_disk_is_measured(make_disk: MakeDisk, file_system: str) -> None:
    disk = make_disk(file_system, 300, "disk1")
    (disk / "file").write_bytes(os.urandom(4 * MIB))
    os.sync()

    (found,) = named(disk)

    status = os.statvfs(disk)
    assert (found.status, found.name, found.filesystem) == (DiskStatus.OK, "disk1", file_system)
    assert found.size_bytes == status.f_blocks * status.f_frsize
    assert found.used_bytes == (status.f_blocks - status.f_bfree) * status.f_frsize
    assert (found.device, found.inode) == (disk.stat().st_dev, disk.stat().st_ino)
    confirm(found, root=ROOT)


def test_a_folder_with_a_limit_is_a_disk(tmp_path: Path) -> None:
    disk = folder(tmp_path / "sample")
    (disk / "file").write_bytes(os.urandom(MIB))
    os.sync()

    (found,) = named(f"{disk},size=10MiB,name=first")

    assert (found.name, found.is_folder, found.size_bytes) == ("first", True, 10 * MIB)
    assert MIB <= found.used_bytes < 2 * MIB
    assert found.free_bytes == 10 * MIB - found.used_bytes
    confirm(found, root=ROOT)


def test_a_folder_without_a_limit_is_refused(tmp_path: Path) -> None:
    status, reason = refusal(folder(tmp_path / "disk1"))

    assert status is DiskStatus.NOT_MOUNTED
    assert reason == f"{tmp_path}/disk1 is not a mount point; data written there would land on the disk below it"


def test_what_is_no_folder_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(folder(tmp_path / "real" / "inner").parent)

    assert refusal(tmp_path / "absent") == (DiskStatus.NOT_MOUNTED, f"{tmp_path}/absent does not exist")
    assert refusal(tmp_path / "file") == (DiskStatus.UNSUITABLE, f"{tmp_path}/file is not a folder")
    for path in ("link", "link/inner"):
        status, reason = refusal(f"{tmp_path}/{path},size=1GB")
        assert status is DiskStatus.UNSUITABLE
        assert "symbolic link; name the real path" in reason


@pytest.mark.parametrize(
    "path", ["/", "//", "disk1", "/mnt/../etc", "", "/mnt/a,size=lots", "/mnt/a,name=", "/a,size=0"]
)
def test_a_path_that_cannot_name_a_disk_is_wrong_usage(path: str) -> None:
    with pytest.raises(UsageError):
        named(path)


def test_a_read_only_disk_is_refused(make_disk: MakeDisk) -> None:
    disk = make_disk("ext4", 16, "disk1")
    (before,) = named(disk)
    lab.remount_read_only(disk)

    assert refusal(disk)[0] is DiskStatus.READ_ONLY
    assert measure(before, root=ROOT).status is DiskStatus.READ_ONLY
    with pytest.raises(RefusedError, match="read-only"):
        confirm(before, root=ROOT)


@pytest.mark.needs_mounts
def test_a_file_system_without_a_size_is_refused() -> None:
    assert refusal("/proc") == (DiskStatus.UNSUITABLE, "/proc has no size")


def test_a_pool_is_refused_and_its_branches_are_found(make_disk: MakeDisk, mount_pool: MountPool) -> None:
    one, two, three = (make_disk("tmpfs", 8, f"disk{number}") for number in (1, 2, 3))
    pool = mount_pool([one, f"{two}=NC,1M", f"{three}=RO"])

    assert refusal(pool)[0] is DiskStatus.UNION
    found = find_disks(root=ROOT, settings=Settings(pool=str(pool)), named=())

    assert [disk.name for disk in found] == ["disk1", "disk2", "disk3"]
    assert [disk.status for disk in found] == [DiskStatus.OK, DiskStatus.OK, DiskStatus.READ_ONLY]
    assert (found[1].receives, found[1].gives, found[1].reserve_bytes) == (False, True, MIB)


def test_the_same_space_twice_is_refused(tmp_path: Path, make_disk: MakeDisk, mounts: ExitStack) -> None:
    disk = make_disk("btrfs", 120, "disk1")
    subprocess.run(["btrfs", "-q", "subvolume", "create", disk / "sub"], check=True)
    again = bind(disk, tmp_path / "again", mounts)
    source = subprocess.run(
        ["findmnt", "-no", "SOURCE", disk], check=True, capture_output=True, text=True
    ).stdout.strip()
    subprocess.run(["mount", "-t", "btrfs", "-o", "subvol=sub", source, folder(tmp_path / "sub")], check=True)
    mounts.callback(_unmount, tmp_path / "sub")
    assert (tmp_path / "sub").stat().st_dev != disk.stat().st_dev

    first, *others = named(disk, again, tmp_path / "sub")

    assert first.status is DiskStatus.OK
    for other in others:
        assert (other.status, other.reason) == (
            DiskStatus.UNSUITABLE,
            f"{other.path} is the same file system as {disk}",
        )


def test_a_disk_inside_a_disk_is_refused(tmp_path: Path, make_disk: MakeDisk, mounts: ExitStack) -> None:
    outer = make_disk("tmpfs", 4, "disk1")
    inner = mounts.enter_context(lab.disk(outer / "inner", "tmpfs", 4))

    assert [disk.status for disk in named(inner, outer)] == [DiskStatus.UNSUITABLE, DiskStatus.OK]


def test_folders_may_share_a_file_system_but_not_contain_each_other(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "one"), folder(tmp_path / "two")
    inner = folder(one / "inner")

    assert [disk.status for disk in named(f"{one},size=1MB", f"{two},size=1MB")] == [DiskStatus.OK] * 2
    with pytest.raises(UsageError, match="lies inside"):
        named(f"{inner},size=1MB", f"{one},size=1MB")


def test_a_named_disk_takes_what_the_settings_say_of_it(tmp_path: Path) -> None:
    disk = folder(tmp_path / "disk")
    settings = Settings(disks=(DiskSettings(path=f"{disk}/", name="cold", size="1GiB", reserve="10%"),))

    (found,) = named(disk, settings=settings)

    assert (found.name, found.size_bytes, found.reserve_bytes) == ("cold", 2**30, 107374183)


def test_names_are_made_unique_and_twins_refused(tmp_path: Path) -> None:
    paths = [folder(tmp_path / str(number) / "disk") for number in range(3)]

    assert [disk.name for disk in named(*(f"{path},size=1MB" for path in paths))] == ["disk", "disk-2", "disk-3"]
    with pytest.raises(UsageError, match="two disks have the name 'x'"):
        named(f"{paths[0]},size=1MB,name=x", f"{paths[1]},size=1MB,name=x")
    with pytest.raises(UsageError, match="named twice"):
        named(paths[0], f"{paths[0]}/")


@pytest.mark.needs_mounts
def test_an_unmounted_disk_is_noticed(tmp_path: Path) -> None:
    with lab.disk(tmp_path / "disk1", "tmpfs", 4) as at:
        (disk,) = named(at)
        confirm(disk, root=ROOT)

    with pytest.raises(RefusedError, match="not a mount point"):
        confirm(disk, root=ROOT)
    assert measure(disk, root=ROOT).status is DiskStatus.NOT_MOUNTED


@pytest.mark.needs_mounts
def test_a_swapped_disk_is_noticed(tmp_path: Path, mounts: ExitStack) -> None:
    at = tmp_path / "disk1"
    with lab.disk(at, "tmpfs", 4):
        (disk,) = named(at)
        keep = mounts.enter_context(lab.disk(tmp_path / "keep", "tmpfs", 4))  # holds the old number
    mounts.enter_context(lab.disk(tmp_path / "between", "tmpfs", 4))
    mounts.enter_context(lab.disk(at, "tmpfs", 4))

    assert keep.exists()
    with pytest.raises(RefusedError, match="another file system or folder"):
        confirm(disk, root=ROOT)


def test_a_replaced_folder_is_noticed(tmp_path: Path) -> None:
    at = folder(tmp_path / "disk1")
    (disk,) = named(f"{at},size=1MB")
    at.rename(tmp_path / "old")
    folder(at)

    with pytest.raises(RefusedError, match="another file system or folder"):
        confirm(disk, root=ROOT)


def test_measure_sees_what_was_written(tmp_path: Path) -> None:
    at = folder(tmp_path / "disk1")
    (disk,) = named(f"{at},size=10MiB")
    (at / "file").write_bytes(os.urandom(MIB))
    os.sync()

    fresh = measure(disk, root=ROOT)

    assert MIB <= fresh.used_bytes - disk.used_bytes < 2 * MIB
    assert (fresh.size_bytes, fresh.free_bytes) == (10 * MIB, 10 * MIB - fresh.used_bytes)


# Unraid, below a root of its own


def slot(name: str, **changes: str) -> str:
    values = {
        "name": name,
        "device": "sdc",
        "status": "DISK_OK",
        "type": "Data",
        "color": "green-on",
        "fsStatus": "Mounted",
    }
    return f'["{name}"]\n' + "".join(f"{key}={json.dumps(value)}\n" for key, value in (values | changes).items())


def unraid_root(root: Path, disks: str, mounted: str) -> Path:
    state = folder(root / "var/local/emhttp")
    (state / "disks.ini").write_text(disks)
    (state / "var.ini").write_text('mdState="STARTED"\nfsState="Started"\nstartMode="Normal"\n')
    (folder(root / "proc/self") / "mountinfo").write_text(mounted)
    for number in range(1, 5):
        folder(root / f"mnt/disk{number}")
    return root


MOUNTED = (
    "1 0 0:2 / / rw - rootfs rootfs rw\n"
    "30 1 9:1 / /mnt/disk1 rw - xfs /dev/md1p1 rw\n"
    "31 1 9:2 / /mnt/disk2 rw - btrfs /dev/md2p1 rw\n"
    "32 1 9:3 / /mnt/disk3 ro - xfs /dev/md3p1 rw\n"
)


def test_an_unraid_array_is_found_with_the_reasons_against_its_disks(tmp_path: Path) -> None:
    disks = slot("disk1") + slot("disk2", status="DISK_DSBL", color="red-on") + slot("disk3") + slot("disk4")
    root = unraid_root(tmp_path, disks, MOUNTED)

    found = find_disks(root=root, settings=Settings(), named=())

    assert [(disk.name, disk.status) for disk in found] == [
        ("disk1", DiskStatus.OK),
        ("disk2", DiskStatus.DISABLED),
        ("disk3", DiskStatus.READ_ONLY),
        ("disk4", DiskStatus.NOT_MOUNTED),
    ]
    assert found[0].path == str(root / "mnt/disk1")
    assert found[0].mount_source == "/dev/md1p1"
    assert all(disk.reason for disk in found[1:])


def test_a_named_disk_is_held_to_what_unraid_says_of_it(tmp_path: Path) -> None:
    root = unraid_root(tmp_path, slot("disk1", status="DISK_DSBL"), MOUNTED)

    (found,) = find_disks(root=root, settings=Settings(), named=[str(root / "mnt/disk1")])

    assert found.status is DiskStatus.DISABLED


def test_a_disk_that_unraid_disables_meanwhile_is_not_confirmed(tmp_path: Path) -> None:
    root = unraid_root(tmp_path, slot("disk1"), MOUNTED)
    (disk,) = find_disks(root=root, settings=Settings(), named=())
    confirm(disk, root=root)
    (root / "var/local/emhttp/disks.ini").write_text(slot("disk1", status="DISK_DSBL"))

    with pytest.raises(RefusedError, match="emulates"):
        confirm(disk, root=root)


def test_an_unraid_that_lists_no_disk_is_told_so(tmp_path: Path) -> None:
    root = unraid_root(tmp_path, "", MOUNTED)

    with pytest.raises(UsageError, match="lists no data disks"):
        find_disks(root=root, settings=Settings(), named=())


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("nfs4", DiskStatus.REMOTE),
        ("cifs", DiskStatus.REMOTE),
        ("fuse.sshfs", DiskStatus.REMOTE),
        ("fuse.shfs", DiskStatus.UNION),
        ("vfat", DiskStatus.UNSUITABLE),
        ("exfat", DiskStatus.UNSUITABLE),
        ("ntfs3", DiskStatus.UNSUITABLE),
        ("fuse.bindfs", DiskStatus.UNSUITABLE),
    ],
)
def test_the_wrong_kind_of_file_system_is_refused_also_with_a_limit(
    tmp_path: Path, kind: str, status: DiskStatus
) -> None:
    root = unraid_root(tmp_path, slot("disk1"), f"30 1 9:1 / /mnt/disk1 rw - {kind} source rw\n")
    inner = folder(root / "mnt/disk1/inner")

    mounted, limited = (
        find_disks(root=root, settings=Settings(), named=[text])[0]
        for text in (str(root / "mnt/disk1"), f"{inner},size=1MB")
    )

    assert (mounted.status, limited.status) == (status, status)


def test_an_overlay_is_no_disk_but_a_folder_on_a_containers_root_may_be_one(tmp_path: Path) -> None:
    mounted_at = ("/mnt/disk1", "/srv")
    lines = (f"{number} 1 9:1 / {point} rw - overlay source rw\n" for number, point in enumerate(mounted_at, 30))
    root = unraid_root(tmp_path, slot("disk1"), "".join(lines))
    inner = folder(root / "srv/inner")

    (mounted,) = find_disks(root=root, settings=Settings(), named=[str(root / "mnt/disk1")])
    (limited,) = find_disks(root=root, settings=Settings(), named=[f"{inner},size=1MB"])

    assert (mounted.status, limited.status) == (DiskStatus.UNION, DiskStatus.OK)


@pytest.mark.parametrize("view", ["mnt/user", "mnt/user0/Media", "mnt/rootshare"])
def test_unraids_views_over_the_disks_are_refused(tmp_path: Path, view: str) -> None:
    root = unraid_root(tmp_path, slot("disk1"), MOUNTED)

    (found,) = find_disks(root=root, settings=Settings(), named=[f"{folder(root / view)},size=1MB"])

    assert found.status is DiskStatus.UNION
