"""The worker as its supervisor sees it: started in a session of its own, told what to do, stopped with proof."""

import os
import secrets
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from rebalancer.errors import RebalancerError
from rebalancer.executions.execution import ProcessIdentity
from rebalancer.executions.family import stop_family
from rebalancer.executions.process import TOKEN, ProvenProcess, identity_of
from rebalancer.transfer.control import PAUSING
from rebalancer.transfer.messages import Message

GRACE = 10.0  # seconds a worker gets to finish the flush it is in
_POLL = 0.1  # seconds


class WorkerProcess:
    """A running worker, idle until it is given an operation. Its messages come in order.

    It inherits the locks of its disks: when the supervisor is killed, nobody else begins before the worker has ended.
    """

    def __init__(self, *, log: IO[bytes], locks: Sequence[int]) -> None:
        token = secrets.token_hex(16)
        with _pausing_put_off():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rebalancer.transfer.worker"],
                bufsize=0,  # what a worker that has ended did not take must not be tried again when the pipe is closed
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",  # no folder of any disk is held by standing in it
                env=_environment(token),
                pass_fds=tuple(locks),
                start_new_session=True,
            )
        try:
            self.identity: ProcessIdentity = identity_of(self._process.pid, token)
        except ProcessLookupError as error:
            raise RebalancerError("the worker ended before it had begun; the log says more") from error
        self._buffer = b""

    def begin(self, operation: Path, *, only_begun: bool) -> None:
        """Give it an operation; its last message about it is `Finished`."""
        order = {"operation": str(operation), "only_begun": only_begun}
        try:
            self._input.write(msgspec.json.encode(order) + b"\n")
        except BrokenPipeError:  # it has ended already: `messages` ends too
            return

    def messages(self) -> Iterator[Message | None]:
        """Yield what the worker says, and None several times a second, until it has closed its output."""
        fd = self._output.fileno()
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

    def pause(self, *, paused: bool) -> None:
        """Ask it to wait after the chunk it is in, or to go on."""
        if self._process.poll() is None:
            with ProvenProcess(self.identity) as process:
                process.pause(paused=paused)

    def kill(self) -> bool:
        """End it and what it started; returns False when one of them is stuck in the kernel, waiting for a disk."""
        return not stop_family(self.identity, grace=0).pending

    def exit_code(self) -> int:
        """Let it end and wait for that; returns the exit code, negative for the signal that ended it."""
        self._input.close()
        return self._process.wait()

    def close(self) -> None:
        """Let go of the pipes; a worker that still lives notices and ends by itself."""
        self._input.close()
        self._output.close()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 - Popen was given a pipe
        return self._process.stdin

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - Popen was given a pipe
        return self._process.stdout


@contextmanager
def _pausing_put_off() -> Iterator[None]:
    """Start with the signals that pause blocked: one that came before the worker listens would end it (signal(7)).

    The mask is inherited; `Control.listen` lifts it and hears what came meanwhile.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PAUSING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _environment(token: str) -> dict[str, str]:
    """Give the worker what it needs and nothing else of the user's environment."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ") if name in os.environ}
    source = str(Path(__file__).parents[2])
    return {
        **kept,
        TOKEN: token,
        "PYTHONPATH": source,
        "PYTHONSAFEPATH": "1",
        "REBALANCER_SUPERVISOR": str(os.getpid()),
    }
