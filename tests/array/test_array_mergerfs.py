"""The branches of a mergerfs pool, from the running daemon or from the list of mounts."""

from pathlib import Path

import pytest

from lab import MakeDisk, MountPool
from rebalancer.array import mergerfs, mounts
from rebalancer.array.disk import DiskStatus
from rebalancer.array.mounts import MountTable
from rebalancer.errors import UsageError


def _table(*lines: str) -> MountTable:
    return MountTable(mounts.parse("\n".join(lines).encode()))


def _pool(at: Path | str, source: str, number: int = 50) -> str:
    return f"{number} 1 0:{number} / {at} rw - fuse.mergerfs {source} rw"


def test_modes_and_minimum_free_space_are_read() -> None:
    plain, slow, closed, odd = mergerfs.parse_branches("/a=RW:/b b=NC,10G:/c=RO:/d=x=RW,512K")

    assert (plain.path, plain.reserve, plain.receives, plain.gives) == (Path("/a"), None, True, True)
    assert (slow.path, slow.receives, slow.gives) == (Path("/b b"), False, True)
    assert slow.reserve is not None
    assert slow.reserve.size == 10 * 2**30
    assert (closed.status, closed.receives, closed.gives) == (DiskStatus.READ_ONLY, False, False)
    assert odd.path == Path("/d=x")
    assert odd.reserve is not None
    assert odd.reserve.size == 512 * 1024


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
    assert found[1].reserve is not None
    assert found[1].reserve.size == 2**20
