"""The process that moves bytes: carries out one operation and reports it as JSON lines."""

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from rebalancer import linux, records
from rebalancer.cancel import Cancel
from rebalancer.errors import CancelledError, RebalancerError
from rebalancer.planning.traffic import Traffic
from rebalancer.transfer.control import Control
from rebalancer.transfer.lane import Done, Lane, LaneLostError
from rebalancer.transfer.messages import Finished, Left, Message, Progress
from rebalancer.transfer.mover import Knowledge, Mover, report_of
from rebalancer.transfer.operation import Operation
from rebalancer.transfer.unit import raise_open_limit

NICENESS = 10  # setpriority(2)
_POLL = 50  # milliseconds


class Worker:
    """Carries out the moves of one operation: in order in this process, or several at once in processes beside it."""

    def __init__(self, operation: Operation, control: Control, send: Callable[[Message], None]) -> None:
        self.operation = operation
        self.control = control
        self.send = send
        self.unfinished: set[int] = set()
        self.files_left = 0
        self.stopped = ""
        self.known = Knowledge()
        self.nothing = report_of(operation, send).now()

    def work(self, *, only_begun: bool) -> Finished:
        """Do all moves, or after a crash only those that were begun; return what really happened.

        Raises LaneLostError when nobody can say what happened.
        """
        operation = self.operation
        limited = frozenset(disk.name for disk in operation.disks if disk.is_folder)
        traffic = Traffic(operation.moves, media=operation.media, limited=limited, limit=operation.at_once)
        # what a crash left is put back by one alone: its names may be anywhere above the units
        if only_begun or not traffic.is_ever_shared:
            return self._one_by_one(only_begun=only_begun)
        return self._several_at_once(traffic)

    def _one_by_one(self, *, only_begun: bool) -> Finished:
        mover, number = Mover(self.operation, self.control, self.send), 0
        try:
            for number, move in enumerate(self.operation.moves):
                self.control.check()
                try:
                    mover.move(move, only_begun=only_begun)
                finally:
                    self._note(number, is_unfinished=mover.is_unfinished)
        except CancelledError as cancelled:
            self.stopped = str(cancelled)
            if only_begun:  # nobody has looked at the rest yet
                self.unfinished.update(range(number, len(self.operation.moves)))
        self.known, self.files_left = mover.known, mover.report.files_left
        return self._finished(mover.report.now())

    def _note(self, number: int, *, is_unfinished: bool) -> None:
        if is_unfinished:
            self.unfinished.add(number)

    def _finished(self, progress: Progress) -> Finished:
        failed, error = self.known.failed, ""
        if len(failed) == len(self.operation.disks):
            error = "; ".join(f"{disk}: {reason}" for disk, reason in failed.items())
        return Finished(
            files_moved=progress.files_moved,
            bytes_moved=progress.bytes_moved,
            files_left=self.files_left,
            moves_done=progress.moves_done,
            moves_total=progress.moves_total,
            unfinished=tuple(sorted(self.unfinished)),
            stopped=self.stopped,
            error=error,
        )

    # -- several at once ----------------------------------------------------------------------------------------

    def _several_at_once(self, traffic: Traffic) -> Finished:
        with ExitStack() as stack:
            lanes: list[Lane] = []
            try:
                self._hand_out(traffic, lanes, stack)
                while busy := [lane for lane in lanes if lane.task is not None]:
                    for lane in _speaking(busy):
                        self._hear(lane, lanes, traffic)
                    self._hand_out(traffic, lanes, stack)
            except BaseException:
                self.control.stop("the worker failed")  # else whoever is at work would go on to the end of his move
                raise
        return self._finished(self._together(lanes))

    def _hand_out(self, traffic: Traffic, lanes: list[Lane], stack: ExitStack) -> None:
        if self.control.is_stopped and traffic.is_waiting:
            self.stopped = self.control.cancel.reason
        while not self.stopped and (number := traffic.begin()) is not None:
            lane = next((lane for lane in lanes if lane.task is None), None)
            if lane is None:
                lane = Lane(len(lanes) + 1, self.operation, self.control, beside=lanes)
                stack.callback(lane.end)
                lanes.append(lane)
            lane.give(number, self.known)

    def _hear(self, lane: Lane, lanes: list[Lane], traffic: Traffic) -> None:
        for said in lane.hear():
            if isinstance(said, Left):
                self.files_left += 1
                self.send(said)
                continue
            if isinstance(said, Done):
                self._note(said.number, is_unfinished=said.is_unfinished)
                self.known.learn(said.known)
                self.stopped = self.stopped or said.stopped
                traffic.end(said.number)
            lane.progress = said.progress if isinstance(said, Done) else said
        self.send(self._together(lanes))

    def _together(self, lanes: Sequence[Lane]) -> Progress:
        """Return what all lanes did, and what the first that is at work is at: whoever watches sees it stay the same."""
        told = [lane.progress for lane in lanes if lane.progress is not None]
        busy = [lane.progress for lane in lanes if lane.progress is not None and lane.task is not None]
        return structs.replace(
            (busy or told or [self.nothing])[0],
            moves_done=sum(one.moves_done for one in told),
            files_moved=sum(one.files_moved for one in told),
            bytes_moved=sum(one.bytes_moved for one in told),
            bytes_copied=sum(one.bytes_copied for one in told),
            beside=max(0, len(busy) - 1),
        )


def _speaking(lanes: Sequence[Lane]) -> list[Lane]:
    """Return the lanes that have something to say, after a moment if there are none yet."""
    poll = select.poll()  # not select(2), which cannot watch descriptors above 1023
    for lane in lanes:
        poll.register(lane, select.POLLIN)
    ready = {fd for fd, _ in poll.poll(_POLL)}
    return [lane for lane in lanes if lane.fileno() in ready]


class Order(Struct, frozen=True):
    """One line on the worker's standard input: an operation's file, and whether it is only to be finished."""

    operation: str
    only_begun: bool = False


def main(arguments: list[str]) -> int:
    """Carry out the operations named on standard input, one line each, until it ends.

    For tests and for hands: ``[--only-begun] FILE`` carries out one.
    """
    linux.die_with_parent(signal.SIGTERM)
    control = Control(Cancel())
    control.listen()
    if os.environ.get("REBALANCER_SUPERVISOR") not in {None, str(os.getppid())}:
        control.stop("its supervisor is gone")
    _make_way()
    raise_open_limit()
    os.umask(0)  # modes are set explicitly, before anybody can see a name
    send = _sender(control)
    for order in _orders(arguments):
        try:
            operation = records.read(Path(order.operation), Operation, limit=records.DOCUMENT_LIMIT)
        except RebalancerError as error:
            sys.stderr.write(f"{error}\n")
            return int(error.exit_code)
        control.limit(operation.bandwidth_limit)
        try:
            send(Worker(operation, control, send).work(only_begun=order.only_begun))
        except LaneLostError as error:
            sys.stderr.write(f"{error}\n")
            return int(error.exit_code)
    return 0


def _make_way() -> None:
    """Let everybody else go first, on processors and disks; threads started later inherit it.

    In a session of its own a process is weighed by its session's niceness, not its own (sched(7), autogroup).
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    with suppress(OSError):
        linux.be_idle_on_disks()
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICENESS))


def _orders(arguments: list[str]) -> Iterator[Order]:
    if arguments:
        yield Order(arguments[-1], only_begun="--only-begun" in arguments)
        return
    for line in sys.stdin.buffer:
        yield msgspec.json.decode(line, type=Order)


def _sender(control: Control) -> Callable[[Message], None]:
    """Return a function that writes one JSON line; when nobody listens any more the work stops, cleanly."""

    def send(message: Message) -> None:
        try:
            sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            control.stop("its supervisor is gone")

    return send


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(exit_code)  # every file is closed and every word is said: taking Python apart would only take time
