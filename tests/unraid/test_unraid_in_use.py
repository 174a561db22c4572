"""Checklist of reference/unraid.md, points 10 and 20: what is in use stays and says why; a look wakes no disk."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import lab
import rebalancer
from acceptance.sample_lab import Scene
from lab import MakeDisk, MountPool, RunProgram, StartProgram
from lab.disks import unmount
from lab.processes import HOLD

MIB = 2**20
COMMAND = Path("/proc/self/comm").read_text().strip()
EVACUATE = ("--strategy=evacuate", "--from=disk1")

LOOK = """
import json, os, sys, time
from pathlib import Path
from rebalancer.array.discovery import find_disks
from rebalancer.array.disk import Disk
from rebalancer.guards.disk_activity import DiskActivityGuard
from rebalancer.guards.guard import Moment
from rebalancer.guards.memory import MemoryGuard
from rebalancer.guards.own import own_processes
from rebalancer.guards.processor import ProcessorGuard
from rebalancer.guards.streams import StreamsGuard
from rebalancer.inventory import mount_views, open_files
import msgspec
disks = msgspec.json.decode(sys.argv[1], type=tuple[Disk, ...])
guards = [ProcessorGuard(0.001), MemoryGuard(2**62), DiskActivityGuard(2**62), StreamsGuard(0)]
for at in (0.0, 20.0):
    moment = Moment(at=at, root=Path("/"), disks=disks, own=own_processes())
    told = [hold.reason for guard in guards if (hold := guard.look(moment)) is not None]
told += [image.words for image in open_files.images({mount_views.device_name(disk.device) for disk in disks})]
print(json.dumps(told))
"""


@contextmanager
def holding(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    command = [sys.executable, "-c", HOLD, str(path), str(flags)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.communicate()


@pytest.fixture
def scene(make_disk: MakeDisk, run_program: RunProgram, start_program: StartProgram, state: Path) -> Scene:
    """Two disks, of which the first holds two folders with a file of one MiB each."""
    roots = [make_disk("xfs", 300, "disk1"), make_disk("btrfs", 256, "disk2")]
    for name in ("used", "free"):
        (roots[0] / "share" / name).mkdir(parents=True)
        (roots[0] / "share" / name / "file").write_bytes(os.urandom(MIB))
    return Scene(roots, state, run_program, start_program)


def left(scene: Scene) -> dict[str, str]:
    return {item["path"]: item["reason"] for item in scene.record["left"]}


def test_point_10_a_file_open_on_its_disk_stays_with_the_name_of_who_has_it_open(scene: Scene) -> None:
    with holding(scene.roots[0] / "share/used/file") as pid:
        scene.run(*EVACUATE, exit_code=1)

    assert left(scene) == {"share/used/file": f"in use: open by {COMMAND}, pid {pid}"}
    assert (scene.roots[1] / "share/free/file").exists()
    scene.run(*EVACUATE, exit_code=0)
    assert (scene.roots[1] / "share/used/file").exists()


def test_point_10_a_file_open_through_the_user_view_stays_with_the_name_of_who_has_it_open(
    scene: Scene, mount_pool: MountPool
) -> None:
    pool = mount_pool(scene.roots)
    with holding(pool / "share/used/file", os.O_RDWR) as pid:
        scene.run(*EVACUATE, exit_code=1)

    assert left(scene) == {"share/used/file": f"in use: open for writing by {COMMAND}, pid {pid}, through the pool"}


@pytest.mark.needs_tool("losetup")
def test_point_10_an_image_that_is_mounted_stays_though_no_process_has_it_open(scene: Scene, tmp_path: Path) -> None:
    image, point = scene.roots[0] / "share/used/file", tmp_path / "docker"
    point.mkdir()
    image.write_bytes(bytes(8 * MIB))
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    with ExitStack() as mounted:
        subprocess.run(["mount", "-o", "loop", image, point], check=True)
        mounted.callback(lambda: subprocess.run(["umount", point], check=True))
        (point / "layer").write_bytes(b"of a container")
        units = scene.run_program("scan", *scene.disks, "--json", exit_code=0).document["units"]
        scene.run(*EVACUATE, exit_code=1)
        assert (point / "layer").read_bytes() == b"of a container"

    (reason,) = left(scene).values()
    assert reason.startswith("in use: the image behind loop")
    assert reason.endswith(f", mounted at {point}")
    assert image.exists()
    assert [unit["in_use"] for unit in units if unit["path"] == "share/used"] == [
        f"{reason.removeprefix('in use: ')}: share/used/file"
    ]
    scene.run(*EVACUATE, exit_code=0)
    assert (scene.roots[1] / "share/used/file").exists()


def test_point_10_a_file_that_was_changed_lately_stays_when_asked_for(scene: Scene) -> None:
    os.utime(scene.roots[0] / "share/free/file", (1, 1))

    scene.run(*EVACUATE, "--min-age=1h", exit_code=0)

    assert (scene.roots[0] / "share/used/file").exists()
    assert (scene.roots[1] / "share/free/file").exists()


def test_point_10_who_opens_a_file_after_it_was_copied_is_seen_before_it_is_removed(scene: Scene) -> None:
    used = scene.roots[0] / "share/used/file"
    used.write_bytes(os.urandom(8 * MIB))
    running = scene.start(*EVACUATE, "--bandwidth-limit=4MB/s")
    while not list((scene.roots[1] / "share").glob("used/.rebalancer-*.part")):
        assert running.poll() is None
    with holding(used) as pid:
        assert running.wait(60) == 1

    assert left(scene) == {"share/used/file": f"in use: open by {COMMAND}, pid {pid}"}
    assert used.exists()


# -- 20: let disks sleep ----------------------------------------------------------------------------------------


def requests(root: Path) -> list[str]:
    """Return what the kernel counts of reads and writes of a disk's device (proc_diskstats(5))."""
    device = os.stat(source_of(root)).st_rdev
    rows = (line.split() for line in Path("/proc/diskstats").read_text().splitlines())
    return next(row[3:11] for row in rows if (int(row[0]), int(row[1])) == (os.major(device), os.minor(device)))


def source_of(root: Path) -> str:
    found = subprocess.run(["findmnt", "-no", "SOURCE", root], check=True, capture_output=True, text=True)
    return found.stdout.strip()


def sleeping(scene: Scene) -> None:
    """Let the disks write everything and begin nothing by themselves: what is counted from now on was asked for."""
    for root in scene.roots:
        subprocess.run(["sync", "--file-system", root], check=True)
        subprocess.run(["mount", "-o", "remount,ro", root], check=True)


def mounted_anew(root: Path) -> None:
    """Let a disk be one of which nothing is in memory: whatever is asked of it reaches the device."""
    source = root.with_name(f"{root.name}.img")
    unmount(root)
    subprocess.run(["mount", "-o", "loop,noatime", source, root], check=True)


def look(scene: Scene, *, trace: Path) -> list[str]:
    """Look with every guard, and for images, in a program of its own of which every file it names is traced."""
    disks = [
        {
            "name": root.name,
            "path": str(root),
            "size_bytes": 1,
            "used_bytes": 1,
            "device": os.stat(root).st_dev,
            "mount_source": source_of(root),
        }
        for root in scene.roots
    ]
    answer = subprocess.run(
        [*traced(trace), sys.executable, "-c", LOOK, json.dumps(disks)],
        check=True,
        capture_output=True,
        text=True,
        cwd="/",
        env=os.environ | {"PYTHONPATH": str(Path(rebalancer.__file__).parents[1])},
    )
    return list(json.loads(answer.stdout))


def traced(trace: Path) -> list[str]:
    return ["strace", "-f", "-s", "4096", "-e", "trace=%file", "-o", str(trace)]


def named_below(trace: Path, scene: Scene) -> list[str]:
    """Return the calls that named anything on one of the disks; what they answered is no name."""
    calls = [line.rpartition(" = ")[0] for line in trace.read_text(errors="replace").splitlines()]
    return [call for call in calls if "execve" not in call and any(str(root) in call for root in scene.roots)]


@pytest.mark.needs_tool("strace")
def test_point_20_looks_of_guards_open_nothing_on_the_disks_and_ask_nothing_of_them(
    scene: Scene, tmp_path: Path
) -> None:
    for root in scene.roots:
        mounted_anew(root)
    with holding(scene.roots[0] / "share/used/file") as pid:
        sleeping(scene)
        before = [requests(root) for root in scene.roots]
        told = look(scene, trace=tmp_path / "trace")

    assert [requests(root) for root in scene.roots] == before
    assert any(reason.startswith("others use ") for reason in told)
    assert any("of memory are available" in reason for reason in told)
    assert any(f"open by {COMMAND}, pid {pid}: share/used/file" in reason for reason in told)
    assert "/proc/diskstats" in (tmp_path / "trace").read_text()
    assert _without_links(named_below(tmp_path / "trace", scene)) == []


def _without_links(calls: list[str]) -> list[str]:
    """Leave out where a link of /proc leads to: readlink(2) shows it among its arguments, and only says it."""
    return [call for call in calls if not call.split(None, 1)[-1].startswith(("readlink(", "readlinkat("))]


@pytest.mark.needs_tool("strace")
@pytest.mark.parametrize("command", [("execution", "list"), ("execution", "history"), ("schedule", "list")])
def test_point_20_looking_at_what_runs_and_ran_opens_nothing_on_the_disks(
    scene: Scene, state: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    scene.run(*EVACUATE, exit_code=0)
    scene.run_program("schedule", "create", "nightly", "--cron=0 3 * * *", exit_code=0)
    sleeping(scene)
    before = [requests(root) for root in scene.roots]

    trace = tmp_path / "trace"
    subprocess.run(
        [*traced(trace), *lab.command_line(*command)],
        check=True,
        env=lab.environment(state),
        cwd="/",
        capture_output=True,
    )

    assert str(state) in trace.read_text()
    assert named_below(trace, scene) == []
    assert [requests(root) for root in scene.roots] == before
