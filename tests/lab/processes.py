"""Processes for tests: canaries that note every signal they receive, and members that are hard to get rid of."""

import gc
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rebalancer.executions.execution import ProcessIdentity
from rebalancer.executions.process import TOKEN, identity_of

CANARY = """
import os, signal, sys, time
notes, behaviour = sys.argv[1], sys.argv[2]
fd = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
def note(number, frame):
    os.write(fd, b"heard %d %d\\n" % (number, time.monotonic_ns()))
    if number == signal.SIGTERM and behaviour != "ignores TERM":
        os._exit(0)
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
    try:
        signal.signal(number, note)
    except (OSError, ValueError):
        pass
if behaviour == "double fork":
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(fd, b"grandchild %d\\n" % os.getpid())
        else:
            os._exit(0)
os.write(fd, b"ready\\n")
while True:
    signal.pause()
"""

#: has a file open: path and flags of open(2)
HOLD = "import os, sys; os.open(sys.argv[1], int(sys.argv[2])); print('ready', flush=True); sys.stdin.read()"
#: has a file mapped and no longer open: path, flags of open(2), protection and kind of mmap(2)
MAP = """
import ctypes, os, sys
map = ctypes.CDLL(None).mmap
map.restype, map.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
flags, protection, kind = [int(number) for number in sys.argv[2:]]
fd = os.open(sys.argv[1], flags)
assert map(None, 4096, protection, kind, fd, 0) not in (None, 2**64 - 1)
os.close(fd)
print("ready", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Canary:
    process: subprocess.Popen[bytes]
    notes: Path
    token: str

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def identity(self) -> ProcessIdentity:
        return identity_of(self.pid, self.token)

    @property
    def signals(self) -> list[int]:
        """The signals it received, in order; KILL and STOP leave no note."""
        return [number for number, _ in self.heard]

    @property
    def heard(self) -> list[tuple[int, float]]:
        """The same with the moment of each, in seconds of the monotonic clock."""
        words = [line.split() for line in self._lines() if line.startswith("heard")]
        return [(int(number), int(moment) / 1e9) for _, number, moment in words]

    @property
    def grandchildren(self) -> list[int]:
        return [int(line.split()[1]) for line in self._lines() if line.startswith("grandchild")]

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def _lines(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []


@contextmanager
def canary(folder: Path, behaviour: str = "", *, marked: bool = False) -> Iterator[Canary]:
    """Start a process that notes its signals; ``marked``: it carries a token. Killed at the end."""
    notes = folder / f"notes-{secrets.token_hex(4)}"
    token = secrets.token_hex(16) if marked else ""
    inherited = {name: value for name, value in os.environ.items() if name != TOKEN}
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", CANARY, str(notes), behaviour],
        env=inherited | ({TOKEN: token} if token else {}),
        start_new_session=True,
    )
    made = Canary(process, notes, token)
    try:
        wait_until(lambda: notes.exists() and "ready" in notes.read_text())
        if behaviour == "double fork":
            wait_until(lambda: bool(made.grandchildren))
        yield made
    finally:
        _kill(process.pid)
        process.wait()
        for pid in made.grandchildren:
            if is_there(pid):
                _kill(pid)


def is_there(pid: int) -> bool:
    """Return whether a process that is no zombie has the number."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text[text.rindex(")") + 2] not in "ZX"


def wait_until(is_so: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def state_of(pid: int) -> str:
    text = Path(f"/proc/{pid}/stat").read_text()
    return text[text.rindex(")") + 2]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def children_of(pid: int) -> list[int]:
    """Return the processes that a process's first thread started and that were not waited for (proc_pid_task(5))."""
    with suppress(OSError):
        return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def descriptors() -> dict[str, str]:
    """Return what this process has open, by number; what earlier tests left as garbage is collected before."""
    gc.collect()
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that lists them
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found
