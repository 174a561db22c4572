"""A unit on one disk, a plan that moves it to the other, and the questions that every bad input is asked."""

import ctypes
import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import lab
from lab import Entry, MakeDisk

UNIT = "media/box"
NAMES = ("first", "it", "last")
MIB = 2**20
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")  # a line break is all that may reach a terminal
_FLAGS = {"immutable": 0x10, "append-only": 0x20}
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602


@dataclass(eq=False)
class Trial:
    """Two disks and the unit that is to go from the first to the second; ``stack`` undoes what was arranged."""

    make_disk: MakeDisk
    stack: ExitStack
    folder: Path
    state: Path
    kinds: tuple[str, str] = ("ext4", "tmpfs")
    disks: list[Path] = field(default_factory=list)
    outside: Path = Path()

    def prepare(self) -> None:
        sizes = {"ext4": 64, "tmpfs": 32, "xfs": 300, "btrfs": 200}
        self.disks = [self.make_disk(kind, sizes[kind], f"disk{n}") for n, kind in enumerate(self.kinds, start=1)]
        self.outside = self.folder / "outside"
        self.outside.mkdir()
        (self.outside / "not ours").write_bytes(b"not ours")
        self.unit.mkdir(parents=True)
        for name in NAMES:
            (self.unit / name).write_bytes(name.encode() * 2_000)

    @property
    def unit(self) -> Path:
        return self.disks[0] / UNIT

    @property
    def there(self) -> Path:
        return self.disks[1] / UNIT

    @property
    def it(self) -> Path:
        return self.unit / "it"

    def beside(self, name: str | bytes, content: bytes) -> None:
        """Put a file at the unit's place on the other disk."""
        self.there.mkdir(parents=True, exist_ok=True)
        (self.there / os.fsdecode(name)).write_bytes(content)

    def flag(self, path: Path, flag: str) -> None:
        _set_flags(path, _FLAGS[flag])
        self.stack.callback(_set_flags, path, 0)

    @property
    def named(self) -> list[str | Path]:
        return ["--disk", self.disks[0], "--disk", self.disks[1]]

    def plan(self) -> Path:
        """Write the plan that moves the unit."""
        disks = [_planned(disk) for disk in self.disks]
        move = {"share": "media", "path": UNIT, "size_bytes": 1, "files": 1, "source": "disk1", "destination": "disk2"}
        path = self.folder / "plan.json"
        path.write_text(json.dumps({**EMPTY_PLAN, "disks": disks, "moves": [move]}))
        return path

    def run(self, during: Callable[[], object] | None, *flags: str) -> lab.Ran:
        """Carry the plan out; ``during`` is called once a copy is under way."""
        arguments = [*self.named, "run", "--yes", "-v", "--plan", self.plan(), *flags]
        if during is None:
            return lab.run(*arguments, state=self.state)
        process = lab.start(*arguments, "--bandwidth-limit", "8MB/s", state=self.state)
        try:
            self.wait_for_copy(process)
            during()
            output, errors = process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        return lab.Ran(tuple(map(str, arguments)), process.returncode, os.fsdecode(output), os.fsdecode(errors))

    def wait_for_copy(self, process: lab.Running) -> None:
        """Return when more than half a megabyte of ``it`` was copied."""
        deadline = time.monotonic() + 30
        while not self._is_copied():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "nothing was copied"
            time.sleep(0.002)

    def _is_copied(self) -> bool:
        parts = self.disks[1].rglob(".rebalancer-*.part")
        try:
            return any(part.stat().st_size > MIB // 2 for part in parts if part.is_file())
        except FileNotFoundError:  # a folder got its name while it was looked into
            return False


EMPTY_PLAN = {
    "strategy": "even", "disks": [], "moves": [], "bytes_to_move": 1, "lower_bound_bytes": 0, "spread_before": 0.0, "spread_after": 0.0,
}  # fmt: skip


def files(*roots: Path) -> set[tuple[bytes, str, Entry]]:
    """Return every file of every disk, wherever it is; names and what they hold, whatever the number of links is."""
    found = set()
    for root in roots:
        for path, entry in lab.snapshot(root).items():
            if entry.kind != "folder":
                found.add((path, entry.content or entry.kind, entry))
    return found


def lost(before: set[tuple[bytes, str, Entry]], after: set[tuple[bytes, str, Entry]]) -> set[tuple[bytes, str]]:
    """Return the files of which neither disk has the path with that content any more."""
    return {(path, content) for path, content, _ in before} - {(path, content) for path, content, _ in after}


def own_names(*roots: Path) -> set[str]:
    return {path.name for root in roots for path in root.rglob(".rebalancer-*")}


def assert_clear_answer(ran: lab.Ran, said: str) -> None:
    """One sentence that a person understands and that a terminal survives."""
    spoken = ran.stdout + ran.stderr
    assert "Traceback" not in spoken, str(ran)
    assert "unexpected error" not in spoken, str(ran)
    assert CONTROL.search(spoken) is None, repr(CONTROL.search(spoken))
    assert any(words in spoken for words in said.split(" | ")), str(ran)
    if ran.stderr:
        assert len(ran.stderr.splitlines()) <= 1 or "--help" in ran.stderr, str(ran)


def bind(source: Path, at: Path, stack: ExitStack) -> Path:
    at.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", str(source), str(at)], check=True)
    stack.callback(subprocess.run, ["umount", str(at)], check=False)
    return at


def _planned(disk: Path) -> dict[str, object]:
    status = os.statvfs(disk)
    size, used = status.f_blocks * status.f_frsize, (status.f_blocks - status.f_bfree) * status.f_frsize
    return {
        "name": disk.name, "path": str(disk), "size_bytes": size, "used_bytes": used, "planned_used_bytes": used, "reserve_bytes": 0,
    }  # fmt: skip


def _set_flags(path: Path, flags: int) -> None:
    """Set the flags of an inode (FS_IOC_SETFLAGS), keeping those that the file system sets itself."""
    fd = os.open(path, os.O_RDONLY)
    try:
        value = ctypes.c_long(0)
        ioctl = ctypes.CDLL(None, use_errno=True).ioctl
        assert ioctl(fd, ctypes.c_ulong(_GET_FLAGS), ctypes.byref(value)) == 0
        value.value = (value.value & ~0x30) | flags
        assert ioctl(fd, ctypes.c_ulong(_SET_FLAGS), ctypes.byref(value)) == 0
    finally:
        os.close(fd)
