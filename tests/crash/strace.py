"""The same crash points reached by another tool, in processes that were started like any other: strace.

It counts the calls of each name apart, and a fault that never fires looks like a pass: every use asks how it ended.
"""

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crash.tracing import CHANGES

_NAMES = ",".join(sorted(set(CHANGES.values())))
_CALL = re.compile(rb"^(?:\d+ +)?(\w+)\((.*)$")
KILLED = 137  # what strace makes of the end of a process that was killed: it dies the same death


@dataclass(frozen=True, slots=True)
class Point:
    """The k-th call of a name, in the one process that is traced."""

    name: str
    number: int

    @property
    def injection(self) -> list[str]:
        fault = f"inject={self.name}:signal=KILL:when={self.number}"
        return ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={self.name}", "-e", fault]


def points(
    command: Sequence[str], trace: Path, *, variables: Mapping[str, str], below: Path | None = None
) -> list[Point]:
    """Run a command to its end and return every point at which it changes something, in order.

    Opening calls that create nothing are counted, for strace counts them, but are no points. With ``below`` only
    calls that name a path from there on count: what Python does to its own files before is no part of the work.
    """
    command = ["strace", "-qq", "-o", str(trace), "-e", f"trace={_NAMES}", *command]
    subprocess.run(command, check=True, capture_output=True, timeout=60, env=os.environ | variables, cwd="/")
    return list(_points(trace.read_bytes().splitlines(), os.fsencode(below) if below else b""))


def kill_at(point: Point, command: Sequence[str], *, variables: Mapping[str, str]) -> bool:
    """Run a command that is killed there; return whether it was."""
    ended = subprocess.run(
        [*point.injection, *command], check=False, capture_output=True, timeout=60, env=os.environ | variables, cwd="/"
    )
    return ended.returncode in {KILLED, -9}


def _points(lines: list[bytes], below: bytes) -> Iterator[Point]:
    counts, has_begun = Counter[str](), not below
    for line in lines:
        if (found := _CALL.match(line)) is None:
            continue
        name, rest = found[1].decode(), found[2]
        if name not in CHANGES.values():
            continue  # a call that is newer than strace, which shows it unasked
        counts[name] += 1
        has_begun = has_begun or below in rest
        if has_begun and (name not in {"openat", "openat2"} or b"O_CREAT" in rest):
            yield Point(name, counts[name])
