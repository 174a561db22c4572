"""The process that moves bytes: carries out one operation and reports it as JSON lines."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from rebalancer import linux, records
from rebalancer.array.discovery import confirm
from rebalancer.cancel import Cancel
from rebalancer.errors import CancelledError, RebalancerError
from rebalancer.planning.plan import Move
from rebalancer.transfer.control import Control
from rebalancer.transfer.failure import DiskFailedError, FileLeftError, UnitLeftError, explain
from rebalancer.transfer.marks import Marks
from rebalancer.transfer.messages import Finished, Message
from rebalancer.transfer.operation import Operation
from rebalancer.transfer.recover import has_own_name_above, is_begun, recover
from rebalancer.transfer.route import OpenDisk, Report, Route
from rebalancer.transfer.unit import UnitMover, raise_open_limit
from rebalancer.transfer.witness import Witness

NICENESS = 10  # setpriority(2)


class Worker:
    """Carries out the moves of one operation, in order, each with its disks confirmed anew."""

    def __init__(self, operation: Operation, control: Control, send: Callable[[Message], None]) -> None:
        self.operation = operation
        self.control = control
        self.marks = Marks(operation.operation_id)
        self.witness = Witness()
        self.disks = {disk.name: disk for disk in operation.disks}
        self.failed: dict[str, str] = {}  # disks on which nothing more is done, and why
        self.ledger: dict[str, int] = {}
        self.unfinished: list[int] = []
        self.report = Report(
            send,
            moves_total=len(operation.moves),
            files_total=sum(move.files for move in operation.moves),
            bytes_total=sum(move.size_bytes for move in operation.moves),
        )
        control.on_pause = self.report.paused

    def work(self, *, only_begun: bool) -> Finished:
        """Do all moves, or after a crash only those that were begun; return what really happened."""
        stopped = error = ""
        for number, move in enumerate(self.operation.moves):
            try:
                self.control.check()
                self._move(number, move, only_begun=only_begun)
            except CancelledError as cancelled:
                stopped = str(cancelled)
                if only_begun:  # nobody has looked at the rest yet
                    self.unfinished += range(number, len(self.operation.moves))
                break
        if len(self.failed) == len(self.disks):
            error = "; ".join(f"{disk}: {reason}" for disk, reason in self.failed.items())
        return Finished(
            files_moved=self.report.files_moved,
            bytes_moved=self.report.bytes_moved,
            files_left=self.report.files_left,
            moves_done=self.report.moves_done,
            moves_total=self.report.moves_total,
            unfinished=tuple(self.unfinished),
            stopped=stopped,
            error=error,
        )

    def _move(self, number: int, move: Move, *, only_begun: bool) -> None:
        self.report.begin_unit()
        self.report.is_untidy = False
        with ExitStack() as stack:
            try:
                route = self._route(move, stack)
            except (RebalancerError, OSError) as error:
                self.report.left(move.source, move.raw_path, _in_words(error))
                if only_begun:
                    self.unfinished.append(number)  # nobody could look, so it may still be half done
                return
            try:
                self._carry_out(move, route, only_begun=only_begun)
            finally:
                if self._is_unfinished(move, route):
                    self.unfinished.append(number)

    def _is_unfinished(self, move: Move, route: Route) -> bool:
        """Return whether the next run must look here; so it must where nobody can look now."""
        if {move.source, move.destination} & self.failed.keys():
            return True  # what we left on a disk that failed waits for its return
        try:
            return is_begun(move, route) or (self.report.is_untidy and has_own_name_above(move, route))
        except OSError:
            return True

    def _carry_out(self, move: Move, route: Route, *, only_begun: bool) -> None:
        try:
            if only_begun:
                route.at(move.raw_path, "recovering")
                recover(move, route)
                if not is_begun(move, route):
                    return
            elif move.kind.value == "folder" or move.also:
                route.destination.demand_room(move.size_bytes)
            UnitMover(route).move(move)
            if self.report.files_left_of_unit == 0:
                self.report.moves_done += 1
        except (FileLeftError, UnitLeftError, DiskFailedError) as error:
            self._leave(move, route, error)
        except OSError as error:
            self._leave(move, route, explain(error, disk=route.destination.name, doing="moving a folder"))
        finally:
            self.report.progress()

    def _leave(self, move: Move, route: Route, error: RebalancerError) -> None:
        if isinstance(error, DiskFailedError):
            self.failed[error.disk] = error.reason
        route.left(move.raw_path, error)

    def _route(self, move: Move, stack: ExitStack) -> Route:
        """Open the disks of a move after making sure that they are what they were.

        Raises RefusedError when one is not, DiskFailedError when one failed earlier.
        """
        source = self._open(move.source, stack)
        destination = self._open(move.destination, stack, floor=move.floor_bytes)
        others = tuple(
            self._open(name, stack)
            for name, disk in self.disks.items()
            if name not in {move.source, move.destination, *self.failed} and disk.is_usable
        )
        return Route(
            source=source,
            destination=destination,
            others=others,
            marks=self.marks,
            control=self.control,
            report=self.report,
            verify=self.operation.verify,
            min_age=self.operation.min_age,
            witness=self.witness,
        )

    def _open(self, name: str, stack: ExitStack, *, floor: int = 0) -> OpenDisk:
        if name in self.failed:
            raise DiskFailedError(name, f"left alone since an earlier failure ({self.failed[name]})")
        disk = self.disks[name]
        confirm(disk, root=Path(self.operation.root))
        try:
            reserve = max(self.operation.reserves.get(name, 0), floor)
            opened = OpenDisk(disk, reserve=reserve, ledger=self.ledger)
        except OSError as error:
            raise DiskFailedError(name, (error.strerror or "cannot be opened").lower()) from error
        stack.callback(opened.close)
        return opened


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
        control.cancel.request("its supervisor is gone")
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
        send(Worker(operation, control, send).work(only_begun=order.only_begun))
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


def _in_words(error: RebalancerError | OSError) -> str:
    return str(error) if isinstance(error, RebalancerError) else (error.strerror or str(error)).lower()


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
            control.cancel.request("its supervisor is gone")

    return send


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
