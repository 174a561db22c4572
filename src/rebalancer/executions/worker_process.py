"""The worker as its supervisor sees it: started in a session of its own, listened to, stopped with proof."""

import os
import secrets
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

import rebalancer
from rebalancer.executions.execution import ProcessIdentity
from rebalancer.executions.process import TOKEN, ProvenProcess, identity_of
from rebalancer.transfer.messages import Message

GRACE = 10.0  # seconds a worker gets to finish the flush it is in
_POLL = 0.1  # seconds


class WorkerProcess:
    """A running worker. Its messages come in order; its exit code is its own."""

    def __init__(self, operation: Path, *, only_begun: bool, log: IO[bytes]) -> None:
        token = secrets.token_hex(16)
        self._process = subprocess.Popen(
            _command(operation, only_begun=only_begun),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",  # no folder of any disk is held by standing in it
            env=_environment(token),
            start_new_session=True,
        )
        self.identity: ProcessIdentity = identity_of(self._process.pid, token)
        self._buffer = b""

    def messages(self) -> Iterator[Message | None]:
        """Yield what the worker says, and None several times a second, until it has closed its output."""
        assert self._process.stdout is not None  # noqa: S101 - Popen was given a pipe
        fd = self._process.stdout.fileno()
        while True:
            if not select.select([fd], [], [], _POLL)[0]:
                yield None
                continue
            data = os.read(fd, 65536)
            if not data:
                return
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            for line in lines:
                yield msgspec.json.decode(line, type=Message)

    def ask_to_stop(self) -> None:
        """Ask it to stop after the chunk it is in."""
        if self._process.poll() is None:
            with ProvenProcess(self.identity) as process:
                process.ask_to_stop()

    def kill(self) -> bool:
        """End it; returns False when it is stuck in the kernel, waiting for a disk."""
        if self._process.poll() is not None:
            return True
        with ProvenProcess(self.identity) as process:
            return process.kill()

    def exit_code(self) -> int:
        """Wait for the end; returns the exit code, negative for the signal that ended it."""
        if self._process.stdout is not None:
            self._process.stdout.close()
        return self._process.wait()


def _command(operation: Path, *, only_begun: bool) -> list[str]:
    flags = ["--only-begun"] if only_begun else []
    return [sys.executable, "-m", "rebalancer.transfer.worker", *flags, str(operation)]


def _environment(token: str) -> dict[str, str]:
    """Give the worker what it needs and nothing else of the user's environment."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ") if name in os.environ}
    source = str(Path(rebalancer.__file__).parent.parent)
    return {
        **kept,
        TOKEN: token,
        "PYTHONPATH": source,
        "PYTHONSAFEPATH": "1",
        "REBALANCER_SUPERVISOR": str(os.getpid()),
    }
