"""A process beside the worker that carries out one move after the other, told by a pipe and answering by one."""

import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import IO

import msgspec
from msgspec import Struct

from rebalancer import linux
from rebalancer.errors import CancelledError, RebalancerError
from rebalancer.transfer.control import Control
from rebalancer.transfer.messages import Left, Message, Progress
from rebalancer.transfer.mover import Knowledge, Mover
from rebalancer.transfer.operation import Operation

_APART = 10**12  # temporary names that one lane may give


class LaneLostError(RebalancerError):
    """A lane ended in the middle of a move: what it left is for the next run to finish."""


class Task(Struct, frozen=True):
    """A move by its number, and what is known of the disks."""

    number: int
    known: Knowledge


class Done(Struct, frozen=True, tag="done"):
    """A move has ended, however it did. The progress is of all that this lane did so far."""

    number: int
    is_unfinished: bool
    stopped: str  # why it was cut short; empty when it was not
    known: Knowledge  # of the move's disks
    progress: Progress


Said = Progress | Left | Done


class Lane:
    """A process forked from this one: it has its operation, its locks and its priority, and it ends with it.

    It is asked to wait and to stop by what both share; no signal is sent. ``number`` counts from 1, ``beside`` are those
    that there are already.
    """

    def __init__(self, number: int, operation: Operation, control: Control, *, beside: Iterable["Lane"]) -> None:
        self.task: int | None = None  # the move it is at
        self.progress: Progress | None = None  # what it last said of all its moves together
        tasks, self._tasks = os.pipe()
        self._results, results = os.pipe()
        self._buffer = b""
        worker = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            for lane in (self, *beside):
                lane.close()
            _live(worker, lambda: _work(number, operation, control, os.fdopen(tasks, "rb"), os.fdopen(results, "wb")))
        os.close(tasks)
        os.close(results)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when it has something to say."""
        return self._results

    def give(self, number: int, known: Knowledge) -> None:
        """Let it carry out a move; it says `Done` at the end of it."""
        self.task = number
        with suppress(BrokenPipeError):  # it has ended: so `hear` will say
            os.write(self._tasks, msgspec.json.encode(Task(number, known)) + b"\n")

    def hear(self) -> list[Said]:
        """Return what it says now. Raises LaneLostError when it ended before it was told to."""
        data = os.read(self._results, 65536)
        if not data:
            raise LaneLostError("a process of the worker ended in the middle of a move")
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        said: list[Said] = [msgspec.json.decode(line, type=Said) for line in lines]
        if any(isinstance(one, Done) for one in said):
            self.task = None
        return said

    def end(self) -> None:
        """Let it end after the move that it is at, and wait for that."""
        self.close()
        os.waitpid(self._pid, 0)

    def close(self) -> None:
        """Let go of the pipes; a lane at work notices when it wants to say something."""
        os.close(self._tasks)
        os.close(self._results)


def _live(worker: int, work: Callable[[], None]) -> None:
    """Be the lane, and nothing else: whatever happens, what the worker was about to do is not done twice."""
    code = 1
    try:
        os.close(sys.stdout.fileno())  # the supervisor hears the worker alone
        linux.die_with_parent(signal.SIGTERM)
        if os.getppid() == worker:
            work()
            code = 0
    except BaseException:  # noqa: BLE001 - told in the log, like that of any process
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(code)


def _work(number: int, operation: Operation, control: Control, tasks: IO[bytes], results: IO[bytes]) -> None:
    control.has_company()

    def say(message: Message | Done) -> None:
        try:
            results.write(msgspec.json.encode(message) + b"\n")
            results.flush()
        except BrokenPipeError:
            control.stop("the worker is gone")

    mover = Mover(operation, control, say, first_part=number * _APART)
    for line in tasks:
        task = msgspec.json.decode(line, type=Task)
        mover.known.learn(task.known)
        move = operation.moves[task.number]
        stopped = ""
        try:
            mover.move(move, only_begun=False)
        except CancelledError as cancelled:
            stopped = str(cancelled)
        say(
            Done(
                number=task.number,
                is_unfinished=mover.is_unfinished,
                stopped=stopped,
                known=mover.known.of(move),
                progress=mover.report.now(),
            )
        )
