"""Runs of the real journal, planner and worker in forks of this warm process, so that thousands of them can be killed."""

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from rebalancer import names
from rebalancer.array.discovery import find_disks
from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.errors import CancelledError, NotNowError
from rebalancer.executions.journal import Journal
from rebalancer.executions.locks import lock_disks
from rebalancer.inventory.scan import scan
from rebalancer.inventory.unit import UnitKind
from rebalancer.planning.capacity import reserve_of
from rebalancer.planning.plan import Move
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection
from rebalancer.settings import Settings
from rebalancer.state import StateFolders
from rebalancer.transfer.control import Control
from rebalancer.transfer.messages import Left, Message
from rebalancer.transfer.operation import Operation
from rebalancer.transfer.unit import raise_open_limit
from rebalancer.transfer.worker import Worker

DONE, REST, STOPPED = 0, 3, 4  # how a run ended: nothing is unfinished, something is, it was asked to stop


@dataclass(frozen=True)
class Run:
    """One run: what is to be moved, or None for what the planner thinks best, and when the run kills itself."""

    folders: StateFolders
    disks: tuple[Path, ...]
    operation_id: str
    selection: Selection
    moves: tuple[tuple[str, int, int], ...] | None = None  # unit, number of the source, number of the destination
    killed_at: int = 0  # the message at which it kills itself; 0: never


def fork(run: Run) -> int:
    """Start a run and return its process number."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        os._exit(_child(run))
    except BaseException:  # noqa: BLE001 - nothing of the parent may go on in here
        traceback.print_exc()
        os._exit(99)


def end(pid: int, *, send: signal.Signals | None = None, after: float = 0.0) -> int:
    """Wait for a run, sending it a signal after a while; returns the exit code, negative for a signal."""
    deadline = time.monotonic() + after
    handle = os.pidfd_open(pid)
    try:
        while send is not None and time.monotonic() < deadline:
            time.sleep(0.001)
        if send is not None:
            signal.pidfd_send_signal(handle, send)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ProcessLookupError:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(handle)


def is_free(run: Run) -> bool:
    """Return whether nobody works on the disks."""
    disks = find_disks(root=Path("/"), settings=Settings(), named=[str(path) for path in run.disks])
    with ExitStack() as stack:
        try:
            lock_disks(disks, run.folders.locks, holder="soak", stack=stack)
        except NotNowError:
            return False
    return True


def _child(run: Run) -> int:
    os.umask(0)
    control = Control(Cancel())
    control.listen()
    raise_open_limit()
    said = 0

    def send(message: Message) -> None:
        nonlocal said
        said += 1
        if isinstance(message, Left):  # shown when the campaign fails
            sys.stderr.write(
                f"{time.monotonic():.4f} {os.getpid()} left {message.disk}/{message.path}: {message.reason}\n"
            )
        if said == run.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        return _work(run, control, send)
    except CancelledError:
        return STOPPED


def _work(run: Run, control: Control, send: Callable[[Message], None]) -> int:
    """Do what the supervisor does: finish what was begun, then plan and carry out, each settled in the journal."""
    journal = Journal(run.folders.operations)
    with ExitStack() as stack:
        disks = find_disks(root=Path("/"), settings=Settings(), named=[str(path) for path in run.disks])
        lock_disks(disks, run.folders.locks, holder="soak", stack=stack)
        for earlier in list(journal.unfinished(disks)):
            _carry_out(earlier, journal, control, send, only_begun=True)
            control.cancel.check()
        operation = _without_begun(_operation(run, disks, control.cancel), journal)
        control.cancel.check()
        if operation.moves:
            _carry_out(operation, journal, control, send, only_begun=False)
    return REST if list(journal.folder.glob("[!.]*")) else DONE


def _carry_out(
    operation: Operation, journal: Journal, control: Control, send: Callable[[Message], None], *, only_begun: bool
) -> None:
    journal.begin(operation)
    finished = Worker(operation, control, send).work(only_begun=only_begun)
    journal.settle(operation, finished.unfinished)


def _operation(run: Run, disks: tuple[Disk, ...], cancel: Cancel) -> Operation:
    if run.moves is None:
        found = scan(disks, depth=1, now=time.time(), cancel=cancel, on_progress=lambda *_: None)
        moves = make_plan(found, run.selection).moves
    else:
        moves = tuple(_move(unit, disks[source], disks[destination]) for unit, source, destination in run.moves)
    return Operation(
        operation_id=run.operation_id,
        disks=disks,
        moves=moves,
        reserves={disk.name: reserve_of(disk, run.selection) for disk in disks},
    )


def _without_begun(operation: Operation, journal: Journal) -> Operation:
    begun = {(move.source, move.raw_path) for earlier in journal.unfinished(operation.disks) for move in earlier.moves}
    moves = tuple(move for move in operation.moves if (move.source, move.raw_path) not in begun)
    return structs.replace(operation, moves=moves)


def _move(path: str, source: Disk, destination: Disk) -> Move:
    text, exact = names.encode(os.fsencode(path))
    return Move(
        share="s", path=text, path_base64=exact, size_bytes=0, files=0, source=source.name,
        destination=destination.name, kind=UnitKind.FOLDER,
    )  # fmt: skip


def random_moves(chance: random.Random, units: Sequence[Sequence[str]]) -> tuple[tuple[str, int, int], ...]:
    """Choose units and where they go, from what each disk has."""
    others = {source: [n for n in range(len(units)) if n != source] for source in range(len(units))}
    found = [(unit, source) for source, names_there in enumerate(units) for unit in names_there]
    moves = [(unit, source, chance.choice(others[source])) for unit, source in found]
    moves = chance.sample(moves, min(len(moves), chance.choice((1, 1, 1, 2, 3))))
    chosen: dict[str, tuple[str, int, int]] = {move[0]: move for move in moves}  # a unit on two disks: one way only
    return tuple(chosen.values())
