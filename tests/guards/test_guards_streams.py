import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import rebalancer
from lab import MakeDisk, MountPool
from rebalancer.array.discovery import find_disks
from rebalancer.array.disk import Disk
from rebalancer.guards.guard import Moment
from rebalancer.guards.streams import StreamsGuard
from rebalancer.settings import DiskSettings, Settings

HOLD = "import sys; held = [open(path, sys.argv[1]) for path in sys.argv[2:]]; print('ready', flush=True); sys.stdin.read()"
COMMAND = Path("/proc/self/comm").read_text().strip()


@contextmanager
def somebody(*paths: Path, mode: str = "rb", before: tuple[str, ...] = ()) -> Iterator[int]:
    """Another process that has files open; yields its number."""
    command = [*before, sys.executable, "-c", HOLD, mode, *map(str, paths)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.communicate()


def found(*roots: Path) -> tuple[Disk, ...]:
    return find_disks(root=Path("/"), settings=Settings(), named=tuple(map(str, roots)))


def films(root: Path, count: int = 3) -> list[Path]:
    paths = [root / "movies" / f"film {number}.mkv" for number in range(count)]
    paths[0].parent.mkdir(exist_ok=True)
    for path in paths:
        path.write_bytes(b"film" * 1000)
    return paths


def reason(most: int | None, disks: tuple[Disk, ...], *own: int) -> str:
    hold = StreamsGuard(most).look(Moment(at=0.0, root=Path("/"), disks=disks, own=frozenset(own)))
    return hold.reason if hold is not None else ""


def test_more_open_files_than_asked_for_hold_and_are_named(make_disk: MakeDisk) -> None:
    root = make_disk("ext4", 16, "disk1")
    first, second, _ = films(root)
    with somebody(first, second) as pid:
        assert reason(2, found(root)) == ""
        assert reason(1, found(root)) == (
            f"2 files of the disks are open (at most 1): open by {COMMAND}, pid {pid}: movies/film 0.mkv; "
            f"open by {COMMAND}, pid {pid}: movies/film 1.mkv"
        )
    assert reason(0, found(root)) == ""


def test_one_file_that_many_have_open_is_one_stream(make_disk: MakeDisk) -> None:
    root = make_disk("ext4", 16, "disk1")
    film = films(root)[0]
    with somebody(film, film), somebody(film):
        assert reason(1, found(root)) == ""
        assert reason(0, found(root)).startswith("1 file of the disks is open")


def test_what_our_own_processes_have_open_is_no_stream(make_disk: MakeDisk) -> None:
    root = make_disk("ext4", 16, "disk1")
    with somebody(*films(root)) as worker:
        assert reason(0, found(root), worker) == ""


def test_files_of_other_disks_and_folders_are_no_streams(make_disk: MakeDisk) -> None:
    root, other = make_disk("ext4", 16, "disk1"), make_disk("ext4", 16, "disk2")
    films(root)
    folder = os.open(root / "movies", os.O_RDONLY)
    with somebody(*films(other)):
        assert reason(0, found(root)) == ""
    os.close(folder)


def test_a_writer_is_told_from_a_reader(make_disk: MakeDisk) -> None:
    root = make_disk("xfs", 300, "disk1")
    with somebody(films(root)[0], mode="r+b") as pid:
        assert f"open for writing by {COMMAND}, pid {pid}: movies/film 0.mkv" in reason(0, found(root))


@pytest.mark.parametrize("file_system", ["btrfs", "tmpfs"])
def test_whatever_the_file_system(make_disk: MakeDisk, file_system: str) -> None:
    root = make_disk(file_system, 128, "disk1")
    with somebody(films(root)[0]) as pid:
        assert f", pid {pid}: movies/film 0.mkv" in reason(0, found(root))


def test_a_process_with_mounts_and_a_root_of_its_own_is_seen(make_disk: MakeDisk, mounts: ExitStack) -> None:
    root = make_disk("ext4", 16, "disk1")
    (film, *_) = films(root)
    script = (
        f"mkdir -p {root}/point && mount --bind {root}/movies {root}/point && exec 3<'{root}/point/{film.name}' && "
    )
    command = ["unshare", "--mount", "sh", "-c", script + "echo ready && read -r _"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert reason(0, found(root)).endswith(f": open by sh, pid {process.pid}: movies/film 0.mkv")
        process.communicate(b"\n")


def test_who_uses_the_pool_is_named_instead_of_the_pool(make_disk: MakeDisk, mount_pool: MountPool) -> None:
    roots = make_disk("ext4", 16, "disk1"), make_disk("ext4", 16, "disk2")
    films(roots[0], 1)
    pool = mount_pool(roots)
    with somebody(pool / "movies/film 0.mkv") as pid:
        told = reason(0, found(*roots))

    assert told.endswith(f": open by {COMMAND}, pid {pid}, through the pool: movies/film 0.mkv")


def test_a_user_of_the_pool_who_cannot_be_seen_leaves_the_pool_itself(
    make_disk: MakeDisk, mount_pool: MountPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = make_disk("ext4", 16, "disk1"), make_disk("ext4", 16, "disk2")
    films(roots[0], 1)
    pool = mount_pool(roots)
    with somebody(pool / "movies/film 0.mkv") as pid:
        told = reason(0, found(*roots), pid)

    assert ": open by mergerfs, pid " in told
    assert told.endswith(", through the pool: movies/film 0.mkv")


def test_of_a_disk_that_is_a_folder_only_the_folder_counts(tmp_path: Path) -> None:
    roots = tmp_path / "a", tmp_path / "ab"
    for root in roots:
        root.mkdir()
    settings = Settings(disks=tuple(DiskSettings(name=root.name, path=str(root), size="1GB") for root in roots))
    disk = next(disk for disk in find_disks(root=Path("/"), settings=settings, named=()) if disk.name == "a")
    with somebody(films(roots[1])[0]):
        assert reason(0, (disk,)) == ""
    with somebody(films(roots[0])[0]) as pid:
        assert reason(0, (disk,)).endswith(f", pid {pid}: movies/film 0.mkv")


def test_the_answer_stands_for_ten_seconds(make_disk: MakeDisk) -> None:
    root = make_disk("ext4", 16, "disk1")
    disks, guard = found(root), StreamsGuard(0)
    with somebody(films(root)[0]):
        held = guard.look(Moment(at=0.0, root=Path("/"), disks=disks))

    assert held is not None
    assert guard.look(Moment(at=9.0, root=Path("/"), disks=disks)) == held
    assert guard.look(Moment(at=10.0, root=Path("/"), disks=disks)) is None


def test_the_words_stay_while_those_named_are_there(make_disk: MakeDisk) -> None:
    root = make_disk("ext4", 16, "disk1")
    disks, guard, paths = found(root), StreamsGuard(0), films(root, 5)
    with somebody(*paths[1:4]):
        held = guard.look(Moment(at=0.0, root=Path("/"), disks=disks))
        with somebody(paths[0]):
            assert guard.look(Moment(at=10.0, root=Path("/"), disks=disks)) == held

    assert held is not None


def test_without_the_right_to_look_into_others_it_holds_and_says_so(make_disk: MakeDisk) -> None:
    disks = found(make_disk("ext4", 16, "disk1"))
    os.seteuid(65534)
    try:
        told = reason(9, disks)
    finally:
        os.seteuid(0)

    assert told == "which files others have open cannot be told: this needs root"


@pytest.mark.needs_tool("unshare")
def test_in_a_container_with_processes_of_its_own_it_holds_and_says_so(make_disk: MakeDisk) -> None:
    make_disk("ext4", 16, "disk1")
    look = (
        "from pathlib import Path; from rebalancer.guards.guard import Moment; "
        "from rebalancer.guards.streams import StreamsGuard; "
        "print(StreamsGuard(9).look(Moment(at=0.0, root=Path('/'), disks=())).reason)"
    )
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", look]
    variables = os.environ | {"PYTHONPATH": str(Path(rebalancer.__file__).parents[1])}
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)

    assert answer.stdout == (
        "which files others have open cannot be told: this container sees only its own processes; "
        "start it with --pid=host\n"
    )


def test_what_nobody_asked_for_is_not_looked_at(make_disk: MakeDisk) -> None:
    root = make_disk("ext4", 16, "disk1")
    with somebody(*films(root)):
        assert reason(None, found(root)) == ""
