"""Several processes that read one disk together: parts are handed out, and handed on from who has many to who has none."""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from rebalancer.errors import RebalancerError
from rebalancer.inventory.channel import (
    Begin,
    Channel,
    End,
    Failed,
    Found,
    Give,
    Given,
    Idle,
    Order,
    Progress,
    Read,
    Said,
)
from rebalancer.inventory.findings import Findings
from rebalancer.inventory.reading import Counts, Part

_BEAT = 0.05  # seconds between two looks at the request to stop
_ASKS_AGAIN = 0.01  # seconds after nobody had parts to spare
_FAULT = "a process that reads {} has ended before its time; this is a fault of the program"


class Member:
    """One reader, from this side of its line."""

    def __init__(self, line: socket.socket) -> None:
        self.channel: Channel[Said] = Channel(line, Said)
        self.counts = Counts()
        self.is_idle = False  # also before it has said anything
        self.is_asked = False  # for parts
        self.findings: Findings | None = None  # None: not told yet


class Team:
    """The readers of one disk. Not to be used by two threads, but for its counts."""

    def __init__(self, disk: str, lines: Sequence[socket.socket], begin: Begin) -> None:
        self._disk = disk
        self._members = [Member(line) for line in lines]
        self._parts: list[Part] = []
        self._asks_at = 0.0
        for member in self._members:
            with suppress(BrokenPipeError):  # it has ended already: the team is never ready
                member.channel.say(begin)

    @property
    def counts(self) -> Counts:
        """How far they are, all together."""
        counts = [member.counts for member in self._members]
        return Counts(sum(one.files for one in counts), sum(one.size for one in counts))

    def is_ready(self) -> bool:
        """Whether they wait for parts; never when one of them has ended before it was given any."""
        try:
            self._hear(timeout=0)
        except RebalancerError:
            self._members = []
        return bool(self._members) and any(member.is_idle for member in self._members)

    def read(self, parts: Iterable[Part], *, check: Callable[[], None]) -> list[Findings]:
        """Have all parts read and return what each found. Raises what ``check`` raises, and OSError."""
        self._parts += parts
        while self._parts or not all(member.is_idle for member in self._members):
            check()
            self._hand_out()
            self._ask_around()
            self._hear(timeout=_ASKS_AGAIN if any(member.is_idle for member in self._members) else _BEAT)
        for member in self._members:
            self._say(member, End())
        while any(member.findings is None for member in self._members):
            check()
            self._hear(timeout=_BEAT)
        return [member.findings for member in self._members if member.findings is not None]

    def close(self) -> None:
        """Hang up: those that still read stop at the next names."""
        for member in self._members:
            member.channel.close()

    def _hand_out(self) -> None:
        idle = [member for member in self._members if member.is_idle]
        for member in idle:
            if self._parts:
                count = max(1, len(self._parts) // (2 * len(self._members)))
                parts, self._parts = self._parts[-count:], self._parts[:-count]
                member.is_idle = False
                self._say(member, Read(parts))

    def _ask_around(self) -> None:
        """When somebody has nothing to do, ask the others, one at a time, whether they have parts to spare."""
        now = time.monotonic()
        if now < self._asks_at or not any(member.is_idle for member in self._members):
            return
        busy = [member for member in self._members if not member.is_idle]
        if busy and not any(member.is_asked for member in busy):
            member = busy[0]
            member.is_asked = True
            self._members.append(self._members.pop(self._members.index(member)))  # the next time another one
            self._say(member, Give())

    def _hear(self, *, timeout: float) -> None:
        expected = [member for member in self._members if member.findings is None]
        ready, _, _ = select.select([member.channel for member in expected], [], [], timeout)
        for member in expected:
            if member.channel in ready:
                try:
                    said = member.channel.hear()
                except EOFError:
                    raise RebalancerError(_FAULT.format(self._disk)) from None
                for message in said:
                    self._note(member, message)

    def _note(self, member: Member, message: Said) -> None:
        if isinstance(message, Idle):
            member.is_idle = True
        elif isinstance(message, Progress):
            member.counts = Counts(message.files, message.size)
        elif isinstance(message, Given):
            member.is_asked = False
            self._parts += message.parts
            if not message.parts:
                self._asks_at = time.monotonic() + _ASKS_AGAIN
        elif isinstance(message, Found):
            member.findings = message.findings
        elif isinstance(message, Failed):
            raise OSError(message.code, os.strerror(message.code))

    def _say(self, member: Member, order: Order) -> None:
        try:
            member.channel.say(order)
        except BrokenPipeError:
            raise RebalancerError(_FAULT.format(self._disk)) from None


def start(roots: Sequence[int]) -> tuple["subprocess.Popen[bytes]", list[socket.socket]]:
    """Start a reader for each of these open roots; return the process that forks them, and the line to each.

    Raises OSError when no process can be started.
    """
    pairs = [socket.socketpair() for _ in roots]
    try:
        ends = [f"{theirs.fileno()}:{root}" for (_, theirs), root in zip(pairs, roots, strict=True)]
        process = subprocess.Popen(
            [sys.executable, "-m", "rebalancer.inventory.reader", *ends],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",  # no folder of any disk is held by standing in it
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONSAFEPATH": "1"},
            pass_fds=[*{fd for (_, theirs), root in zip(pairs, roots, strict=True) for fd in (theirs.fileno(), root)}],
        )
    except OSError:
        for ours, _ in pairs:
            ours.close()
        raise
    finally:
        for _, theirs in pairs:
            theirs.close()
    return process, [ours for ours, _ in pairs]
