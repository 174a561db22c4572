"""Carries out one move after the other, each with its disks confirmed anew."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct, field

from rebalancer.array.discovery import confirm
from rebalancer.errors import RebalancerError
from rebalancer.inventory.unit import UnitKind
from rebalancer.planning.plan import Move
from rebalancer.transfer.control import Control
from rebalancer.transfer.failure import DiskFailedError, FileLeftError, UnitLeftError, explain
from rebalancer.transfer.marks import Marks
from rebalancer.transfer.messages import Message
from rebalancer.transfer.operation import Operation
from rebalancer.transfer.recover import has_own_name_above, is_begun, recover
from rebalancer.transfer.route import OpenDisk, Report, Route
from rebalancer.transfer.unit import UnitMover
from rebalancer.transfer.witness import Witness


class Knowledge(Struct):
    """What was learned of disks on the way, by name; whoever moves next must know it."""

    failed: dict[str, str] = field(default_factory=dict)  # disks on which nothing more is done, and why
    ledger: dict[str, int] = field(default_factory=dict)  # bytes put on each folder disk
    read_errors: dict[str, int] = field(default_factory=dict)

    def learn(self, other: "Knowledge") -> None:
        """Take over what another one knows."""
        self.failed |= other.failed
        self.ledger |= other.ledger
        for disk, count in other.read_errors.items():
            self.read_errors[disk] = max(count, self.read_errors.get(disk, 0))

    def of(self, move: Move) -> "Knowledge":
        """Return what is known of the disks of one move: nobody else has changed that meanwhile."""
        names = {move.source, move.destination}
        return Knowledge(
            failed={disk: reason for disk, reason in self.failed.items() if disk in names},
            ledger={disk: size for disk, size in self.ledger.items() if disk in names},
            read_errors={disk: count for disk, count in self.read_errors.items() if disk in names},
        )


class Mover:
    """Moves units of one operation; what it did is in its report. ``first_part`` keeps temporary names apart."""

    def __init__(
        self, operation: Operation, control: Control, send: Callable[[Message], None], *, first_part: int = 1
    ) -> None:
        self.operation = operation
        self.control = control
        self.marks = Marks(operation.operation_id, first=first_part)
        self.witness = Witness()
        self.disks = {disk.name: disk for disk in operation.disks}
        self.known = Knowledge()
        self.is_unfinished = False  # whether the next run must look again where the last move was
        self.report = report_of(operation, send)
        control.on_pause = self.report.paused

    def move(self, move: Move, *, only_begun: bool) -> None:
        """Carry out one move, or after a crash only what was begun. What stays, and why, is reported.

        Raises CancelledError when it was asked to stop. `is_unfinished` is the move's in any case.
        """
        self.is_unfinished = only_begun  # as long as nobody could look, it may still be half done
        self.report.read_errors = self.known.read_errors
        self.report.begin_unit()
        self.report.is_untidy = False
        with ExitStack() as stack:
            try:
                route = self._route(move, stack)
            except (RebalancerError, OSError) as error:
                self.report.left(move.source, move.raw_path, _in_words(error))
                return
            try:
                self._carry_out(move, route, only_begun=only_begun)
            finally:
                self.is_unfinished = self._must_be_looked_at(move, route)

    def _must_be_looked_at(self, move: Move, route: Route) -> bool:
        """Return whether the next run must look here; so it must where nobody can look now."""
        if {move.source, move.destination} & self.known.failed.keys():
            return True  # what we left on a disk that failed waits for its return
        try:
            with self.control.alone():
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
            elif move.kind is UnitKind.FOLDER or move.also:
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
            self.known.failed[error.disk] = error.reason
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
            if name not in {move.source, move.destination, *self.known.failed} and disk.is_usable
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
        if name in self.known.failed:
            raise DiskFailedError(name, f"left alone since an earlier failure ({self.known.failed[name]})")
        disk = self.disks[name]
        confirm(disk, root=Path(self.operation.root))
        try:
            reserve = max(self.operation.reserves.get(name, 0), floor)
            opened = OpenDisk(disk, reserve=reserve, ledger=self.known.ledger)
        except OSError as error:
            raise DiskFailedError(name, (error.strerror or "cannot be opened").lower()) from error
        stack.callback(opened.close)
        return opened


def report_of(operation: Operation, send: Callable[[Message], None]) -> Report:
    """Return a report of an operation of which nothing was done yet."""
    return Report(
        send,
        moves_total=len(operation.moves),
        files_total=sum(move.files for move in operation.moves),
        bytes_total=sum(move.size_bytes for move in operation.moves),
    )


def _in_words(error: RebalancerError | OSError) -> str:
    return str(error) if isinstance(error, RebalancerError) else (error.strerror or str(error)).lower()
