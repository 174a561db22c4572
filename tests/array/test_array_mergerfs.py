"""The branches of a mergerfs pool, from the running daemon or from the list of mounts."""

from pathlib import Path

import pytest

from lab import MakeDisk, MountPool, RunProgram
from rebalancer.array import mergerfs, mounts
from rebalancer.array.discovery import find_disks
from rebalancer.array.disk import DiskStatus
from rebalancer.array.mounts import MountTable
from rebalancer.errors import UsageError
from rebalancer.settings import DiskSettings, Settings


def _table(*lines: str) -> MountTable:
    return MountTable(mounts.parse("\n".join(lines).encode()))


def _pool(at: Path | str, source: str, number: int = 50) -> str:
    return f"{number} 1 0:{number} / {at} rw - fuse.mergerfs {source} rw"


def test_modes_and_minimum_free_space_are_read() -> None:
    plain, slow, closed, odd = mergerfs.parse_branches("/a=RW:/b b=NC,10G:/c=RO:/d=x=RW,512K")

    assert (plain.path, plain.floor, plain.receives, plain.gives) == (Path("/a"), 0, True, True)
    assert (slow.path, slow.floor, slow.receives, slow.gives) == (Path("/b b"), 10 * 2**30, False, True)
    assert (closed.status, closed.receives, closed.gives) == (DiskStatus.READ_ONLY, False, False)
    assert (odd.path, odd.floor) == (Path("/d=x"), 512 * 1024)


@pytest.mark.parametrize("text", ["a:b", "", "/a::/b", "/a:b=RW"])
def test_a_shortened_name_is_no_list_of_branches(text: str) -> None:
    assert mergerfs.parse_branches(text) == ()


def test_a_source_of_whole_paths_is_used_where_the_daemon_cannot_be_asked(tmp_path: Path) -> None:
    found = mergerfs.discover(_table(_pool(tmp_path, "/a:/b")))

    assert [branch.path for branch in found] == [Path("/a"), Path("/b")]


def test_branches_that_cannot_be_learned_are_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read; name the disks"):
        mergerfs.discover(_table(_pool(tmp_path, "a:b")))


def test_without_a_pool_the_user_is_told_how_to_name_disks() -> None:
    with pytest.raises(UsageError, match=r"--disk PATH.*config\.toml"):
        mergerfs.discover(_table())


def test_several_pools_are_listed() -> None:
    with pytest.raises(UsageError, match=r"/p1, /p2.*set pool"):
        mergerfs.discover(_table(_pool("/p1", "/a:/b"), _pool("/p2", "/c:/d", 51)))


def test_a_pool_that_is_not_mounted_is_refused() -> None:
    with pytest.raises(UsageError, match="no mergerfs is mounted at /mnt/pool"):
        mergerfs.of_pool(Path("/mnt/pool"), _table())


def test_a_running_pool_tells_its_branches(make_disk: MakeDisk, mount_pool: MountPool) -> None:
    one, two, three = (make_disk("tmpfs", 4, f"disk {number}") for number in (1, 2, 3))
    pool = mount_pool([one, f"{two}=NC,1M", f"{three}=RO"])

    found = mergerfs.of_pool(pool, mounts.read(Path("/")))

    assert [branch.path for branch in found] == [one, two, three]
    assert [branch.receives for branch in found] == [True, False, False]
    assert [branch.floor for branch in found] == [0, 2**20, 0]


def test_a_branch_without_a_least_free_space_has_the_pools(make_disk: MakeDisk, mount_pool: MountPool) -> None:
    one, two = (make_disk("tmpfs", 8, f"disk {number}") for number in (1, 2))
    pool = mount_pool([one, f"{two}=RW,1M"], minfreespace="3M")

    found = mergerfs.of_pool(pool, mounts.read(Path("/")))

    assert [branch.floor for branch in found] == [3 * 2**20, 2**20]


def test_a_disk_that_is_named_is_held_to_what_its_pool_says(make_disk: MakeDisk, mount_pool: MountPool) -> None:
    one, two, three = (make_disk("tmpfs", 8, f"disk {number}") for number in (1, 2, 3))
    mount_pool([one, f"{two}=NC"], minfreespace="3M")
    settings = Settings(
        disks=(DiskSettings(path=str(one), reserve="1MiB"), DiskSettings(path=str(three), reserve="1MiB"))
    )

    (own, free) = find_disks(root=Path("/"), settings=settings, named=())
    (full,) = find_disks(root=Path("/"), settings=Settings(), named=(str(two),))

    assert (own.reserve_bytes, free.reserve_bytes) == (3 * 2**20, 2**20)
    assert (full.receives, full.gives, full.reserve_bytes) == (False, True, 3 * 2**20)


def test_a_plan_leaves_the_branches_of_a_real_pool_their_modes_and_their_least_free_space(
    make_disk: MakeDisk, mount_pool: MountPool, run_program: RunProgram
) -> None:
    full, new, closed, frozen = (make_disk("tmpfs", 32, f"disk{number}") for number in (1, 2, 3, 4))
    for number in range(20):
        unit = full / "films" / f"film {number}"
        unit.mkdir(parents=True)
        (unit / "film.mkv").write_bytes(b"x" * 2**20)
    mount_pool([full, f"{new}=RW,27M", f"{closed}=NC", f"{frozen}=RO"], minfreespace="1M")

    run_program("run", "--yes", "--verify", "fast", exit_code=0)

    held = [len(list(disk.glob("films/*/film.mkv"))) for disk in (full, new, closed, frozen)]
    assert held[1:] == [4, 0, 0]
    assert sum(held) == 20


def test_a_read_only_branch_is_shown_with_its_reason(
    make_disk: MakeDisk, mount_pool: MountPool, run_program: RunProgram
) -> None:
    one, two = (make_disk("tmpfs", 8, f"disk{number}") for number in (1, 2))
    mount_pool([one, f"{two}=RO"])

    shown = run_program("disks", exit_code=0).stdout

    assert f"{two} is a read-only branch of the pool (RO)" in shown
