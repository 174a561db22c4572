"""Real runs on real disks of a small Unraid server: what holds them, what pauses them, and what they say of it.

Numbers are those of the checklist in section 13 of the fact sheet.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import lab
from acceptance.sample_lab import marks, write_folders
from guards.host_lab import CHECKING, Host, program
from lab import MakeDisk, RunProgram, StartProgram
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.monitor import ScheduleMonitor
from rebalancer.state import StateFolders

RATE = 2_000_000  # bytes per second
FILMS, SIZE = 12, 2 * 2**20

pytestmark = [
    pytest.mark.needs_loop_disks("ext4"),
    pytest.mark.xdist_group("programs that guards ask for"),  # which hold every run on such a server meanwhile
]


class Server:
    """A server with three disks, one of them full, and a schedule that balances them slowly."""

    def __init__(self, host: Host, disks: list[Path], state: Path, run: RunProgram, start: StartProgram) -> None:
        self.host = host
        self.disks = disks
        self.before = lab.snapshot_array(disks)
        self._run, self._start = run, start
        folders = StateFolders(config=state / "config", runtime_root=state / "runtime")
        self.monitor = ScheduleMonitor.of(folders, clock=time.time)

    def run(self, *arguments: str, exit_code: int = 0) -> lab.Ran:
        return self._run("--root", self.host.root, *arguments, exit_code=exit_code)

    def create(self, *options: str) -> None:
        self.run("schedule", "create", "nightly", "--at", "04:15", "--bandwidth-limit", f"{RATE}", *options)

    def fire(self) -> lab.Running:
        slot = datetime.now(UTC).replace(second=0, microsecond=0).isoformat()
        return self._start(
            "--root", self.host.root, "schedule", "run", "nightly", "--fired-by", "clock", "--slot", slot
        )

    def standing(self) -> tuple[str, str]:
        """Return the status of the active execution and what last happened to it."""
        running = self.monitor.get_running_executions()
        last = running[0].timeline[-1] if running and running[0].timeline else None
        return ("", "") if last is None else (running[0].status.value, f"{last.what}: {last.why}")

    def wait_for(self, what: Callable[[], Any], *, seconds: float = 90) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, f"it did not happen in time: {self.standing()}"
            time.sleep(0.1)
        return found

    def wait_until(self, status: str, words: str) -> None:
        self.wait_for(lambda: self.standing()[0] == status and words in self.standing()[1])

    def copied(self) -> int:
        """Return how many bytes lie on the disks that receive, half copies included; only while nothing works there."""
        return sum(path.stat().st_size for disk in self.disks[1:] for path in disk.rglob("*.*") if path.is_file())

    def parts(self) -> int:
        """Return how many copies are being written now."""
        names = (name for disk in self.disks[1:] for _, _, files in os.walk(disk) for name in files)
        return sum(name.endswith(".part") for name in names)

    def last(self) -> ScheduleExecution:
        return self.monitor.get_execution_history("nightly", 1)[0]

    def assert_nothing_lost(self) -> None:
        assert lab.difference(self.before, lab.snapshot_array(self.disks), ignore_folder_times=True) == []
        assert marks(self.disks) == []


@pytest.fixture
def server(
    tmp_path: Path, make_disk: MakeDisk, state: Path, run_program: RunProgram, start_program: StartProgram
) -> Server:
    disks = [make_disk("ext4", 64, f"disk{number}") for number in (1, 2, 3)]
    write_folders(disks[0], FILMS, size=SIZE, files=1)
    host = Host(tmp_path)
    host.disks(disk2={"temp": "33", "spundown": "0", "color": "green-on"})
    return Server(host, disks, state, run_program, start_program)


def test_a_night_with_a_parity_check_the_mover_and_a_hot_disk(server: Server, tmp_path: Path) -> None:
    """Points 15, 16, 17 and 19."""
    server.create()
    server.host.mdstat(**CHECKING)
    firing = server.fire()
    server.wait_until("pending", "held: a parity check runs, 37.5 % done")
    seen_held = server.run("execution", "list").stdout, server.run("schedule", "health").stdout
    untouched = server.copied()
    server.host.mdstat(mdResyncPos="375000")
    server.wait_until("pending", "still held: a parity check is paused")
    server.host.mdstat()
    parts = [server.wait_for(server.parts)]

    with program(tmp_path / "bin", "mover", "start") as mover:
        server.wait_until("running", f"paused: the mover runs (pid {mover.pid})")
        time.sleep(1.0)  # for the chunk it was in
        while_paused = server.copied()
        server.host.disks(disk1={"temp": "47"})
        server.wait_until("running", "still paused: the mover runs")
        seen_paused = server.run("execution", "list").stdout, server.run("schedule", "health").stdout
        after_a_while = server.copied()
    server.wait_until("running", "still paused: disk1 is at 47 °C, its limit is 45 °C; work goes on at 42 °C")
    server.host.disks(disk1={"temp": "44"})
    time.sleep(2.5)
    still = server.standing()
    server.host.disks(disk1={"temp": "42"})
    while firing.poll() is None:
        parts.append(server.parts())

    execution = server.last()
    story = server.run("execution", "explain", execution.execution_id).stdout
    assert firing.returncode == execution.exit_code == 0
    assert untouched == 0
    assert "held: a parity check runs, 37.5 % done at 154 MB/s" in seen_held[0]
    assert "nightly: its execution is held: a parity check runs" in seen_held[1]
    assert f"paused: the mover runs (pid {mover.pid}); disk1 is at 47 °C" in " ".join(seen_paused[0].split())
    assert "nightly: its execution is paused: the mover runs" in seen_paused[1]
    assert while_paused == after_a_while
    assert still[1].startswith("still paused: disk1 is at 47 °C")  # 44 °C is below the limit, and not cool yet
    assert max(parts) == 1  # one stream
    assert [event.what for event in execution.timeline] == [
        "due", "held", "still held", "started", "moving", "paused", "still paused", "still paused", "went on", "ended",
    ]  # fmt: skip
    assert execution.held_seconds > 6
    assert execution.duration_seconds > 0.8 * execution.bytes_moved / RATE
    assert (
        execution.duration_seconds + execution.held_seconds <= execution.timeline[-1].at - execution.timeline[0].at + 1
    )
    assert "waited " in story
    assert "was paused once, for " in story
    assert execution.moves_done == execution.moves_planned > 0
    server.assert_nothing_lost()


def test_by_hand_every_reason_is_an_answer_at_once_and_each_can_be_ignored(server: Server) -> None:
    """Points 16 and 19."""
    server.host.mdstat(mdResyncPos="375000")
    server.host.disks(disk1={"temp": "47"}, disk2={"temp": "33"})

    held = server.run("run", "--yes", exit_code=75)
    one_left = server.run("run", "--yes", "--ignore-guard", "parity", exit_code=75)
    ran = server.run("run", "--yes", "--ignore-guard", "parity", "--max-temperature", "50")

    assert "a parity check is paused, 37.5 % done; disk1 is at 47 °C, its limit is 45 °C" in held.stderr
    assert "to go on all the same: --ignore-guard parity --ignore-guard temperature" in held.stderr
    assert "parity check" not in one_left.stderr
    assert "completed" in ran.stdout
    assert server.run("execution", "history", "--json").document[0]["files_moved"] > 0
    server.assert_nothing_lost()


@pytest.mark.parametrize(
    "changes", [{"startMode": "Maintenance"}, {"mdState": "STOPPED", "fsState": "Stopped"}, {"fsState": ""}]
)
def test_an_array_that_is_not_started_normally_keeps_a_schedule_waiting_and_the_record_says_so(
    server: Server, changes: dict[str, str]
) -> None:
    """Point 3."""
    server.create("--max-wait", "1s")
    server.host.var(**changes)

    firing = server.fire()
    firing.communicate(timeout=120)

    key, value = next(iter(changes.items()))
    execution = server.last()
    assert (firing.returncode, execution.exit_code, execution.cause) == (75, 75, "held")
    assert execution.error_message == (
        f"it waited in vain: the array is not started normally: {key} is {value or 'unknown'}"
    )
    assert f"nightly: its last firing did not run: {execution.error_message}" in server.run("schedule", "health").stdout
    assert server.copied() == 0


def test_new_errors_of_a_disk_end_the_run_as_failed(server: Server) -> None:
    """Point 21."""
    server.create("--retries", "2", "--retry-delay", "1s")
    server.host.disks(disk2={"temp": "33", "numErrors": "5"})
    firing = server.fire()
    server.wait_for(server.parts)

    server.host.disks(disk2={"temp": "33", "numErrors": "6"})
    firing.communicate(timeout=120)

    history = server.monitor.get_execution_history("nightly", 9)
    assert [one.fired_by for one in history] == ["clock"]  # nobody tries again before a person has looked
    assert (firing.returncode, history[0].status.value, history[0].exit_code) == (4, "failed", 4)
    assert history[0].error_message == "disk2 has had 1 new error since this run began: look at it first"
    assert history[0].moves_done < history[0].moves_planned
    server.assert_nothing_lost()


def test_a_disk_that_turns_red_pauses_the_run_until_it_is_well(server: Server) -> None:
    """Point 21: also a disk that takes no part in the moves."""
    server.create()
    firing = server.fire()
    server.wait_for(server.parts)

    server.host.disks(disk2={"temp": "33"}, parity={"status": "DISK_DSBL", "color": "red-on"})
    server.wait_until("running", "paused: parity is not well: Unraid says DISK_DSBL and shows red-on")
    server.host.disks(disk2={"temp": "33"})
    firing.communicate(timeout=120)

    assert firing.returncode == 0
    assert server.last().held_seconds > 1
    server.assert_nothing_lost()


def test_a_schedule_shows_and_forgets_its_guards(server: Server) -> None:
    server.create("--max-temperature", "42", "--ignore-guard", "mover", "--ignore-guard", "backups", "--max-cpu", "50")
    shown = server.run("schedule", "show", "nightly").stdout
    server.run("schedule", "edit", "nightly", "--cool-down", "5", "--reset", "ignore-guard", "--reset", "max-cpu")
    document = server.run("schedule", "show", "nightly", "--json").document

    assert [line.split() for line in shown.splitlines() if line.startswith(("max-t", "ignore", "max-c"))] == [
        ["ignore-guard", "mover,", "backups"],
        ["max-temperature", "42", "°C"],
        ["max-cpu", "50", "%"],
    ]
    guards = {name: value for name, value in document["guards"].items() if value is not None}
    assert guards == {"ignored": [], "max_temperature": 42, "cool_down": 5}
    assert "there are array-state" in server.run("run", "--ignore-guard", "mice", exit_code=2).stderr
    assert "20 °C to 90 °C" in server.run("schedule", "edit", "nightly", "--max-temperature", "4", exit_code=2).stderr
