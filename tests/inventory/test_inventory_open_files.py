"""Who has a file open, told from the outside: processes, loop devices, programs that run, users of a pool."""

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lab import MakeDisk, MountPool
from lab.processes import HOLD, MAP
from rebalancer.inventory import mount_views, open_files
from rebalancer.inventory.open_files import Identity, Use, User

COMMAND = Path("/proc/self/comm").read_text().strip()


@contextmanager
def somebody(*command: str | Path) -> Iterator[int]:
    with subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.communicate()


def holding(path: Path, flags: int) -> tuple[str | Path, ...]:
    return (sys.executable, "-c", HOLD, path, str(flags))


def identity(path: Path) -> Identity:
    status = path.stat()
    return status.st_dev, status.st_ino


def users_of(path: Path) -> list[User]:
    root = os.open(path.parent, os.O_RDONLY)
    try:
        devices = open_files.devices_of(root)
        return [user for user in open_files.users(devices, spared={os.getpid()}) if user.identity == identity(path)]
    finally:
        os.close(root)


def written(path: Path, content: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs", "tmpfs"])
def test_readers_and_writers_are_told_apart(make_disk: MakeDisk, file_system: str) -> None:
    path = written(make_disk(file_system, 300, "disk1") / "s/film")
    with somebody(*holding(path, os.O_RDONLY)) as reader, somebody(*holding(path, os.O_RDWR)) as writer:
        told = {user.process: user.words for user in users_of(path)}

    assert told == {
        reader: f"open by {COMMAND}, pid {reader}",
        writer: f"open for writing by {COMMAND}, pid {writer}",
    }


def test_a_descriptor_that_only_stands_for_a_path_is_no_use(make_disk: MakeDisk) -> None:
    path = written(make_disk("ext4", 16, "disk1") / "s/film")
    with somebody(*holding(path, os.O_PATH)):
        assert users_of(path) == []


def test_a_file_that_was_deleted_meanwhile_keeps_its_name(make_disk: MakeDisk) -> None:
    path = written(make_disk("ext4", 16, "disk1") / "s/film")
    kept = path.with_name("other name")
    kept.hardlink_to(path)
    with somebody(*holding(path, os.O_RDONLY)):
        path.unlink()
        assert [user.path for user in users_of(kept)] == ["s/film"]


def test_a_process_below_a_root_of_its_own_is_seen(make_disk: MakeDisk) -> None:
    root = make_disk("ext4", 16, "disk1")
    path = written(root / "s/film")
    program = (
        f"import os, sys; os.chroot({str(root)!r}); os.open('/s/film', 0); print('ready', flush=True); sys.stdin.read()"
    )
    with somebody(sys.executable, "-c", program) as pid:
        assert [(user.process, user.path.endswith("s/film")) for user in users_of(path)] == [(pid, True)]


def test_a_mapped_file_is_found_though_it_was_closed(make_disk: MakeDisk) -> None:
    for file_system in ("ext4", "btrfs"):
        path = written(make_disk(file_system, 128, file_system) / "s/library")
        with somebody(
            sys.executable, "-c", MAP, path, *map(str, (os.O_RDONLY, mmap.PROT_READ, mmap.MAP_PRIVATE))
        ) as pid:
            found = [user.words for user in open_files.mapping(identity(path))]
            assert users_of(path) == []
        assert found == [f"mapped into memory by {COMMAND}, pid {pid}"]
        assert list(open_files.mapping(identity(path))) == []


def test_a_program_that_runs_is_found(make_disk: MakeDisk) -> None:
    path = written(make_disk("ext4", 16, "disk1") / "s/tool", Path("/bin/cat").read_bytes())
    path.chmod(0o755)
    with subprocess.Popen([path], stdin=subprocess.PIPE) as process:
        found = [user.words for user in open_files.mapping(identity(path))]
        process.communicate()

    assert found == [f"mapped into memory by tool, pid {process.pid}"]


@pytest.mark.needs_tool("losetup")
@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("file_system", ["xfs", "btrfs"])
def test_the_image_behind_a_loop_device_is_in_use(
    make_disk: MakeDisk, mounts: ExitStack, tmp_path: Path, file_system: str, *, read_only: bool
) -> None:
    root = make_disk(file_system, 300, "disk1")
    image = root / "system/docker image.img"
    image.parent.mkdir()
    with image.open("xb") as file:
        file.truncate(16 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    point = tmp_path / "docker"
    point.mkdir()
    subprocess.run(["mount", "-o", "loop,ro" if read_only else "loop", image, point], check=True)
    mounts.callback(lambda: subprocess.run(["umount", point], check=True))

    fd = os.open(root, os.O_RDONLY)
    (user,) = open_files.images(open_files.devices_of(fd))
    writers = open_files.writers([fd])
    os.close(fd)

    assert user.use is Use.IMAGE
    assert user.is_writing is not read_only
    assert user.words == f"the image behind {user.command}, mounted at {point}"
    assert writers.get(identity(image)) == (None if read_only else user.words)
    assert users_of(image) == []
    assert open_files.images({"0:999999"}) == []


def test_who_has_a_file_open_through_a_pool_is_named(make_disk: MakeDisk, mount_pool: MountPool) -> None:
    roots = make_disk("ext4", 16, "disk1"), make_disk("ext4", 16, "disk2")
    path = written(roots[1] / "data/s/film")
    written(roots[0] / "data/s/other")
    pool = mount_pool([root / "data" for root in roots])
    with somebody(*holding(pool / "s/film", os.O_RDONLY)) as one, somebody(*holding(pool / "s/film", os.O_RDWR)) as two:
        told = sorted(user.words for user in users_of(path))

    assert told == sorted(
        f"open {how}by {COMMAND}, pid {pid}, through the pool" for pid in (one, two) for how in ("", "for writing ")
    )


def test_mounts_are_read_with_blanks_and_colons_in_their_names(make_disk: MakeDisk) -> None:
    root = make_disk("tmpfs", 4, "disk with blanks\tand: more")

    row = mount_views.over(mount_views.read("self"), str(root / "share"))

    assert row is not None
    assert row.point == str(root)
    assert row.path_of(str(root / "share/film")) == "share/film"
