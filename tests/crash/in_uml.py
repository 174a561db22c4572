"""Runs inside User-mode Linux: moves files with the real worker, and lets the kernel or a disk fail at a chosen step."""

import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from msgspec import Struct

from rebalancer import linux
from rebalancer.transfer import commit, worker
from transfer.bench import Bench

SECTOR = 512
LEAVING = "leave-"  # a mark in both logs, before the first change to a file's own name on the source
FINISHED = "finished"
_MODULES = "/usr/lib/uml/modules"
_IN_OS = (
    "mkdir", "rmdir", "unlink", "link", "symlink", "pwrite", "ftruncate", "fchmod", "fchown", "chown", "utime",
    "setxattr", "removexattr", "fsync",
)  # fmt: skip
_IN_LINUX = ("rename_no_replace", "sync_file_system", "start_write_back", "open_beneath")
_DM_HEAD, _DM_TARGET_MSG = 312, 0xC138FD0E  # size of struct dm_ioctl
_BLOCK_SIZE_64 = 0x80081272  # BLKGETSIZE64


class Unflushed(Enum):
    """What a worker with a planted fault does not flush."""

    EVERYTHING = "everything"
    NAMES = "names"  # the content is durable, but not that it has its name


_PLANTED = {
    Unflushed.EVERYTHING: ((os, "fsync"), (linux, "sync_file_system")),
    Unflushed.NAMES: ((commit, "_flush_names"),),
}


class Part(Struct, frozen=True, kw_only=True):
    """One disk of a task: which device, which file system, where it is mounted."""

    device: str
    file_system: str
    at: str


class Task(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one boot is for. Steps count the calls of the worker that change a disk, from one."""

    folder: str  # of the host, for the operation and what the worker says
    source: Part
    destination: Part
    units: tuple[str, ...]
    panic_at: int = 0  # the step before which the kernel panics; 0: never
    flush_first: tuple[str, ...] = ()  # disks that happen to have written everything just then
    is_writing_early: bool = False  # dirty pages go to the disks as soon as possible
    logs: tuple[str, ...] = ()  # devices that record the writes of source and destination
    fault: str = ""  # a feature of dm-flakey that the destination gets
    fault_at: int = 0  # the step before which it gets it, counted among `fault_among`
    fault_among: str = ""  # a name of a call; empty: all steps
    unflushed: Unflushed | None = None  # the fault that is planted in the worker; None: it is as it is


def main(task_file: str) -> None:
    task = msgspec.json.decode(Path(task_file).read_bytes(), type=Task)
    if task.is_writing_early:
        for name in ("expire", "writeback"):
            Path(f"/proc/sys/vm/dirty_{name}_centisecs").write_text("1")
    devices = _devices(task)
    parts = (task.source, task.destination)
    for part, device in zip(parts, devices, strict=True):
        options = "noatime,noinit_itable" if part.file_system == "ext4" else "noatime"
        _call("mount", "-t", part.file_system, "-o", options, device, part.at)
    source, destination = (Path(part.at) for part in parts)
    operation = Bench(Path(task.folder)).operation(task.units, source, destination)
    steps = Steps(task)
    code = _work(operation, steps, Path(task.folder) / "messages")
    _mark(task, FINISHED)
    if task.fault:
        steps.flush(task.source.at, task.destination.at)  # the source loses nothing of what the worker did to it
        asked, done = steps.writes_since_fault()
        say(f"since the fault {asked} writes were asked for, {done} done")
    else:
        steps.close()
        for part in parts:
            _call("umount", part.at)
    say(f"worker ended with {code} after {steps.count} steps of which {steps.counts.get('pwrite', 0)} pwrite")


def say(words: str) -> None:
    """Say something on the console, which the host reads as it is written."""
    sys.stderr.write(f"laboratory: {words}\n")
    sys.stderr.flush()


class Steps:
    """Stands before every call of the worker that changes a disk; there the faults of the task happen."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.count = 0
        self.counts: dict[str, int] = {}
        self._source = os.stat(task.source.at).st_dev
        self._left: set[str] = set()
        self._flush = linux.sync_file_system
        self._roots = {name: os.open(name, os.O_RDONLY) for name in (task.source.at, task.destination.at)}
        self._before_fault: tuple[int, int] | None = None

    def watch(self, stack: ExitStack) -> None:
        """Plant the fault of the task, if any, then stand before every call, until the stack ends."""
        planted = _PLANTED[self.task.unflushed] if self.task.unflushed else ()
        for place, name in planted:
            _replace(stack, place, name, _nothing)
        for place, names in ((os, _IN_OS), (linux, _IN_LINUX)):
            for name in names:
                _replace(stack, place, name, self._watched(name, getattr(place, name)))

    def flush(self, *disks: str) -> None:
        """Flush whole disks, really."""
        for at in disks:
            with suppress(OSError):  # one that fails
                self._flush(self._roots[at])

    def close(self) -> None:
        for root in self._roots.values():
            os.close(root)

    def writes_since_fault(self) -> tuple[int, int]:
        """Return how many writes the destination was asked for since it failed, and how many reached its medium."""
        if self._before_fault is None:
            return 0, 0
        asked, done = self._writes()
        return asked - self._before_fault[0], done - self._before_fault[1]

    def _writes(self) -> tuple[int, int]:
        return _writes(_FLAKEY_BLOCK), _writes(Path(self.task.destination.device).name)

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            if name != "open_beneath" or arguments[2] & os.O_CREAT:
                self._before(name, arguments)
            return call(*arguments, **named)

        return watched

    def _before(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.count += 1
        self.counts[name] = self.counts.get(name, 0) + 1
        if self.count == self.task.panic_at:
            self._panic(name)
        counted = self.counts.get(self.task.fault_among, 0) if self.task.fault_among else self.count
        if self.task.fault and counted == self.task.fault_at and self._before_fault is None:
            self._fail(name)
        if self.task.logs and name == "rename_no_replace":
            self._mark_leaving(*arguments)

    def _panic(self, name: str) -> None:
        self.flush(*self.task.flush_first)
        say(f"panic before step {self.count}, {name}")
        Path("/proc/sysrq-trigger").write_text("c")

    def _fail(self, name: str) -> None:
        self._before_fault = self._writes()
        _call("dmsetup", "suspend", "--noudevsync", "--noflush", "--nolockfs", _FLAKEY)
        table = _flakey(self.task.destination.device, f"0 3600 1 {self.task.fault}")
        _call("dmsetup", "load", "--noudevsync", _FLAKEY, "--table", table)
        _call("dmsetup", "resume", "--noudevsync", _FLAKEY)
        say(f"{self.task.fault} from step {self.count}, {name}")

    def _mark_leaving(self, folder: int, name: bytes, *_: Any) -> None:
        if os.fstat(folder).st_dev != self._source or name.startswith(b".rebalancer-"):
            return
        path = os.path.join(os.readlink(b"/proc/self/fd/%d" % folder), name)
        key = digest(os.path.relpath(path, os.fsencode(self.task.source.at)))
        if key not in self._left:
            self._left.add(key)
            _mark(self.task, LEAVING + key)


def digest(path: bytes) -> str:
    """Return what a path is called in a mark, which cannot hold every name."""
    import xxhash

    return xxhash.xxh3_64_hexdigest(path)


def _work(operation: Path, steps: Steps, messages: Path) -> int:
    output = sys.stdout
    with messages.open("w") as file, ExitStack() as stack:
        stack.callback(setattr, sys, "stdout", output)
        sys.stdout = file
        with ExitStack() as watching:
            steps.watch(watching)
            code = worker.main([str(operation)])
        file.flush()
        os.fsync(file.fileno())
        return code


def _replace(stack: ExitStack, place: ModuleType, name: str, call: Callable[..., Any]) -> None:
    stack.callback(setattr, place, name, getattr(place, name))
    setattr(place, name, call)


def _nothing(*_: Any) -> None:
    """What a flush does that is a lie."""


# -- devices that record or fail ------------------------------------------------------------------------------------

_FLAKEY = "flakey"
_FLAKEY_BLOCK = "dm-0"


def _devices(task: Task) -> tuple[str, str]:
    """Return what to mount as source and destination."""
    source, destination = task.source.device, task.destination.device
    if task.logs:
        _load("dm-mod", "dm-log-writes")
        _record("source", source, task.logs[0])
        _record("destination", destination, task.logs[1])
        return "/dev/dm-0", "/dev/dm-1"  # nobody makes the names below /dev/mapper here
    if task.fault:
        _load("dm-mod", "dm-flakey")
        _call("dmsetup", "create", _FLAKEY, "--noudevsync", "--table", _flakey(destination, "3600 0"))
        return source, f"/dev/{_FLAKEY_BLOCK}"
    return source, destination


def _record(name: str, device: str, log: str) -> None:
    table = f"0 {_sectors(device)} log-writes {device} {log}"
    _call("dmsetup", "create", f"logged-{name}", "--noudevsync", "--table", table)


def _flakey(device: str, rest: str) -> str:
    return f"0 {_sectors(device)} flakey {device} 0 {rest}"


def _mark(task: Task, words: str) -> None:
    """Write a mark into both logs; what was flushed before stands before it."""
    if task.logs:
        for name in ("destination", "source"):
            _send_message(f"logged-{name}", f"mark {words}")


def _send_message(device: str, words: str) -> None:
    """Do what ``dmsetup message`` does, without starting a program before every step (linux/dm-ioctl.h)."""
    message = bytes(8) + words.encode() + b"\0"
    head = struct.pack("=3I7IQ", 4, 0, 0, _DM_HEAD + len(message), _DM_HEAD, 0, 0, 0, 0, 0, 0)
    buffer = bytearray((head + device.encode()).ljust(_DM_HEAD, b"\0") + message)
    with open("/dev/mapper/control", "rb") as control:
        fcntl.ioctl(control, _DM_TARGET_MSG, buffer)


def _load(*modules: str) -> None:
    for name in modules:
        file = next(Path(_MODULES).glob(f"*/kernel/drivers/md/{name}.ko"))
        with file.open("rb") as module:
            linux._syscall(313, module.fileno(), b"", 0)  # finit_module(2) on x86-64


def _sectors(device: str) -> int:
    with open(device, "rb") as file:
        size = fcntl.ioctl(file, _BLOCK_SIZE_64, b"\0" * 8)
    return int.from_bytes(size, "little") // SECTOR


def _writes(block: str) -> int:
    """Return how many writes a block device has completed (Documentation/block/stat.rst)."""
    return int(Path(f"/sys/block/{block}/stat").read_text().split()[4])


def _call(*command: str) -> None:
    answer = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if answer.returncode != 0:
        say(f"{' '.join(command)}: {answer.stderr.strip()}")
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1])
