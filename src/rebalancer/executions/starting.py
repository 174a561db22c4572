"""Processes of this program that go on by themselves, whatever becomes of who started them."""

import os
import secrets
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from rebalancer.executions.execution import ProcessIdentity
from rebalancer.executions.process import TOKEN, ProvenProcess, identity_of

_LOG_LIMIT = 2**20  # bytes; a larger log is set aside, over the one before


def start(arguments: Sequence[str], *, log: Path, token: str = "") -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; what it says is added to a log. Raises OSError.

    It carries ``token`` in its environment, and no other one.
    """
    inherited = {name: value for name, value in os.environ.items() if name != TOKEN}
    with _open_log(log) as file:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd="/",  # no folder of any disk is held by standing in it
            env=inherited | ({TOKEN: token} if token else {}),
            start_new_session=True,
        )


def start_marked(arguments: Sequence[str], *, log: Path) -> tuple[subprocess.Popen[bytes], ProcessIdentity | None]:
    """Start a program as `start` does, so that whoever knows its identity may ask it to stop later.

    The identity is None when it has ended already.
    """
    token = secrets.token_hex(16)
    child = start(arguments, log=log, token=token)
    try:
        return child, identity_of(child.pid, token)
    except ProcessLookupError:
        return child, None


def ask_to_stop(identity: ProcessIdentity) -> bool:
    """Ask a process of `start_marked` to stop; returns whether it was still there to be asked.

    Raises RefusedError when the process of that number cannot be proven to be the one meant.
    """
    try:
        with ProvenProcess(identity) as process:
            process.ask_to_stop()
    except ProcessLookupError:
        return False
    return True


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_name(f"{path.name}.old"))
    return path.open("ab")
