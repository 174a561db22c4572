"""The only place that prints: lines that are safe on a terminal, JSON, and sentences for errors."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

from rebalancer import names

PROGRAM = "unraid-rebalancer"


def is_terminal() -> bool:
    """Return whether a person sees standard output on something that can draw."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb"


def is_unicode() -> bool:
    """Return whether standard output can show more than ASCII."""
    return "utf" in (sys.stdout.encoding or "").lower()


def say(line: str = "") -> None:
    """Print one line, broken between words where a terminal is narrower; whatever a name holds, it stays harmless."""
    safe = names.display(line)
    if is_terminal():
        import shutil
        import textwrap

        width = shutil.get_terminal_size().columns
        safe = "\n".join(textwrap.wrap(safe, width, subsequent_indent="  ", drop_whitespace=True)) or safe
    print(safe)


def complain(sentence: str) -> None:
    """Print one sentence on standard error."""
    print(f"{PROGRAM}: {names.display(sentence)}", file=sys.stderr)


def print_json(value: object) -> None:
    """Print one JSON document and nothing else."""
    from rebalancer import records

    sys.stdout.flush()
    sys.stdout.buffer.write(records.encode(value) + b"\n")


def count(number: int, noun: str) -> str:
    """Return ``1 file``, ``20,000 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """Print inside the block for whoever still reads; when nobody does, what follows goes on without a reader."""
    try:
        yield
        finish()
    except OSError as error:
        if error.errno not in {errno.EPIPE, errno.EIO}:  # EIO: the terminal is gone
            raise
        forget_reader()


def finish() -> None:
    """Hand over everything that was printed; what cannot be handed over is not tried again when the process ends."""
    try:
        sys.stdout.flush()
    except OSError:
        forget_reader()
        raise


def forget_reader() -> None:
    """Send standard output nowhere from now on, so that nothing complains about it at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, 1)
    os.close(nowhere)
