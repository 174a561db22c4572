"""Processes of this program that go on by themselves, whatever becomes of who started them."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from rebalancer.executions.process import TOKEN

_LOG_LIMIT = 2**20  # bytes; a larger log is set aside, over the one before


def start(arguments: Sequence[str], *, log: Path) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; what it says is added to a log. Raises OSError."""
    with _open_log(log) as file:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd="/",  # no folder of any disk is held by standing in it
            env={name: value for name, value in os.environ.items() if name != TOKEN},
            start_new_session=True,
        )


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_name(f"{path.name}.old"))
    return path.open("ab")
