"""A small engine that stands in for the real one, and a way to run a command line against it."""

import dataclasses
import fcntl
import logging
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NoReturn, cast

import pytest

from rebalancer.array.disk import Disk, DiskStatus
from rebalancer.cancel import Cancel
from rebalancer.cli import answer
from rebalancer.cli.session import Session
from rebalancer.engine import Engine
from rebalancer.executions.execution import DiskFill, ExecutionStatus, LeftFile, ScheduleExecution
from rebalancer.guards.options import GuardOptions
from rebalancer.inventory.unit import Inventory, LeftAlone, Unit
from rebalancer.planning.plan import LeftBehind, Move, Plan, PlannedDisk
from rebalancer.planning.selection import Selection
from rebalancer.transfer.messages import Finished, Left, Message, Progress

TB = 10**12
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ESCAPES = "red \x1b[31m\nsecond line \udcff"  # what a hostile or broken name can hold

DISKS = (
    Disk(name="disk1", path="/mnt/disk1", size_bytes=4 * TB, used_bytes=3 * TB, free_bytes=TB, filesystem="xfs"),
    Disk(name="disk2", path="/mnt/disk2", size_bytes=2 * TB, used_bytes=TB // 10, free_bytes=19 * TB // 10, filesystem="xfs"),
    Disk(
        name="disk3", path="/mnt/disk3", size_bytes=0, used_bytes=0,
        status=DiskStatus.NOT_MOUNTED, reason="nothing is mounted at /mnt/disk3",
    ),
)  # fmt: skip
INVENTORY = Inventory(
    disks=DISKS[:2],
    units=(
        Unit(disk="disk1", share="movies", path=f"movies/{ESCAPES[:6]}\x1b[31m", size_bytes=TB, files=3),
        Unit(disk="disk1", share="movies", path="movies/open", size_bytes=5, files=1, left_alone="in use by qemu"),
    ),
    left_alone=(LeftAlone(disk="disk2", path="movies/pipe", reason="special file"),),
)
MOVES = tuple(
    Move(
        share="movies",
        path=f"movies/film {n} \x1b[31m",
        size_bytes=40 * 10**9,
        files=3,
        source="disk1",
        destination="disk2",
    )
    for n in range(25)
)
PLAN = Plan(
    strategy="even",
    disks=(
        PlannedDisk(name="disk1", path="/mnt/disk1", size_bytes=4 * TB, used_bytes=3 * TB, planned_used_bytes=2 * TB, reserve_bytes=0),
        PlannedDisk(name="disk2", path="/mnt/disk2", size_bytes=2 * TB, used_bytes=TB // 10, planned_used_bytes=11 * TB // 10, reserve_bytes=0),
    ),
    moves=MOVES,
    bytes_to_move=TB,
    lower_bound_bytes=TB * 99 // 100,
    spread_before=70.0,
    spread_after=5.0,
    left_behind=tuple(LeftBehind(disk="disk1", path=f"x/{n}", reason="in use") for n in range(12)),
)  # fmt: skip
EXECUTION = ScheduleExecution(
    execution_id="20261123T080000Z-manual-abc",
    schedule_id="manual",
    start_time=1_800_000_000.0,
    end_time=1_800_000_100.0,
    status=ExecutionStatus.COMPLETED,
    exit_code=0,
    files_moved=75,
    bytes_moved=TB,
    duration_seconds=100.0,
    moves_planned=25,
    moves_done=25,
    disks_before=(DiskFill("disk1", "/mnt/disk1", 4 * TB, 3 * TB), DiskFill("disk2", "/mnt/disk2", 2 * TB, TB // 10)),
    disks_after=(DiskFill("disk1", "/mnt/disk1", 4 * TB, 2 * TB), DiskFill("disk2", "/mnt/disk2", 2 * TB, 11 * TB // 10)),
)  # fmt: skip
HALF_WAY = Progress(
    moves_done=12, moves_total=25, files_moved=36, files_total=75, bytes_moved=TB // 2, bytes_copied=TB // 2,
    bytes_total=TB, source="disk1", destination="disk2", path="movies/film 13 \x1b[31m", phase="copying",
)  # fmt: skip


@dataclass
class FakeEngine:
    """Answers with prepared values, notes what it was asked, and does what it is told to do meanwhile."""

    found_disks: Sequence[Disk] = DISKS
    inventory: Inventory = INVENTORY
    made_plan: Plan = PLAN
    execution: ScheduleExecution = EXECUTION
    messages: Sequence[Message] = (HALF_WAY, Left(disk="disk1", path="movies/a", reason="in use"))
    while_reading: Callable[[], None] = lambda: None
    while_moving: Callable[[], None] = lambda: None
    selections: list[Selection] = field(default_factory=list)
    carried_out: list[Plan] = field(default_factory=list)
    clock: Callable[[], float] = time.time
    timezone: str = "Europe/Berlin"
    schedules: Any = None  # what a test of schedules or executions asks, it puts there itself
    cron: Any = None
    control: Any = None
    index: Any = None
    fired: list[tuple[str, str, str | None]] = field(default_factory=list)
    has_fired_already: bool = False
    guards: list[GuardOptions] = field(default_factory=list)
    held: Exception | None = None  # what a guard says at once
    root: Path = Path("/")
    folders: Any = None
    #: the real ones, over what the test put here
    tell_cron: ClassVar = Engine.tell_cron
    objections: ClassVar = Engine.objections
    health: ClassVar = Engine.health

    def disks(self) -> Sequence[Disk]:
        self.while_reading()
        return self.found_disks

    def scan(self, selection: Selection, *, cancel: Cancel, on_progress: Callable[[str, int, int], None]) -> Inventory:
        self.selections.append(selection)
        on_progress("disk1", 3, TB)
        self.while_reading()
        cancel.check()
        return self.inventory

    def plan(self, _inventory: Inventory, selection: Selection, **_options: object) -> Plan:
        self.selections.append(selection)
        return self.made_plan

    def finish_begun(self, *_arguments: object, **_options: object) -> None:
        """Nothing was begun earlier."""

    def demand_nothing_holds(self, _guards: GuardOptions) -> None:
        """Nothing does, unless the test says so."""
        if self.held is not None:
            raise self.held

    def run(
        self,
        plan: Plan,
        selection: Selection,
        *,
        cancel: Cancel,
        on_message: Callable[[Message], None],
        guards: GuardOptions,
    ) -> ScheduleExecution:
        self.selections.append(selection)
        self.guards.append(guards)
        self.carried_out.append(plan)
        for message in self.messages:
            on_message(message)
        self.while_moving()
        on_message(Finished(files_moved=75, bytes_moved=TB, files_left=0, moves_done=25, moves_total=25))
        if cancel.is_requested:
            return dataclasses.replace(self.execution, status=ExecutionStatus.CANCELLED, exit_code=130)
        return self.execution

    def fire(
        self,
        schedule_id: str,
        *,
        fired_by: str,
        slot: str | None,
        cancel: Cancel,
        on_message: Callable[[Message], None],
    ) -> ScheduleExecution | None:
        schedule = self.schedules.get(schedule_id)
        self.fired.append((schedule_id, fired_by, slot))
        if self.has_fired_already:
            return None
        execution = self.run(
            self.made_plan, schedule.selection, cancel=cancel, on_message=on_message, guards=schedule.guards
        )
        return dataclasses.replace(execution, schedule_id=schedule_id)


@dataclass(frozen=True)
class Answer:
    exit_code: int
    out: str
    err: str
    session: Session


Ask = Callable[..., Answer]


def session_of(engine: FakeEngine) -> Session:
    return Session(open_engine=lambda _session: cast("Any", engine), clock=engine.clock)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def ask(engine: FakeEngine, capfd: pytest.CaptureFixture[str]) -> Ask:
    """Run a command line against the fake engine and return its exit code and what it printed."""

    def run(*arguments: str) -> Answer:
        session = session_of(engine)
        with _own_signals():
            exit_code = answer(arguments, session)
        _close_logs()
        printed = capfd.readouterr()
        return Answer(exit_code, printed.out, printed.err, session)

    return run


@contextmanager
def _own_signals() -> Iterator[None]:
    """Answer signals as before afterwards: whoever was asked to stop is deaf to more until its process ends."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _close_logs() -> None:
    """Close what --log-file opened: a process runs one command line, the tests run many."""
    logger = logging.getLogger("rebalancer")
    for handler in [handler for handler in logger.handlers if isinstance(handler, logging.FileHandler)]:
        logger.removeHandler(handler)
        handler.close()


@pytest.fixture
def left_execution() -> ScheduleExecution:
    """Return an execution that left three files, named in a way that would hurt a terminal."""
    left = tuple(LeftFile("disk1", f"movies/{n} \x1b]0;owned\x07", "in use") for n in range(3))
    return dataclasses.replace(EXECUTION, exit_code=1, files_left=3, left=left, cause="left")


@dataclass(frozen=True)
class Terminal:
    """What a terminal received from a command line, and what a person would see of it without colours."""

    exit_code: int
    raw: str

    @property
    def lines(self) -> list[str]:
        return [_CONTROL.sub("", line).rstrip() for line in self.raw.replace("\r", "\n").split("\n")]


@pytest.fixture
def on_terminal(engine: FakeEngine) -> Callable[..., Terminal]:
    """Run a command line against the fake engine in a child process whose three streams are a terminal."""

    def run(*arguments: str, columns: int = 80, typed: str = "", **environment: str) -> Terminal:
        child, master = pty.fork()
        if child == 0:
            _be_the_child(arguments, session_of(engine), columns, environment)
        if typed:
            os.write(master, typed.encode())
        received = b"".join(_read_all(master))
        os.close(master)
        _pid, status = os.waitpid(child, 0)
        return Terminal(os.waitstatus_to_exitcode(status), received.decode())

    return run


def _be_the_child(arguments: Sequence[str], session: Session, columns: int, environment: dict[str, str]) -> NoReturn:
    code = 99
    try:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.environ.update({"TERM": "xterm-256color", **environment})
        os.environ.pop("COLUMNS", None)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", encoding="utf-8"), open(2, "w", encoding="utf-8")  # noqa: SIM115 - for the life of the child
        code = answer(arguments, session)
        sys.stdout.flush()
    finally:
        os._exit(code)


def _read_all(master: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # the child closed its side
            return
        if not chunk:
            return
        yield chunk
