"""``notify test`` as a user runs it."""

from pathlib import Path

import lab
from lab import RunProgram


def write_settings(state: Path, text: str) -> None:
    config = state / "config"
    config.mkdir(mode=0o700, exist_ok=True)
    (config / "config.toml").write_text(text)
    (config / "config.toml").chmod(0o600)


def test_it_says_what_came_of_each_channel(
    run_program: RunProgram, state: Path, tmp_path: Path, receiver: lab.Receiver
) -> None:
    lab.put_script(tmp_path)
    here = f"http://{receiver.address}"
    write_settings(state, f'[notify.pings]\nnightly = ["{here}/a", "{here}/b"]\nweekly = "{here}/c"\n')

    ran = run_program("--root", tmp_path, "notify", "test", exit_code=0)

    assert ran.stdout.splitlines() == [
        "unraid          sent",
        "ping nightly 1  sent",
        "ping nightly 2  sent",
        "ping weekly     sent",
    ]
    assert sorted(receiver.paths) == ["/a", "/b", "/c"]
    assert lab.calls_of(tmp_path)[0].value_of("-s") == "Notice [TOWER] - A test of the notifications"


def test_a_channel_that_failed_gives_exit_code_1(run_program: RunProgram, state: Path) -> None:
    write_settings(state, '[notify]\nunraid = true\napprise = ["json://127.0.0.1:1/t0k3n"]\n')

    ran = run_program("--root", state, "notify", "test", "--json", exit_code=1)

    unraid, service = ran.document
    assert (unraid["channel"], unraid["ok"]) == ("unraid", False)
    assert "is missing or may not be run" in unraid["detail"]
    assert (service["channel"], service["ok"]) == ("apprise 1 (json)", False)
    assert "t0k3n" not in ran.stdout + ran.stderr


def test_without_any_channel_it_says_where_to_write_one(run_program: RunProgram, state: Path) -> None:
    ran = run_program("notify", "test", "--root", state, exit_code=2)

    assert f"write [notify] into {state}/config/config.toml" in ran.stderr


def test_its_help_shows_the_settings_and_the_exit_codes(run_program: RunProgram) -> None:
    settings = run_program("notify", "--help", exit_code=0).stdout
    codes = run_program("notify", "test", "--help", exit_code=0).stdout

    assert "[notify.pings]" in settings
    assert 'apprise = ["ntfy://' in settings
    assert "Ends with 0 when every channel took it, 1 when one did not" in " ".join(codes.split())
