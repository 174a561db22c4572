"""What /proc says of processes (proc(5)): read with the suspicion that any of them may end meanwhile."""

import os
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from rebalancer import proc

TOKEN = "REBALANCER_EXECUTION_TOKEN"  # noqa: S105 - the variable's name, not a secret

_PROC = Path("/proc")
_FILES_READ = 256  # open files looked at to learn which disk a process waits for


@dataclass(frozen=True, slots=True)
class Facts:
    """One process at one moment."""

    pid: int
    parent: int
    session: int
    start_ticks: int  # field 22 of /proc/PID/stat, in clock ticks since boot
    state: str  # one letter: R, S, D, T, Z …
    uid: int  # the effective user


def boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def namespace_of(pid: int | str) -> int:
    """Return the inode of a process's PID namespace; raises OSError when it is gone or not ours to look at."""
    return os.stat(f"/proc/{pid}/ns/pid").st_ino


def facts_of(pid: int) -> Facts | None:
    """Return what is known of a process; None when there is none of that number."""
    try:
        fields = proc.stat_of(pid)
        uid = os.stat(f"/proc/{pid}").st_uid
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Facts(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
        state=fields[0].decode(),
        uid=uid,
    )


def everybody() -> dict[int, Facts]:
    """Return every process by its number."""
    found = map(facts_of, proc.numbers())
    return {facts.pid: facts for facts in found if facts is not None}


class Table:
    """Every process that may be signalled, as it was when the table was made; each is asked for its token once."""

    def __init__(self) -> None:
        spared = untouchable()
        self.processes = [facts for pid, facts in everybody().items() if pid not in spared]
        self._tokens: dict[int, str] = {}

    def token_of(self, facts: Facts) -> str:
        if facts.pid not in self._tokens:
            self._tokens[facts.pid] = token_of(facts.pid)
        return self._tokens[facts.pid]


def token_of(pid: int) -> str:
    """Return the token in a process's environment; empty when it has none, has ended or is not ours to look at.

    The environment of the last ``exec`` is inherited by every child, also through a double fork and ``setsid``.
    """
    prefix = f"{TOKEN}=".encode()
    try:
        data = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return ""
    found = (entry for entry in data.split(b"\0") if entry.startswith(prefix))
    return next(found, prefix).removeprefix(prefix).decode("ascii", "replace")


def is_without_memory(pid: int) -> bool:
    """Return whether a process has given back its memory, and with it its environment: its end has begun (proc(5))."""
    try:
        return (_PROC / str(pid) / "statm").read_bytes().split()[0] == b"0"
    except (OSError, IndexError):
        return False


def untouchable() -> set[int]:
    """Return the numbers that are never signalled: the first process, this one, and all that it descends from."""
    found = {0, 1}
    pid = os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        facts = facts_of(pid)
        pid = facts.parent if facts is not None else 0
    return found


def kernel_function(pid: int) -> str:
    """Return the kernel function that a process waits in; empty when the kernel does not tell."""
    try:
        name = (_PROC / str(pid) / "wchan").read_text().strip()
    except OSError:
        return ""
    return "" if name == "0" else name


def open_files(pid: int) -> list[str]:
    """Return the paths of a process's open files and its folder, without asking any file system about them."""
    found = []
    for link in [*(f"/proc/{pid}/fd/{number}" for number in _descriptors(pid)[:_FILES_READ]), f"/proc/{pid}/cwd"]:
        try:
            found.append(os.readlink(link))
        except OSError:
            continue
    return [path for path in found if path.startswith("/")]


def locked_files(pid: int, *, among: Container[str]) -> list[str]:
    """Return those paths that a process has open with a kernel lock held through them (proc(5), fdinfo)."""
    found = []
    for number in _descriptors(pid):
        try:
            path = os.readlink(f"/proc/{pid}/fd/{number}")
            if path in among and "FLOCK" in (_PROC / str(pid) / "fdinfo" / number).read_text():
                found.append(path)
        except OSError:
            continue
    return found


def _descriptors(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []
