"""A good citizen of an Unraid server: a scheduled run holds, pauses, goes on and stops when the server says so."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import lab
from acceptance.sample_lab import marks, write_folders
from lab import MakeDisk, MountPool, RunProgram, StartProgram
from lab import disks as lab_disks
from lab.processes import wait_until
from lab.server import Server

MIB = 2**20
WITH = ("--bandwidth-limit", "4MB/s", "--max-wait", "10m")  # slow enough for everything that happens meanwhile
FILM = 16 * MIB

pytestmark = [
    pytest.mark.needs_loop_disks("xfs"),
    pytest.mark.needs_loop_disks("btrfs"),
    pytest.mark.needs_pool,
    pytest.mark.xdist_group("programs that guards ask for"),  # the guards see every mover on this machine
]


@dataclass(eq=False)
class Scene:
    """The server, the program that works on it, and what the one schedule of it came to."""

    server: Server
    disks: list[Path]
    view: Path
    run_program: RunProgram
    start_program: StartProgram

    def ask(self, *arguments: str) -> Any:
        return self.run_program(*self.as_installed(*arguments), "--json").document

    def fire(self) -> lab.Running:
        """Let the schedule have its turn for the slot of this minute."""
        slot = datetime.now(UTC).replace(second=0, microsecond=0).isoformat()
        fired = ("--fired-by", "clock", "--slot", slot)
        return self.start_program(*self.as_installed("--quiet", "schedule", "run", "nightly", *fired))

    def newest(self) -> str:
        names = [path.stem for path in (self.server.config / "executions").glob("[!.]*.json")]
        return max(names, default="")

    def timeline(self, execution_id: str) -> list[tuple[str, str]]:
        told = self.ask("execution", "explain", execution_id)
        return [(event["what"], event["why"]) for event in told["timeline"]]

    def wait_for(self, what: str, why: str = "") -> None:
        """Wait until the newest execution's last event is that."""
        deadline = time.monotonic() + 40
        last = ("", "")
        while not (last[0] == what and why in last[1]):
            assert time.monotonic() < deadline, f"{what}: {why} was waited for; it says {last}"
            last = self.timeline(self.newest())[-1] if self.newest() else last
            time.sleep(0.2)

    def bytes_written(self) -> int:
        """Return what the disks that receive hold, the copy that is being made included."""
        found = (path.lstat() for disk in self.disks[1:] for path in disk.rglob("*"))
        return sum(status.st_size for status in found)

    def as_installed(self, *arguments: str) -> list[str]:
        return [*arguments, "--root", str(self.server.root), "--config-dir", str(self.server.config)]


@pytest.fixture
def scene(
    tmp_path: Path, make_disk: MakeDisk, mount_pool: MountPool, run_program: RunProgram, start_program: StartProgram
) -> Scene:
    disks = [make_disk(kind, size, f"disk{n}") for n, (kind, size) in enumerate(_KINDS, start=1)]
    write_folders(disks[0], 12, size=FILM, share="films")
    view = mount_pool(disks, func__getattr="ff", func__open="ff", category__create="epmfs")
    return Scene(Server(tmp_path, [disk.name for disk in disks]), disks, view, run_program, start_program)


_KINDS = (("xfs", 320), ("ext4", 200), ("btrfs", 200))


def test_a_scheduled_run_holds_pauses_and_stops_as_the_server_needs_and_the_next_one_finishes(scene: Scene) -> None:
    server, before = scene.server, lab.snapshot_array(scene.disks)
    scene.ask("schedule", "create", "nightly", "--cron", "* * * * *", "--timezone", "UTC", *WITH)
    server.set(mdResync="15625879500", mdResyncPos="3125175900", mdResyncDt="10", mdResyncDb="1500000")

    run = scene.fire()
    scene.wait_for("held", "parity check")
    server.set(mdResync="0", mdResyncPos="0", mdResyncDt="0", mdResyncDb="0")
    scene.wait_for("moving")
    with mover_at_work(server):
        scene.wait_for("paused", "mover")
        written = scene.bytes_written()
        time.sleep(2)
        assert scene.bytes_written() == written
    scene.wait_for("went on")
    server.set_disk("disk1", temp="58")
    scene.wait_for("paused", "disk1")
    server.set_disk("disk1", temp="44")  # below its limit, and still too warm to go on
    time.sleep(3)
    assert scene.timeline(scene.newest())[-1][0] == "paused"
    server.set_disk("disk1", temp="40")
    scene.wait_for("went on")
    stopped_at = time.monotonic()
    server.set(fsState="Stopping")
    unmounted = _unmount(scene.view, *scene.disks)
    assert run.wait(timeout=20) == 130

    first = scene.newest()
    timeline = scene.timeline(first)
    _print(scene, first)
    _demand_in_order(timeline, [
        ("due", ""), ("held", "parity check"), ("started", ""), ("moving", "units"), ("paused", "mover"), ("went on", ""),
        ("paused", "disk1 is at 58 °C"), ("went on", ""), ("asked to stop", "the array is being stopped"),
        ("ended", "cancelled: the array is being stopped"),
    ])  # fmt: skip
    record = scene.ask("execution", "show", first)
    assert (record["status"], record["exit_code"], record["cause"]) == ("cancelled", 130, "array stop")
    assert record["held_seconds"] > 4
    assert unmounted - stopped_at < 5

    _mount_again(scene.disks)
    server.set(fsState="Started")
    scene.ask("schedule", "edit", "nightly", "--reset", "bandwidth-limit")
    second = scene.run_program(*scene.as_installed("schedule", "run", "nightly"), "--json", exit_code=0).document
    _print(scene, second["execution_id"])

    assert second["status"] == "completed"
    assert second["moves_done"] > 0
    assert lab.difference(before, lab.snapshot_array(scene.disks)) == []
    assert marks(scene.disks) == []
    assert [call for call in server.calls if call.startswith("mdcmd")] == []  # no setting of Unraid's was touched
    assert {call.split()[0] for call in server.calls} <= {"mover", "update_cron", "notify"}


@contextmanager
def mover_at_work(server: Server) -> Iterator[None]:
    process = subprocess.Popen([server.program("mover"), "start"], start_new_session=True)
    try:
        wait_until((server.root / "var/run/mover.pid").exists)
        yield
    finally:
        process.terminate()
        process.wait()


def _unmount(*places: Path) -> float:
    """Unmount as emhttpd does, again and again; returns when that was done, by the monotonic clock."""
    for place in places:
        wait_until(partial(_is_unmounted, place))
    return time.monotonic()


def _is_unmounted(place: Path) -> bool:
    return subprocess.run(["umount", place], capture_output=True, check=False).returncode == 0


def _mount_again(disks: list[Path]) -> None:
    for disk, (kind, _size) in zip(disks, _KINDS, strict=True):
        lab_disks.call("mount", "-t", kind, "-o", "loop,noatime", str(disk.with_name(f"{disk.name}.img")), str(disk))


def _demand_in_order(timeline: list[tuple[str, str]], wanted: list[tuple[str, str]]) -> None:
    """Demand that these events happened in this order; the same kind of event may come in between once more."""
    rest = iter(timeline)
    for what, why in wanted:
        assert any(event[0] == what and why in event[1] for event in rest), f"{what}: {why} is not in {timeline}"


def _print(scene: Scene, execution_id: str) -> None:
    told = scene.run_program(*scene.as_installed("execution", "explain", execution_id), exit_code=0)
    print(told.stdout)  # noqa: T201 - the story is what this test is for
