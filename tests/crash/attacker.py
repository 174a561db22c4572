"""Somebody who swaps folders, files and our own temporary names for links that lead out, and a canary that sees it."""

import ctypes
import hashlib
import json
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_ALL_EVENTS = 0xFFF  # inotify(7), IN_ALL_EVENTS
_libc = ctypes.CDLL(None, use_errno=True)

# Arguments: folders to keep swapping in, as FOLDER|NAME|OTHER, and as FOLDER|*|BAIT those in whose subfolder
# "u" our own names are hunted. Everything is reached by descriptors taken before the first swap, so that the
# attacker itself never walks out through one of its links.
_ATTACK = """
import ctypes, json, os, sys
swap = ctypes.CDLL(None, use_errno=True).renameat2
swaps, hunted, turn = [0] * len(sys.argv), 0, 0
pairs, hunts = [], []
for word in sys.argv[1:]:
    folder, name, other = os.fsencode(word).split(b"|")
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    (hunts if name == b"*" else pairs).append((fd, name, other))
os.set_blocking(0, False)
print("ready", flush=True)
def hunt(fd, bait):
    caught = 0
    for name in (b"u", b"u.other"):
        try:
            folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        except OSError:
            continue
        try:
            for entry in os.listdir(folder):
                if entry.startswith(".rebalancer-"):
                    caught += swap(folder, os.fsencode(entry), fd, bait, 2) == 0
        finally:
            os.close(folder)
    return caught
while True:
    turn += 1
    for number, (fd, name, other) in enumerate(pairs):
        swaps[number] += swap(fd, name, fd, other, 2) == 0
    for fd, _, bait in hunts:
        hunted += hunt(fd, bait)
    if turn % 16 == 0:
        try:
            os.read(0, 1)
            break
        except BlockingIOError:
            pass
print(json.dumps({"swaps": sum(swaps), "hunted": hunted}))
"""


@dataclass
class Attack:
    """What the attacker did, known once it was called off."""

    swaps: int = 0
    hunted: int = 0  # of our own temporary and hidden names


@contextmanager
def attacking(*words: str) -> Iterator[Attack]:
    """Keep swapping until the block ends."""
    attack = Attack()
    command = [sys.executable, "-I", "-S", "-c", _ATTACK, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd="/") as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield attack
            output, _ = process.communicate(b"x", timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    did = json.loads(output)
    attack.swaps, attack.hunted = did["swaps"], did["hunted"]


@dataclass
class Canary:
    """A tree that nobody has any business with; every look into it is noted by the kernel (inotify(7))."""

    folder: Path
    before: dict[str, tuple[object, ...]]
    queue: int

    def events(self) -> int:
        """Return how often anything below was opened, read, changed, made or removed since the last call."""
        count = 0
        while True:
            try:
                data = os.read(self.queue, 1 << 20)
            except BlockingIOError:
                return count
            count += sum(1 for _ in _events(data))

    def differences(self) -> list[str]:
        """Compare names, times, modes and content with what they were; looks in by itself, so ask for events first."""
        now = _state(self.folder)
        return sorted(name for name in self.before.keys() | now.keys() if self.before.get(name) != now.get(name))


@contextmanager
def watched(folder: Path) -> Iterator[Canary]:
    """Watch every folder of a tree, and the tree itself."""
    before = _state(folder)
    queue = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert queue >= 0
    try:
        for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            assert _libc.inotify_add_watch(queue, os.fsencode(path), _ALL_EVENTS) >= 0
        canary = Canary(folder, before, queue)
        canary.events()
        yield canary
    finally:
        os.close(queue)


@dataclass
class Opened:
    """What came of many attempts to open something while it was swapped."""

    tries: int = 0
    opened: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    escaped: int = 0

    def attempt(self, opener: Callable[[], Sequence[int]], inside: set[tuple[int, int]]) -> None:
        """Open, look what it is that was opened, close."""
        self.tries += 1
        try:
            fds = opener()
        except OSError as error:
            name = type(error).__name__ if error.errno is None else os.strerror(error.errno)
            self.refused[name] = self.refused.get(name, 0) + 1
            return
        for fd in fds:
            status = os.fstat(fd)
            self.opened += 1
            self.escaped += (status.st_dev, status.st_ino) not in inside
            os.close(fd)


def inodes_below(root: Path) -> set[tuple[int, int]]:
    """Return what is on a disk, no link followed."""
    return {(status.st_dev, status.st_ino) for path in (root, *root.rglob("*")) if (status := path.lstat())}


def _state(folder: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    paths = sorted((folder, *folder.rglob("*")))
    for path in paths:  # all of them before anything is read: reading a file moves its access time
        status = path.lstat()
        times = (status.st_mtime_ns, status.st_ctime_ns)
        found[str(path)] = (status.st_mode, status.st_uid, status.st_ino, status.st_nlink, status.st_size, *times)
    for path in paths:
        if stat.S_ISREG(path.lstat().st_mode):
            found[str(path)] += (hashlib.sha256(path.read_bytes()).hexdigest(),)
    return found


def _events(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        _, mask, _, length = struct.unpack_from("=iIII", data, position)
        position += 16 + length
        yield mask
