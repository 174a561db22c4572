"""The built-in clock with real processes: what it starts is a small real program that writes down how it was called."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rebalancer.cancel import Cancel
from rebalancer.errors import NotNowError
from rebalancer.executions.claims import claim, newest_slot
from rebalancer.executions.clock import Clock, is_clock_running
from rebalancer.executions.store import ExecutionStore
from rebalancer.schedules.command import ScheduleCommand
from rebalancer.schedules.schedule import Missed, Schedule
from rebalancer.schedules.slots import slot_at
from rebalancer.state import StateFolders

DAY, HOUR, MINUTE = 86400.0, 3600.0, 60.0
MIDNIGHT = 1_795_392_000.0  # 2026-11-23, UTC
PROGRAM = """\
import os, sys, time
line = f"{os.getpid()} {os.getsid(0)} {os.getcwd()} {' '.join(sys.argv[1:])}\\n"
with open(os.path.join(os.path.dirname(__file__), "started"), "a") as file:
    file.write(line)
if os.path.exists(os.path.join(os.path.dirname(__file__), "slow")):
    time.sleep(600)
"""


@dataclass
class Lab:
    """A clock whose wall time the test sets, and what it started."""

    folder: Path
    now: float = MIDNIGHT
    schedules: list[Schedule] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def folders(self) -> StateFolders:
        return StateFolders(config=self.folder / "config", runtime_root=self.folder / "runtime")

    def clock(self) -> Clock:
        store = ExecutionStore(self.folders.executions)
        return Clock(
            folders=self.folders,
            schedules=lambda: self.schedules,
            command=ScheduleCommand(self.folder / "program.py", self.folders.config),
            store=store,
            newest_slot=lambda _schedule_id: newest_slot(store.all()),
            machine_timezone=lambda: "UTC",
            on_problem=self.problems.append,
            now=lambda: self.now,
        )

    def started(self) -> list[list[str]]:
        path = self.folder / "started"
        return [line.split(" ", 3) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, count: int) -> list[list[str]]:
        wait_until(lambda: len(self.started()) >= count)
        return self.started()


def wait_until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    (tmp_path / "program.py").write_text(PROGRAM)
    made = Lab(tmp_path, schedules=[nightly()])
    yield made
    for pid, *_rest in made.started():
        if is_alive(int(pid)):
            os.kill(int(pid), signal.SIGKILL)


def nightly(**values: object) -> Schedule:
    return Schedule(**{"schedule_id": "nightly", "cron": "0 3 * * *", "timezone": "UTC", "updated_at": 1.0, **values})  # type: ignore[arg-type]


def is_alive(pid: int) -> bool:
    """Return whether it is alive and one of ours."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"program.py" in command


def test_a_due_schedule_is_started_once_in_a_session_of_its_own(lab: Lab) -> None:
    clock = lab.clock()
    lab.now = MIDNIGHT - 1 * DAY + 3 * HOUR
    claim(lab.folders.slots, "nightly", slot_at(lab.now, "UTC"))
    lab.now = MIDNIGHT + 3 * HOUR - 1
    assert clock.tick() == []

    lab.now = MIDNIGHT + 3 * HOUR
    assert len(clock.tick()) == 1
    lab.now += 20
    assert clock.tick() == []  # the process has not claimed its slot, and is not started again

    ((pid, session, folder, arguments),) = lab.wait_for(1)
    assert (pid, folder) == (session, "/")
    assert arguments == (
        f"--config-dir {lab.folders.config} --quiet schedule run nightly --fired-by clock"
        " --slot 2026-11-23T03:00:00+00:00"
    )


def test_what_cron_took_is_not_started(lab: Lab) -> None:
    lab.now = MIDNIGHT + 3 * HOUR
    claim(lab.folders.slots, "nightly", slot_at(lab.now, "UTC"))

    assert lab.clock().tick() == []


def test_missed_slots_leave_one_record_also_with_two_clocks(lab: Lab) -> None:
    claim(lab.folders.slots, "nightly", slot_at(MIDNIGHT + 3 * HOUR, "UTC"))
    lab.now = MIDNIGHT + 4 * DAY

    for clock in (lab.clock(), lab.clock()):
        clock.tick()
        clock.tick()

    (record,) = ExecutionStore(lab.folders.executions).all()
    assert record.error_message.startswith("3 runs were missed since 2026-11-24T03:00:00+00:00")
    assert lab.started() == []


def test_after_a_reboot_the_records_say_what_was_missed(lab: Lab) -> None:
    lab.schedules = [nightly(missed=Missed.RUN_ONCE)]
    claim(lab.folders.slots, "nightly", slot_at(MIDNIGHT + 3 * HOUR, "UTC"))
    lab.now = MIDNIGHT + 2 * DAY
    lab.schedules = [nightly()]
    lab.clock().tick()  # leaves a record of the missed night
    (lab.folders.slots / "nightly.json").unlink()  # the runtime folder is in RAM

    lab.schedules = [nightly(missed=Missed.RUN_ONCE)]
    assert lab.clock().tick() == []

    lab.now = MIDNIGHT + 2 * DAY + 20 * HOUR
    (one,) = lab.clock().tick()
    assert (one.fired_by, one.slot.local) == ("catch-up", "2026-11-25T03:00:00+00:00")
    assert "--fired-by catch-up --slot 2026-11-25T03:00:00+00:00" in lab.wait_for(1)[0][3]


def test_what_it_started_survives_its_end_and_is_not_started_again(lab: Lab) -> None:
    (lab.folder / "slow").touch()
    lab.now = MIDNIGHT + 3 * HOUR
    script = lab.folder / "serve.py"
    script.write_text(
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "from executions.test_executions_clock import Lab, nightly\n"
        f"Lab(Path({str(lab.folder)!r}), now={lab.now}, schedules=[nightly()]).clock().tick()\n"
        "import os; os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, str(script)], check=False)
    ((pid, *_rest),) = lab.wait_for(1)
    claim(lab.folders.slots, "nightly", slot_at(lab.now, "UTC"))  # what a real `schedule run` does first

    assert ended.returncode == -signal.SIGKILL
    assert lab.clock().tick() == []
    assert is_alive(int(pid))


def test_the_loop_wakes_at_the_slot_sees_new_schedules_and_stops_when_asked(lab: Lab) -> None:
    lab.schedules = []
    begun, wall = time.monotonic(), MIDNIGHT + 3 * HOUR - 2
    clock, cancel = lab.clock(), Cancel()
    clock.now = lambda: wall + time.monotonic() - begun
    lab.schedules = [nightly(updated_at=wall - 1)]
    thread = threading.Thread(target=clock.run, args=(cancel,))
    thread.start()

    lab.wait_for(1)
    waited = time.monotonic() - begun
    cancel.request()
    thread.join(10)

    assert not thread.is_alive()
    assert waited > 2
    assert lab.problems == []


def test_a_wall_clock_that_is_set_wakes_the_loop(lab: Lab) -> None:
    clock, cancel = lab.clock(), Cancel()
    lab.now = MIDNIGHT + 3 * HOUR - 10 * MINUTE
    claim(lab.folders.slots, "nightly", slot_at(MIDNIGHT - 21 * HOUR, "UTC"))
    thread = threading.Thread(target=clock.run, args=(cancel,))
    thread.start()
    time.sleep(0.3)

    lab.now += 11 * MINUTE  # somebody sets the clock
    lab.wait_for(1)
    cancel.request()
    thread.join(10)

    assert len(lab.started()) == 1


def test_only_one_clock_runs_per_state_folder(lab: Lab) -> None:
    first, cancel = lab.clock(), Cancel()
    thread = threading.Thread(target=first.run, args=(cancel,))
    thread.start()
    wait_until((lab.folders.runtime / "clock.lock").exists)
    time.sleep(0.1)

    assert is_clock_running(lab.folders)
    with pytest.raises(NotNowError, match="runs already"):
        lab.clock().run(Cancel())

    cancel.request()
    thread.join(10)
    assert not is_clock_running(lab.folders)
    stopped = Cancel()
    stopped.request()
    lab.clock().run(stopped)


def test_a_folder_that_cannot_be_used_is_said_and_does_not_end_the_clock(lab: Lab) -> None:
    claim(lab.folders.slots, "nightly", slot_at(MIDNIGHT + 3 * HOUR, "UTC"))
    lab.folders.config.write_text("a file where the folder should be")
    lab.now = MIDNIGHT + 4 * DAY
    clock, cancel = lab.clock(), Cancel()
    thread = threading.Thread(target=clock.run, args=(cancel,))
    thread.start()

    wait_until(lambda: bool(lab.problems))
    assert thread.is_alive()
    cancel.request()
    thread.join(10)

    assert not thread.is_alive()
