"""What a command costs: the clock, and the kernel's accounting of every process it waited for."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moving import media


@dataclass(frozen=True, slots=True)
class Account:
    """One run of one command. Seconds; the processor's include all processes it started and waited for (wait4(2)).

    What the kernel does by itself, such as writing back, is in the clock only.
    """

    seconds: float
    processor: float


class Failed(Exception):  # noqa: N818 - what a command did
    """A command ended with something else than 0."""


def run(command: Sequence[str], *, destination: Path | None, variables: Mapping[str, str]) -> Account:
    """Run a command and flush its destination, if there is one to flush; both are on the clock. Raises Failed."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **variables}
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        cwd="/",
    )
    try:
        said = process.stderr.read() if process.stderr else b""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        end(process)
    if destination is not None:
        media.sync(destination)
    seconds = time.perf_counter() - start
    if process.returncode != 0:
        raise Failed(f"{command[0]} ended with {process.returncode}: {os.fsdecode(said[-400:])}")
    return Account(seconds, used.ru_utime + used.ru_stime)


@contextmanager
def started(
    command: Sequence[str], *, variables: Mapping[str, str], output: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command for as long as this lasts, at most."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **variables},
        cwd="/",
    )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Leave no command behind when we are interrupted."""
    if process.returncode is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def first_line(*command: str) -> str:
    """Return the first line of what a program says of itself; empty when it is not there."""
    try:
        answer = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError:
        return ""
    return next(iter((answer.stdout + answer.stderr).splitlines()), "").strip()
