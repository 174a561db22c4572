"""An array that is stopped while the program is at work on it: in every phase, timed until the disks can go."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lab
from lab import disks as lab_disks
from lab.cron import put_crontab_on_path
from lab.needs import PLACES
from lab.processes import wait_until
from lab.server import Server
from rebalancer.guards.own import family_of

MIB = 2**20
FILM = 40 * MIB  # bytes
_PATIENCE = 30.0  # seconds until a stop is called failed


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a stop went; seconds from the moment in which var.ini said Stopping."""

    closed: float  # until nothing of ours was open below a disk; 0.0 when nothing ever was
    unmounted: float  # until every disk was unmounted, tried over and over
    ended: float  # until the last of our processes had ended
    records: tuple[dict[str, Any], ...]  # of the executions, oldest first


@dataclass(eq=False)
class Stage:
    """A server with two disks, of which the first is full of work for the second."""

    server: Server
    state: Path
    disks: Sequence[Path]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def schedule(self, *options: str) -> None:
        self.run("schedule", "create", "nightly", "--cron", "15 4 * * *", *options)

    def run(self, *arguments: str) -> lab.Ran:
        return lab.run(*arguments, "--root", self.server.root, state=self.state, exit_code=0)

    def start(self, *, slowed: str = "", by_ms: int = 10) -> subprocess.Popen[bytes]:
        """Let the schedule have its turn; ``slowed`` names a system call of which each takes longer."""
        slowness = f"inject={slowed}:delay_enter={by_ms * 1000}"
        tracer = ["strace", "-f", "-o", "/dev/null", "-e", slowness] if slowed else []
        process = subprocess.Popen(
            [*tracer, *lab.command_line("schedule", "run", "nightly", "--quiet", "--root", self.server.root)],
            env=lab.environment(self.state) | {"PATH": f"{self.state / 'bin'}:{PLACES}"},
            cwd="/" if slowed else self.disks[0],  # where a person may stand who starts it by hand
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.running.append(process)
        return process

    def records(self) -> tuple[dict[str, Any], ...]:
        found = sorted((self.state / "config/executions").glob("[!.]*.json"))
        return tuple(
            sorted((json.loads(path.read_bytes()) for path in found), key=lambda one: float(one["start_time"]))
        )

    def phase(self) -> str:
        """Return what the worker last said that it does."""
        for path in (self.state / "runtime").glob("*/progress/*.json"):
            with suppress(OSError, ValueError):
                return str(json.loads(path.read_bytes())["phase"])
        return ""

    def pids(self) -> list[int]:
        return sorted(pid for process in self.running for pid in family_of(process.pid))

    def worker(self) -> int:
        return next(pid for pid in self.pids() if b"rebalancer.transfer.worker" in _command_line(pid))

    def is_anything_open(self) -> bool:
        mounted = [disk for disk in self.disks if disk.is_mount()]
        return any(_holds(pid, mounted) for pid in self.pids())

    def stop_array(self) -> Stopped:
        """Say that the array stops and unmount the disks, as Unraid does; returns how long that took."""
        begun, mounted, closed, unmounted = time.monotonic(), list(self.disks), 0.0, 0.0
        self.server.set(fsState="Stopping")
        for process in self.running:
            process.send_signal(signal.SIGCONT)
        while any(process.poll() is None for process in self.running) or mounted:
            now = time.monotonic() - begun
            assert now < _PATIENCE, f"still mounted: {mounted}, still running: {self.pids()}"
            if self.is_anything_open():
                closed = now
            for disk in list(mounted):
                if subprocess.run(["umount", disk], env=_PATH, capture_output=True, check=False).returncode == 0:
                    mounted.remove(disk)
                    unmounted = time.monotonic() - begun
            time.sleep(0.01)
        return Stopped(closed, unmounted, time.monotonic() - begun, self.records())

    def start_array(self) -> None:
        for disk in self.disks:
            lab_disks.call("mount", "-o", "loop,noatime", str(disk.with_name(f"{disk.name}.img")), str(disk))
        self.server.set(fsState="Started")

    def end(self) -> None:
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # not reaped yet: the number is still its own
            process.wait()


_PATH = os.environ | {"PATH": PLACES}


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    root, state = folder / "server", folder / "state"
    state.mkdir(mode=0o700)
    put_crontab_on_path(state)
    with ExitStack() as stack:
        disks = [stack.enter_context(lab.disk(root / "mnt" / f"disk{n}", "ext4", 150)) for n in (1, 2)]
        made = Stage(Server(root, ["disk1", "disk2"]), state, disks)
        stack.callback(made.end)
        yield made


# -- the phases: each brings the program there ---------------------------------------------------------------------


def pending(stage: Stage) -> None:
    hour = time.gmtime().tm_hour
    closed = f"{(hour + 3) % 24:02d}:00-{(hour + 4) % 24:02d}:00"
    stage.schedule("--active-hours", closed, "--timezone", "UTC")
    stage.start()
    wait_until(lambda: [one["status"] for one in stage.records()] == ["pending"])


def starting(stage: Stage) -> None:
    """Freeze it before it has looked at the disks: what it then finds is an array that is not to be used."""
    write_film(stage.disks[0])
    stage.schedule()
    stage.start()
    wait_until(lambda: [one["status"] for one in stage.records()] == ["running"])
    os.kill(stage.running[0].pid, signal.SIGSTOP)


def scanning(stage: Stage) -> None:
    write_folders(stage.disks[0], 2000)
    stage.schedule()
    stage.start(slowed="openat2")
    wait_until(stage.is_anything_open)
    time.sleep(0.5)


def planning(stage: Stage) -> None:
    write_loose_files(stage.disks[0], 30_000)
    stage.schedule("--tolerance", "0")
    stage.start()
    wait_until(lambda: [one["status"] for one in stage.records()] == ["running"])
    wait_until(stage.is_anything_open)
    wait_until(lambda: not stage.is_anything_open())
    os.kill(stage.running[0].pid, signal.SIGSTOP)  # until the array stops, so that it does not come to its end before


def copying(stage: Stage) -> None:
    write_film(stage.disks[0])
    stage.schedule("--bandwidth-limit", "5MB/s")
    stage.start()
    wait_until(lambda: stage.phase() == "copying")


def copying_small_files(stage: Stage) -> None:
    write_folders(stage.disks[0], 1500, below=("unit", "other"))
    stage.schedule("--bandwidth-limit", "500KB/s")
    stage.start()
    wait_until(lambda: stage.phase() == "copying")


def verifying(stage: Stage) -> None:
    write_film(stage.disks[0])
    stage.schedule()
    stage.start(slowed="preadv,preadv2", by_ms=100)
    wait_until(lambda: any(part.stat().st_size == FILM for part in stage.disks[1].glob("films/*/.rebalancer-*.part")))
    time.sleep(0.3)  # what is read now is read again


def waiting_for_a_reader(stage: Stage) -> None:
    film = write_film(stage.disks[0])
    stage.schedule()
    stage.start()
    reader = film.open("rb")
    wait_until(lambda: stage.phase() == "committing")
    threading.Timer(0.6, reader.close).start()


def paused(stage: Stage) -> None:
    copying(stage)
    os.kill(stage.worker(), signal.SIGUSR1)
    time.sleep(0.3)


def recovering(stage: Stage) -> None:
    write_folders(stage.disks[0], 1500, below=("unit", "other"))
    stage.schedule("--bandwidth-limit", "1MB/s")
    killed = stage.start()
    wait_until(lambda: any(stage.disks[1].glob("films/*/*")))
    for pid in stage.pids():
        os.kill(pid, signal.SIGKILL)
    killed.wait()
    stage.running.clear()
    stage.start(slowed="openat2")
    wait_until(lambda: stage.phase() == "recovering")


def waiting_to_try_again(stage: Stage) -> None:
    film = write_film(stage.disks[0])
    stage.schedule("--retries", "1", "--retry-delay", "10m")
    with film.open("ab"), (film.parents[1] / "other/other.mkv").open("ab"):
        stage.start()
        wait_until(lambda: [one["status"] for one in stage.records()] == ["failed"])


def waiting_behind_another(stage: Stage) -> None:
    write_film(stage.disks[0])
    stage.schedule("--bandwidth-limit", "5MB/s", "--overlap", "queue")
    stage.start()
    wait_until(lambda: stage.phase() == "copying")
    stage.start()
    wait_until(lambda: any((stage.state / "runtime").glob("*/turns/*.queue")))


PHASES: dict[str, Callable[[Stage], None]] = {
    "waiting for what holds it": pending,
    "starting": starting,
    "scanning": scanning,
    "planning": planning,
    "copying a large file": copying,
    "copying small files": copying_small_files,
    "verifying": verifying,
    "waiting for a reader to close": waiting_for_a_reader,
    "paused": paused,
    "recovering": recovering,
    "waiting to try again": waiting_to_try_again,
    "waiting behind another": waiting_behind_another,
}


def write_film(disk: Path) -> Path:
    """Write a unit of one large file that must move, and one that may stay."""
    for name in ("film", "other"):
        (disk / "films" / name).mkdir(parents=True)
        (disk / "films" / name / f"{name}.mkv").write_bytes(os.urandom(MIB) * (FILM // MIB))
    _settle(disk)
    return disk / "films/film/film.mkv"


def write_folders(disk: Path, count: int, *, below: Sequence[str] = ("",)) -> None:
    """Write folders of one file each, in the share itself or in units of it."""
    content = os.urandom(8192)
    for number in range(count):
        for unit in below:
            folder = disk / "films" / unit / f"folder {number}"
            folder.mkdir(parents=True)
            (folder / "file").write_bytes(content)
    _settle(disk)


def write_loose_files(disk: Path, count: int) -> None:
    folder = disk / "films"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}").write_bytes(b"x" * (1 + number * 7919 % 4096))
    _settle(disk)


def _settle(disk: Path) -> None:
    subprocess.run(["sync", "--file-system", disk], check=True)


def _holds(pid: int, disks: Sequence[Path]) -> bool:
    """Return whether a process has a descriptor, its working folder or a mapping below one of the disks."""
    roots = tuple(f"{disk}/" for disk in disks)
    found = []
    with suppress(OSError):
        found += [os.readlink(f"/proc/{pid}/{name}") for name in ("cwd", "root", "exe")]
        found += [line.split(maxsplit=5)[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return any(f"{path}/".startswith(roots) for path in found)


def _command_line(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
