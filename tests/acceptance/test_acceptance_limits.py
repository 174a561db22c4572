"""Runs that are held back: by a person, a clock, a size, a rate, another run, or rights that are not root's."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import lab
from acceptance.sample_lab import Scene, marks, spread, write_folders
from lab import MakeDisk, StartProgram, needs
from lab.program import SCRIPT

SLOW = "--bandwidth-limit=6MB/s"
NOBODY = 65_534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all")


class Terminal:
    """The program on a terminal of its own, as somebody sits before it."""

    def __init__(self, *arguments: str | Path, state: Path) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, b"\x18\x00\x50\x00\0\0\0\0")  # 24 lines of 80
        self.process = subprocess.Popen(
            lab.command_line(*arguments),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=lab.environment(state) | {"TERM": "xterm-256color"},
            cwd="/",
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no thread runs yet
        )
        os.close(slave)
        self.output = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def wait(self) -> int:
        code = self.process.wait(30)
        self._reader.join(5)
        os.close(self._master)
        return code

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _read(self) -> None:
        try:
            while data := os.read(self._master, 65_536):
                self.output += data
        except OSError:  # EIO: the last one who had the terminal open has gone
            return


def test_ctrl_c_stops_cleanly_and_the_next_run_finishes(scene: Scene, mounts: ExitStack) -> None:
    terminal = Terminal("run", *scene.disks, SLOW, state=scene.state)
    mounts.callback(terminal.end)
    terminal.type(b"y\n")
    scene.copying()

    start = time.monotonic()
    terminal.type(b"\x03")  # the terminal itself makes it SIGINT for its foreground group
    code = terminal.wait()

    assert code == 130
    assert time.monotonic() - start < 3
    assert (scene.record["status"], scene.record["exit_code"]) == ("cancelled", 130)
    assert "cancelled" in terminal.output.decode()
    assert b"Traceback" not in terminal.output
    assert scene.changes() == []  # so there are no temporary files either

    scene.run(exit_code=0)

    assert spread(scene.roots) < 8  # films of four megabytes on disks of forty
    assert scene.changes() == []


def test_the_maximum_run_time_ends_a_run_in_order(scene: Scene) -> None:
    moves = scene.plan()["moves"]

    summary = scene.run("--plan", scene.plan_file, SLOW, "--max-runtime=2s", exit_code=0)

    record = scene.record
    assert (record["status"], record["cause"]) == ("completed", "time is up")
    assert "time is up" in summary
    assert 0 < record["moves_done"] < len(moves)
    assert 2 <= record["duration_seconds"] < 3
    assert scene.changes() == []


def test_no_more_is_moved_than_asked_for(scene: Scene) -> None:
    scene.run("--max-bytes=10MB", exit_code=0)

    assert 0 < scene.record["bytes_moved"] <= 10_000_000
    assert scene.record["bytes_planned"] <= 10_000_000
    assert scene.changes() == []


@pytest.mark.parametrize("rate", [4_000_000, 8_000_000])
def test_the_bandwidth_limit_is_kept_within_ten_percent(scene: Scene, rate: int) -> None:
    scene.run(f"--bandwidth-limit={rate}", exit_code=0)

    measured = scene.record["bytes_moved"] / scene.record["duration_seconds"]
    print(f"\n{measured / rate:.3f} of the limit")  # noqa: T201 - the figure, for whoever runs it with -s
    assert 0.9 * rate <= measured <= 1.1 * rate


def test_a_second_run_on_one_of_the_disks_is_told_who_works_there(scene: Scene) -> None:
    running = scene.start(SLOW)
    scene.copying()

    second = scene.run_program("run", "--yes", *scene.disks[:2], exit_code=75)

    assert second.stderr.count("\n") == 1
    assert "is working on disk" in second.stderr
    assert running.wait(60) == 0
    assert scene.changes() == []


def test_two_arrays_are_balanced_at_the_same_time(
    scene: Scene, make_disk: MakeDisk, start_program: StartProgram
) -> None:
    others = [make_disk("ext4", 48, "other1"), make_disk("ext4", 48, "other2")]
    write_folders(others[0], 6, size=4 * 2**20)
    before = lab.snapshot_array(others)
    running = scene.start(SLOW)
    scene.copying()

    scene.run_program("run", "--yes", *(f"--disk={root}" for root in others), exit_code=0)

    assert running.poll() is None, "the first run has ended: nothing was shown"
    assert running.wait(60) == 0
    assert lab.difference(before, lab.snapshot_array(others)) == []
    assert spread(others) < 12
    assert scene.changes() == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter: those of pytest are closed to all but root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.needs_tool("setpriv")
def test_somebody_who_is_not_root_balances_what_is_theirs(open_folder: Path, mounts: ExitStack) -> None:
    needs.demand(needs.lacking_loop_disks("ext4"))
    python = python_for_everybody(open_folder / "python")
    roots = [mounts.enter_context(lab.disk(open_folder / f"disk{n}", "ext4", 48)) for n in (1, 2)]
    write_folders(roots[0], 8, size=4 * 2**20)
    state = open_folder / "state"
    state.mkdir(mode=0o700)
    for path in (state, *roots, roots[0] / "media", *roots[0].glob("media/**/*")):
        os.chown(path, NOBODY, NOBODY)
    before = lab.snapshot_array(roots)

    ran = subprocess.run(
        [*AS_NOBODY, python, "-m", "rebalancer", "run", "--yes", "--json", *(f"--disk={root}" for root in roots)],
        check=False, capture_output=True, env=lab.environment(state), cwd="/",
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr.decode()
    assert json.loads(ran.stdout)["files_moved"] == 8
    assert lab.difference(before, lab.snapshot_array(roots)) == []
    assert marks(roots) == []


def python_for_everybody(folder: Path) -> Path:
    """Return an interpreter like ours that may be entered by others than root: ours may lie in root's own folder."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (packages / "rebalancer.pth").write_text(f"{SCRIPT.parent / 'src'}\n{sysconfig.get_path('platlib')}\n")
    (folder / "bin").mkdir()
    python = folder / "bin" / "python"
    for base in (Path(sys.executable).resolve(), Path("/usr/bin") / version):
        python.unlink(missing_ok=True)
        python.symlink_to(base)
        (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
        # the shell in between is nobody already: setpriv itself may still enter what only root may
        tried = subprocess.run([*AS_NOBODY, "sh", "-c", f"{python} -m rebalancer --version"], check=False, cwd="/")
        if tried.returncode == 0:
            return python
    needs.demand("others than root may not enter the folders of the program or of Python")
    raise AssertionError("unreachable")
