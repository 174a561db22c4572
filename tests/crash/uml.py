"""Boots User-mode Linux on copies of two disks: a whole kernel that can panic, in one process group of this machine."""

import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

import lab
from crash.in_uml import Part, Task
from lab.needs import PLACES
from lab.originals import Originals
from rebalancer.transfer.messages import Left, Message

SIZES = {"ext4": 64, "xfs": 300, "btrfs": 128}  # MiB, of sparse images
DEVICES = ("/dev/ubda", "/dev/ubdb", "/dev/ubdc", "/dev/ubdd")
_TESTS = Path(__file__).parent.parent
_PANIC = "Kernel panic - not syncing: sysrq triggered crash"


class NotBootedError(AssertionError):
    """What was to happen inside did not; the console is its text."""


@dataclass(frozen=True, slots=True)
class Boot:
    """What a boot came to, by its console."""

    console: str

    @property
    def has_panicked(self) -> bool:
        return _PANIC in self.console and "laboratory: panic before step" in self.console

    @property
    def said(self) -> list[str]:
        return re.findall(r"laboratory: (.*?)\r?$", self.console, re.MULTILINE)

    def numbers(self, words: str) -> tuple[int, ...]:
        """Return the numbers in the line that has these words."""
        line = next((line for line in self.said if words in line), None)
        if line is None:
            raise NotBootedError(self.console)
        return tuple(int(number) for number in re.findall(r"\b\d+\b", line))


@dataclass(frozen=True, slots=True)
class Golden:
    """Two disks as they are before the move, unmounted: a full source, an empty destination."""

    memory: Path
    file_systems: tuple[str, str]
    originals: Originals = field(repr=False)
    units: tuple[str, ...]

    @property
    def images(self) -> tuple[Path, Path]:
        return self.memory / "golden" / "source.img", self.memory / "golden" / "destination.img"

    def copies(self) -> tuple[Path, Path]:
        """Return fresh copies of both images, always the same two files."""
        for image, copy in zip(self.images, self.runs, strict=True):
            copy_image(image, copy)
        return self.runs

    @property
    def runs(self) -> tuple[Path, Path]:
        """The two files that `copies` makes, with what a boot did to them."""
        return self.memory / "source.run", self.memory / "destination.run"

    def left(self) -> list[Left]:
        """Return what the worker of the last boot left, and why."""
        lines = (self.memory / "messages").read_bytes().splitlines()
        messages = [msgspec.json.decode(line, type=Message) for line in lines]
        return [message for message in messages if isinstance(message, Left)]

    def task(self) -> Task:
        names = ("source", "destination")
        for name in names:
            (self.memory / name).mkdir(exist_ok=True)
        source, destination = (
            Part(device=device, file_system=file_system, at=str(self.memory / name))
            for device, file_system, name in zip(DEVICES, self.file_systems, names, strict=False)
        )
        return Task(folder=str(self.memory), source=source, destination=destination, units=self.units)


def golden(memory: Path, source: str, destination: str, write: Callable[[Path], None]) -> Golden:
    """Make both disks on this machine's kernel, in a folder in memory."""
    (memory / "golden").mkdir()
    with lab.disk(memory / "golden/destination", destination, SIZES[destination], options=_options(destination)):
        pass
    with lab.disk(memory / "golden/source", source, SIZES[source], options=_options(source)) as root:
        write(root)
        return Golden(memory, (source, destination), lab.snapshot(root), _units(root))


def _units(root: Path) -> tuple[str, ...]:
    shares = sorted(share for share in os.listdir(root) if share != "lost+found")
    return tuple(f"{share}/{name}" for share in shares for name in sorted(os.listdir(root / share)))


def boot(task: Task, images: Sequence[Path], *, seconds: float = 120) -> Boot:
    """Carry out a task inside, on these images; return when that machine is gone with everything it started."""
    folder = Path(task.folder)
    init, console = folder / "init.sh", folder / "console"
    (folder / "task.json").write_bytes(msgspec.json.encode(task))
    init.write_text(_init(folder / "task.json"))
    init.chmod(0o755)
    command = [
        "linux.uml", "mem=512M", "selinux=0", "rootfstype=hostfs", "root=/dev/root", "rootflags=/", "rw", f"init={init}",
        *(f"ubd{letter}={image}" for letter, image in zip("abcd", images, strict=False)),
        "con=null", "con0=fd:0,fd:1", "quiet",
    ]  # fmt: skip
    with console.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"TMPDIR": str(folder), "HOME": str(folder), "PATH": PLACES},
            start_new_session=True,
            preexec_fn=_no_core,  # noqa: PLW1509 - a panic ends in abort(3)
        )
        _wait_and_end(process, seconds)
    return Boot(console.read_text(errors="replace"))


def copy_image(image: Path, copy: Path) -> None:
    subprocess.run(["cp", "--sparse=always", str(image), str(copy)], check=True)


@contextmanager
def mounted(image: Path, at: Path, file_system: str) -> Iterator[Path]:
    """Mount a copy of an image on this machine's kernel, as after a power cut."""
    with lab.disk_copy(image, at, file_system, options=_options(file_system)) as root:
        yield root


def _options(file_system: str) -> str:
    return "noatime,noinit_itable" if file_system == "ext4" else "noatime"


def _init(task: Path) -> str:
    paths = os.pathsep.join([str(_TESTS.parent / "src"), str(_TESTS)])
    words = [sys.executable, "-B", "-m", "crash.in_uml", str(task)]
    return f"""#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
echo 1 >/proc/sys/vm/overcommit_memory
export PATH={shlex.quote(PLACES)} HOME=/root PYTHONPATH={shlex.quote(paths)}
cd {shlex.quote(str(_TESTS))}
{shlex.join(words)} </dev/null
echo o >/proc/sysrq-trigger
sleep 60
"""


def _no_core() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _wait_and_end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for the end; then end what is left of the group, whose number is held by its unreaped leader."""
    deadline = time.monotonic() + seconds
    try:
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            assert time.monotonic() < deadline, f"User-mode Linux did not end within {seconds} seconds"
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        _wait_for_the_rest(process.pid)
        process.wait()


def _wait_for_the_rest(session: int) -> None:
    """Return when nobody of a session but its leader is left: the processes inside are stopped children of it."""
    deadline = time.monotonic() + 10
    while rest := [pid for pid in _members(session) if pid != session]:
        for pid in rest:
            os.kill(pid, signal.SIGKILL)
        assert time.monotonic() < deadline, f"{rest} do not end"
        time.sleep(0.01)


def _members(session: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path("/proc", name, "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:  # gone meanwhile
                continue
            if int(fields[3]) == session and fields[0] != b"Z":
                found.append(int(name))
    return found
