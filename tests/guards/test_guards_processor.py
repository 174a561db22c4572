import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebalancer.guards import kernel
from rebalancer.guards.guard import Moment
from rebalancer.guards.processor import ProcessorGuard

BURN = "import sys; sys.stdin.readline()\nwhile True: pass"


class Machine:
    """A machine of four processors, 400 ticks a second, of which a guard sees /proc/stat."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.at = 100.0
        self.busy, self.total = 1000, 1_000_000
        (root / "proc").mkdir()
        self.write()

    def write(self) -> None:
        idle = self.total - self.busy
        user, system, irq, softirq = self.busy - 30, 10, 10, 10
        text = f"cpu  {user} 0 {system} {idle - 500} 300 {irq} {softirq} 200 {user} 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
        (self.root / "proc/stat").write_text(text)

    def work(self, seconds: float, percent: float) -> None:
        self.at += seconds
        self.total += round(400 * seconds)
        self.busy += round(4 * seconds * percent)
        self.write()

    def moment(self, *own: int) -> Moment:
        return Moment(at=self.at, root=self.root, disks=(), own=frozenset(own))

    def guard(self, most: float | None, *, first: float) -> ProcessorGuard:
        """Return a guard that sees that much work between the readings of its first look."""

        def rest(seconds: float) -> None:
            self.work(seconds, first)

        return ProcessorGuard(most, rest=rest)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def burner() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-S", "-c", BURN], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_the_first_look_says_what_others_use(machine: Machine) -> None:
    hold = machine.guard(50, first=80).look(machine.moment())

    assert hold is not None
    assert hold.guard == "processor"
    assert hold.reason == "others use 80 % of the processors (at most 50 %), taken over 0.5 s"
    assert machine.guard(50, first=40).look(machine.moment()) is None


def test_waiting_for_disks_and_what_the_host_takes_is_no_use(machine: Machine) -> None:
    def rest(_: float) -> None:
        (machine.root / "proc/stat").write_text("cpu  970 0 10 998500 100300 10 10 100200 970 0\n")

    (machine.root / "proc/stat").write_text("cpu  970 0 10 998500 300 10 10 200 970 0\n")

    assert ProcessorGuard(1, rest=rest).look(machine.moment()) is None


def test_one_spike_does_not_hold_and_lasting_work_does(machine: Machine) -> None:
    guard = machine.guard(50, first=5)
    for _ in range(10):
        assert guard.look(machine.moment()) is None
        machine.work(2, 5)

    machine.work(2, 100)
    assert guard.look(machine.moment()) is None
    for _ in range(7):
        machine.work(2, 100)
        hold = guard.look(machine.moment())

    assert hold is not None


def test_one_pause_does_not_let_go_and_lasting_rest_does(machine: Machine) -> None:
    guard = machine.guard(50, first=90)
    for _ in range(10):
        held = guard.look(machine.moment())
        machine.work(2, 90)
    assert held is not None

    machine.work(2, 0)
    assert guard.look(machine.moment()) == held
    for _ in range(7):
        machine.work(2, 0)
        last = guard.look(machine.moment())

    assert last is None


def test_work_just_below_the_limit_does_not_let_go(machine: Machine) -> None:
    guard = machine.guard(50, first=80)
    held = guard.look(machine.moment())
    for _ in range(10):
        machine.work(2, 48)
        assert guard.look(machine.moment()) == held


def test_what_our_own_processes_use_is_not_that_of_others(machine: Machine, burner: subprocess.Popen[bytes]) -> None:
    def rest(_: float) -> None:
        """Let the process burn 0.3 s, and the machine have been as busy as that and nothing else."""
        before = kernel.ticks_of([burner.pid])[burner.pid]
        burner.stdin.write(b"\n")  # type: ignore[union-attr]
        burner.stdin.flush()  # type: ignore[union-attr]
        while kernel.ticks_of([burner.pid])[burner.pid] < before + 30:
            time.sleep(0.01)
        burner.send_signal(19)  # SIGSTOP: it burns no more
        machine.busy += kernel.ticks_of([burner.pid])[burner.pid] - before
        machine.total += 60
        machine.write()

    seen, unseen = machine.moment(), machine.moment(burner.pid)
    guard = ProcessorGuard(10, rest=rest)

    assert guard.look(unseen) is None
    machine.work(2, 0)
    assert ProcessorGuard(10, rest=lambda _: machine.work(0.5, 40)).look(seen) is not None


@pytest.mark.parametrize("text", ["", "cpu 1 2 3\n", "cpu  a b c d e f g h\n", "intr 1 2 3 4 5 6 7 8\n"])
def test_what_cannot_be_read_holds(machine: Machine, text: str) -> None:
    (machine.root / "proc/stat").write_text(text)

    hold = machine.guard(99, first=0).look(machine.moment())

    assert hold is not None
    assert "cannot be told" in hold.reason


def test_what_nobody_asked_for_is_not_looked_at(machine: Machine) -> None:
    (machine.root / "proc/stat").write_text("")

    assert machine.guard(None, first=100).look(machine.moment()) is None


def test_a_busy_machine_is_seen_as_such(tmp_path: Path, burner: subprocess.Popen[bytes]) -> None:
    burner.stdin.write(b"\n")  # type: ignore[union-attr]
    burner.stdin.flush()  # type: ignore[union-attr]

    assert ProcessorGuard(0.1).look(Moment(at=1.0, root=tmp_path, disks=())) is not None
