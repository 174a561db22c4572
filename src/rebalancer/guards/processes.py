"""Which other programs run on this machine, read from /proc once per look (proc(5))."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from rebalancer import proc

_INTERPRETERS = re.compile(r"(?:ba|da|a|z|k|tc)?sh|busybox|python[\d.]*|perl[\d.]*|php[\d.]*|node|ruby[\d.]*")
_FIRST_KERNEL_THREAD = 2  # kthreadd, which only the machine's own PID namespace shows


@dataclass(frozen=True, slots=True)
class Process:
    """One living program with the arguments it was started with."""

    pid: int
    arguments: tuple[str, ...]  # of the command line, the program itself first; never empty
    words: tuple[str, ...]  # the name of the program, or of the script it runs, and what that was told

    @property
    def name(self) -> str:
        return self.words[0]

    @property
    def folder(self) -> str:
        """The path of the folder it stands in; empty when that cannot be told."""
        try:
            return os.readlink(f"/proc/{self.pid}/cwd")
        except OSError:
            return ""

    @property
    def parent(self) -> int:
        """The number of the process that started it; 0 when it has ended."""
        return proc.parent_of(self.pid)


@dataclass(eq=False)
class Processes:
    """The programs at one moment, but not ``own``; read when they are first asked for."""

    own: frozenset[int] = frozenset()

    def __iter__(self) -> Iterator[Process]:
        return iter(self._all.values())

    def get(self, pid: int) -> Process | None:
        return self._all.get(pid)

    @cached_property
    def are_all_seen(self) -> bool:
        """Whether this is the machine's own view: a container sees its own programs only."""
        with suppress(OSError), open(f"/proc/{_FIRST_KERNEL_THREAD}/comm", "rb") as file:
            return file.read() == b"kthreadd\n"
        return False

    @cached_property
    def _all(self) -> dict[int, Process]:
        found = (_process(pid) for pid in sorted(proc.numbers()) if pid not in self.own)
        return {process.pid: process for process in found if process is not None}


def _process(pid: int) -> Process | None:
    """Return a process; None for one that has ended, has begun to end or is a thread of the kernel."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            line = file.read()
    except OSError:
        return None
    arguments = tuple(os.fsdecode(part) for part in line.rstrip(b"\0").split(b"\0"))
    return Process(pid, arguments, words_of(arguments)) if arguments != ("",) else None


def words_of(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``("mover", "start")`` for ``/bin/bash /usr/local/sbin/mover start``."""
    name, rest = os.path.basename(arguments[0]).lstrip("-"), arguments[1:]
    if _INTERPRETERS.fullmatch(name) and not {"-c", "-m", "-e"} & set(rest[:1]):
        position = next((at for at, word in enumerate(rest) if not word.startswith("-")), None)
        if position is not None:
            return os.path.basename(rest[position]), *rest[position + 1 :]
    return name, *rest
