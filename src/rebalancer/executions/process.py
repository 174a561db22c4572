"""Processes told apart beyond doubt, and the only place that sends signals.

A process number alone is no identity: it is given away again, also within the same 10 ms clock tick. So it
goes with the boot, the PID namespace, the start time and a random token in the process's environment.
"""

import os
import select
import signal
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rebalancer.errors import RefusedError
from rebalancer.executions.execution import ProcessIdentity

TOKEN = "REBALANCER_EXECUTION_TOKEN"  # noqa: S105 - the variable's name, not a secret
_PROC = Path("/proc")


def boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def identity_of(pid: int, token: str) -> ProcessIdentity:
    """Describe a living process; raises ProcessLookupError when there is none of that number."""
    try:
        return ProcessIdentity(
            boot_id=boot_id(),
            pid_namespace=os.stat(_PROC / str(pid) / "ns/pid").st_ino,
            pid=pid,
            start_ticks=_start_ticks(pid),
            token=token,
        )
    except FileNotFoundError as error:
        raise ProcessLookupError(f"there is no process {pid}") from error


class ProvenProcess:
    """A process held by a descriptor (pidfd_open(2)) and then proven to be the one meant.

    The descriptor never comes to mean another process, so a signal sent through it cannot hit a stranger.
    """

    def __init__(self, identity: ProcessIdentity) -> None:
        """Open and prove; raises ProcessLookupError when it is gone, RefusedError when it is not ours."""
        if identity.pid <= 1 or identity.pid in {os.getpid(), os.getppid()}:
            raise RefusedError(f"process {identity.pid} is not one that this program may signal")
        self.identity = identity
        self._fd = os.pidfd_open(identity.pid)
        try:
            _prove(identity)
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process has ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, number)

    def wait(self, seconds: float) -> bool:
        """Return whether the process ended within that time (its descriptor becomes readable)."""
        return bool(select.select([self._fd], [], [], max(0.0, seconds))[0])

    def ask_to_stop(self) -> None:
        """Send TERM, then CONT: a stopped process keeps TERM pending until it goes on."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def pause(self, *, paused: bool) -> None:
        """Ask our worker to wait after the chunk it is in, or to go on."""
        self.signal(signal.SIGUSR1 if paused else signal.SIGUSR2)

    def kill(self) -> bool:
        """Send KILL; returns False when it lives on all the same: it waits for a disk and ends when that answers."""
        self.signal(signal.SIGKILL)
        return self.wait(2.0)


def _prove(identity: ProcessIdentity) -> None:
    """Compare what lives under that number with what was recorded; any difference means: not ours."""
    try:
        found = identity_of(identity.pid, _token_of(identity.pid))
    except (FileNotFoundError, PermissionError) as error:
        raise RefusedError(f"process {identity.pid} cannot be proven to be ours") from error
    if found != identity:
        raise RefusedError(f"process {identity.pid} is not the one that was recorded")


def _token_of(pid: int) -> str:
    prefix = f"{TOKEN}=".encode()
    for entry in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
        if entry.startswith(prefix):
            return entry.removeprefix(prefix).decode("ascii", "replace")
    return ""


def _start_ticks(pid: int) -> int:
    """Return field 22 of /proc/PID/stat (proc(5)); the command name before it may contain ``)`` and spaces."""
    text = (_PROC / str(pid) / "stat").read_bytes()
    return int(text[text.rindex(b")") + 2 :].split()[19])
