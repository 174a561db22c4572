"""A bench for the worker's parts: two open disks and a route between them, in this process or in a real worker."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

import rebalancer
from rebalancer import names, records
from rebalancer.array.discovery import find_disks
from rebalancer.array.disk import Disk
from rebalancer.array.medium import medium_of
from rebalancer.cancel import Cancel
from rebalancer.inventory.unit import Member, UnitKind
from rebalancer.planning.plan import Move
from rebalancer.planning.selection import Verification
from rebalancer.settings import Settings
from rebalancer.transfer.control import Control
from rebalancer.transfer.failure import DiskFailedError, UnitLeftError
from rebalancer.transfer.marks import Marks
from rebalancer.transfer.messages import Finished, Left, Message, Progress
from rebalancer.transfer.operation import Operation
from rebalancer.transfer.recover import is_begun, recover
from rebalancer.transfer.route import OpenDisk, Report, Route
from rebalancer.transfer.unit import UnitMover, raise_open_limit

OPERATION = "op"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGIO)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one unit: reasons by path, which of them are conflicts, why its rest waits."""

    left: dict[bytes, str]
    conflicts: set[bytes]
    files_moved: int
    bytes_moved: int
    failure: str


@dataclass(frozen=True, slots=True)
class Worked:
    """How a real worker ended and what it said."""

    exit_code: int
    messages: list[Message]
    stderr: str

    @property
    def finished(self) -> Finished:
        last = self.messages[-1]
        assert isinstance(last, Finished), self.stderr
        return last

    @property
    def left(self) -> dict[str, str]:
        return {message.path: message.reason for message in self.messages if isinstance(message, Left)}


@dataclass(eq=False)
class Bench:
    """Moves units between folders that are disks. What it is told to keep to is set on its fields."""

    folder: Path  # for operation files
    control: Control = field(default_factory=lambda: Control(Cancel()))
    others: tuple[Path, ...] = ()
    reserve: int = 0
    verify: Verification = Verification.FULL
    min_age: int = 0
    is_copying: threading.Event = field(default_factory=threading.Event)  # set once bytes of a file were copied

    # -- in this process ------------------------------------------------------------------------------------------

    def move(self, path: str | bytes, source: Path, destination: Path, *, also: Sequence[str] = ()) -> Outcome:
        """Move one unit as the worker does; a stop is raised as CancelledError."""
        messages: list[Message] = []
        unit, failure = _move(path, source, destination, also), ""
        with self._route(source, destination, messages) as route:
            try:
                UnitMover(route).move(unit)
            except (UnitLeftError, DiskFailedError) as error:
                route.left(unit.raw_path, error)
                failure = str(error)
            return _outcome(messages, route.report, failure)

    def recover(self, path: str, source: Path, destination: Path) -> Outcome:
        """Put back what a crash left; `is_begun` is answered in ``failure``-less outcomes by `begun`."""
        messages: list[Message] = []
        with self._route(source, destination, messages) as route:
            recover(_move(path, source, destination, ()), route)
            return _outcome(messages, route.report, "")

    def is_begun(self, path: str, source: Path, destination: Path) -> bool:
        with self._route(source, destination, []) as route:
            return is_begun(_move(path, source, destination, ()), route)

    @contextmanager
    def _route(self, source: Path, destination: Path, messages: list[Message]) -> Iterator[Route]:
        ledger: dict[str, int] = {}

        def send(message: Message) -> None:
            messages.append(message)
            if isinstance(message, Progress) and message.bytes_copied:
                self.is_copying.set()

        with ExitStack() as stack:
            disks = []
            for disk in disks_at(source, destination, *self.others):
                disks.append(OpenDisk(disk, reserve=self.reserve, ledger=ledger))
                stack.callback(disks[-1].close)
            yield Route(
                source=disks[0],
                destination=disks[1],
                others=tuple(disks[2:]),
                marks=Marks(OPERATION),
                control=self.control,
                report=Report(send),
                verify=self.verify,
                min_age=self.min_age,
            )

    @contextmanager
    def meanwhile(self, act: Callable[[], object]) -> Iterator[None]:
        """Do something in another thread once bytes are being copied; its failure is the test's failure."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                assert self.is_copying.wait(20), "nothing was copied within twenty seconds"
                act()
            except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
                failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            thread.join(30)
        assert not thread.is_alive(), "what was to happen meanwhile did not end"
        if failures:
            raise failures[0]

    # -- in a process of its own ----------------------------------------------------------------------------------

    def operation(self, paths: Sequence[str], source: Path, destination: Path, *, rate: int | None = None) -> Path:
        """Write the operation file that moves these units."""
        return self.operation_of([(path, source, destination) for path in paths], rate=rate)

    def operation_of(
        self, moves: Sequence[tuple[str, Path, Path]], *, at_once: int = 1, rate: int | None = None
    ) -> Path:
        """Write the operation file that moves these units, each from one disk to another."""
        file = self.folder / "operation.json"
        disks = disks_at(*dict.fromkeys(disk for _, *pair in moves for disk in pair), *self.others)
        records.write(
            file,
            Operation(
                operation_id=OPERATION,
                disks=disks,
                moves=tuple(_move(path, source, destination, ()) for path, source, destination in moves),
                reserves={disk.name: self.reserve for disk in disks},
                verify=self.verify,
                bandwidth_limit=rate,
                at_once=at_once,
                media={disk.name: medium_of(disk) for disk in disks},
            ),
        )
        return file

    def start(self, operation: Path, *flags: str, under: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start the real worker, if wanted under another program such as strace."""
        paths = [str(Path(rebalancer.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
        return subprocess.Popen(
            [*under, sys.executable, "-m", "rebalancer.transfer.worker", *flags, str(operation)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
            cwd="/",
        )

    def work(self, operation: Path, *flags: str, under: Sequence[str] = ()) -> Worked:
        """Run the real worker to its end."""
        with self.start(operation, *flags, under=under) as process:
            return ended(process)


def ended(process: subprocess.Popen[bytes]) -> Worked:
    """Wait for a worker's end; its output is returned as messages."""
    output, errors = process.communicate(timeout=60)
    messages = [msgspec.json.decode(line, type=Message) for line in output.splitlines()]
    stderr = errors.decode(errors="replace")
    assert "Traceback" not in stderr, stderr
    return Worked(exit_code=process.returncode, messages=messages, stderr=stderr)


@contextmanager
def made_bench(folder: Path) -> Iterator[Bench]:
    """Give a bench; signals are answered as in the worker, and as before afterwards."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    mask = os.umask(0)  # as the worker does
    bench = Bench(folder)
    bench.control.listen()
    raise_open_limit()
    try:
        yield bench
    finally:
        os.umask(mask)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def another_process(code: str, *arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python code in a process of its own from its first line of output until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-u", "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), "the other process did not get ready"
        yield process
    finally:
        process.kill()
        process.communicate()


def disks_at(*paths: Path) -> tuple[Disk, ...]:
    return find_disks(root=Path("/"), settings=Settings(), named=[str(path) for path in paths])


def own_names(*roots: Path) -> list[str]:
    """Return every name below these roots that the worker gives to its own files."""
    return [str(path) for root in roots for path in root.rglob(".rebalancer-*")]


def wait_until(holds: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)


def _move(path: str | bytes, source: Path, destination: Path, also: Sequence[str]) -> Move:
    text, exact = names.encode(os.fsencode(path))
    return Move(
        share=text.split("/", 1)[0],
        path=text,
        path_base64=exact,
        size_bytes=0,
        files=0,
        source=source.name,
        destination=destination.name,
        kind=UnitKind.LINKS if also else UnitKind.FOLDER,
        also=tuple(Member(path=member) for member in also),
    )


def _outcome(messages: list[Message], report: Report, failure: str) -> Outcome:
    left = [message for message in messages if isinstance(message, Left)]
    return Outcome(
        left={names.decode(message.path, message.path_base64): message.reason for message in left},
        conflicts={names.decode(message.path, message.path_base64) for message in left if message.is_conflict},
        files_moved=report.files_moved,
        bytes_moved=report.bytes_moved,
        failure=failure,
    )
