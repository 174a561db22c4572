"""Point 22 of the checklist: notify with the right level, at least a second apart, once per run and not per file."""

import os
import signal
from itertools import pairwise
from pathlib import Path

import pytest

import lab
from lab import RunProgram, StartProgram
from lab.processes import wait_until

SECRETS = ("t0k3n", "geheim", "5EC12E7")
SETTINGS = """
[[disk]]
path = "{folder}/disk1"
name = "disk1"
size = "40MB"
[[disk]]
path = "{folder}/disk2"
name = "disk2"
size = "40MB"
[notify]
on = ["success", "failure", "held", "suspended", "emergency"]
apprise = ["json://anna:geheim@{here}/hook/t0k3n"]
[notify.pings]
nightly = "http://{here}/ping/t0k3n"
"""
SLOWLY = ("--bandwidth-limit", "300kB/s")


@pytest.fixture
def server(state: Path, tmp_path: Path, receiver: lab.Receiver) -> Path:
    """The root of a server with Unraid's script, two disks of 30 files, and a schedule that nothing fires."""
    config = state / "config"
    config.mkdir(mode=0o700)
    settings = config / "config.toml"
    settings.write_text(SETTINGS.format(folder=tmp_path, here=receiver.address))
    settings.chmod(0o600)
    (tmp_path / "disk2").mkdir()
    for number in range(30):
        folder = tmp_path / "disk1" / "movies" / f"film {number}"
        folder.mkdir(parents=True)
        (folder / "film.mkv").write_bytes(os.urandom(1_000_000))
    root = tmp_path / "root"
    lab.put_script(root)
    return root


def subjects(root: Path) -> list[str]:
    return [call.value_of("-s") for call in lab.calls_of(root)]


def add_schedule(run_program: RunProgram, root: Path, *options: str) -> None:
    unsaid = [f"--ignore-guard={name}" for name in ("array-state", "disk-errors", "parity")]  # its files say little
    run_program("--root", root, "schedule", "create", "nightly", "--cron", "15 2 * * *", *unsaid, *options, exit_code=0)


def start_and_wait(run_program: RunProgram, start_program: StartProgram, root: Path) -> tuple[lab.Running, int]:
    """Start the schedule by hand; returns the program and the number of its worker."""
    run = start_program("--root", root, "schedule", "run", "nightly", "--json")
    found: list[int] = []

    def works() -> bool:
        listed = run_program("--root", root, "execution", "list", "--json", exit_code=0).document
        found[:] = [one["worker"]["pid"] for one in listed if one["worker"] is not None]
        return bool(found)

    wait_until(works)
    return run, found[0]


def test_a_run_of_many_files_is_told_once_at_the_right_level(
    run_program: RunProgram, server: Path, receiver: lab.Receiver
) -> None:
    add_schedule(run_program, server)

    ran = run_program("--root", server, "schedule", "run", "nightly", "--json", exit_code=0)

    (call,) = lab.calls_of(server)
    assert ran.document["files_moved"] > 10
    assert (call.value_of("-e"), call.value_of("-i")) == ("Unraid Rebalancer", "normal")
    assert call.value_of("-s") == "Notice [TOWER] - Rebalance nightly finished"
    assert "\n" not in "".join(call.arguments)
    assert [path for path in receiver.paths if path.startswith("/ping")] == ["/ping/t0k3n/start", "/ping/t0k3n"]
    assert receiver.paths.count("/hook/t0k3n") == 1


def test_runs_that_end_together_are_told_at_least_a_second_apart(
    run_program: RunProgram, start_program: StartProgram, server: Path
) -> None:
    runs = [start_program("--root", server, "notify", "test") for _ in range(3)]

    codes = [run.wait(30) for run in runs]

    times = [call.at for call in lab.calls_of(server)]
    assert codes == [0, 0, 0]
    assert len(times) == 3
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))


def test_an_emergency_stop_is_told_once_as_an_alert_with_what_it_stopped(
    run_program: RunProgram, start_program: StartProgram, server: Path, receiver: lab.Receiver
) -> None:
    add_schedule(run_program, server, *SLOWLY)
    run, _ = start_and_wait(run_program, start_program, server)

    run_program("--root", server, "emergency-stop", "--hold", "disk3 makes noises", exit_code=0)
    run.wait(10)

    wait_until(lambda: bool(lab.calls_of(server)) and "/ping/t0k3n/fail" in receiver.paths)
    (call,) = lab.calls_of(server)
    assert call.value_of("-s") == "Alert [TOWER] - Emergency stop"
    assert call.value_of("-i") == "alert"
    assert call.value_of("-d").startswith("1 run was stopped by ")
    assert "-nightly-" in call.value_of("-m")
    assert "Nothing new starts: disk3 makes noises" in call.value_of("-m")
    assert "unraid-rebalancer emergency-stop release" in call.value_of("-m")


def test_a_run_that_was_killed_is_told_once_by_whoever_looks_first(
    run_program: RunProgram, start_program: StartProgram, server: Path, receiver: lab.Receiver
) -> None:
    add_schedule(run_program, server, *SLOWLY)
    run, worker = start_and_wait(run_program, start_program, server)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    wait_until(lambda: not Path(f"/proc/{worker}").exists())

    looks = [start_program("--root", server, "execution", "history", "--json") for _ in range(3)]
    codes = [look.wait(30) for look in looks]

    wait_until(lambda: bool(lab.calls_of(server)) and "/ping/t0k3n/fail" in receiver.paths)
    run_program("--root", server, "execution", "list", exit_code=0)
    assert codes == [0, 0, 0]
    assert subjects(server) == ["Alert [TOWER] - Rebalance nightly broke off"]
    assert lab.calls_of(server)[0].value_of("-d") == "its supervisor was killed"
    assert receiver.paths.count("/ping/t0k3n/fail") == 1


def test_no_secret_is_kept_or_shown_anywhere_but_in_the_settings(
    run_program: RunProgram, start_program: StartProgram, server: Path, state: Path, receiver: lab.Receiver
) -> None:
    receiver.answers.update({"/ping": lab.HANGS, "/hook": 500})
    add_schedule(run_program, server)
    log = state / "our.log"

    run = start_program("--root", server, "schedule", "run", "nightly", "--json", "--log-file", log)
    seen = bytearray()
    while run.poll() is None:
        processes = (name for name in os.listdir("/proc") if name.isdecimal())  # globbing fails when one ends
        seen += b"".join(_read(Path("/proc", name, "cmdline")) for name in processes)
    out, err = run.communicate()
    test = run_program("--root", server, "-v", "notify", "test", "--log-file", log, exit_code=1)
    as_json = run_program("--root", server, "notify", "test", "--json", exit_code=1)

    assert run.returncode == 0
    assert b"rebalancer.notify.courier" in seen
    written = b"".join(
        path.read_bytes() for path in state.rglob("*") if path.is_file() and path != state / "config/config.toml"
    )
    assert b"notification not delivered: apprise 1 (json)" in written
    shown = written + bytes(seen) + out + err + (test.stdout + test.stderr + as_json.stdout + as_json.stderr).encode()
    shown += " ".join(argument for call in lab.calls_of(server) for argument in call.arguments).encode()
    assert [secret for secret in SECRETS if secret.encode() in shown] == []
    assert "apprise 1 (json)  failed: " in test.stdout
    assert {one["channel"]: one["ok"] for one in as_json.document} == {
        "unraid": True,
        "apprise 1 (json)": False,
        "ping nightly": False,
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
