"""``access`` as a user types it: the password, the tokens, and what is wrong with the file they are kept in."""

import json
import os
import pty
import select
import stat
import time
from pathlib import Path

import pytest

from lab import RunProgram, command_line, environment


@pytest.fixture
def kept(state: Path) -> Path:
    """The file that holds the digests."""
    return state / "config" / "dashboard.json"


def typed(state: Path, *words: str, lines: list[str]) -> tuple[int, str]:
    """Run the program on a terminal of its own and type a line whenever it asks; returns exit code and screen."""
    arguments = command_line(*words)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir("/")
        os.execve(arguments[0], arguments, environment(state))  # noqa: S606 - no shell is wanted
    screen, waiting, deadline = b"", list(lines), time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.3)[0]:
            try:
                screen += os.read(terminal, 4096)
            except OSError:  # EIO: the program has ended
                break
        elif waiting and screen.rstrip().endswith(b":"):
            os.write(terminal, waiting.pop(0).encode() + b"\n")
            screen += b" "
            screen = screen.rstrip() + b"\n"
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), screen.decode()


def test_a_password_is_made_shown_once_and_kept_as_a_digest(run_program: RunProgram, kept: Path) -> None:
    text = run_program("access", "password", exit_code=0).stdout
    quiet = run_program("access", "password", "--quiet", exit_code=0).stdout
    document = run_program("access", "password", "--json", exit_code=0).document

    shown = [text.split()[1], quiet.split()[1], document["password"]]
    assert text.endswith("  (shown this once)\n")
    assert len(set(shown)) == 3
    assert not any(password in kept.read_text() for password in shown)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_a_password_of_one_s_own_is_typed_twice_and_never_seen(state: Path, kept: Path) -> None:
    code, screen = typed(state, "access", "password", "--ask", lines=["correct horse battery"] * 2)

    assert (code, "the password is changed" in screen) == (0, True)
    assert "horse" not in screen
    assert json.loads(kept.read_text())["password"].startswith("$argon2id$")


def test_two_that_differ_are_asked_for_again_and_a_short_one_is_refused(state: Path, kept: Path) -> None:
    differing = ["correct horse battery", "correct horse", "correct horse battery", "correct horse battery"]
    code, screen = typed(state, "access", "password", "--ask", "--json", lines=differing)
    before = kept.read_bytes()
    short, said = typed(state, "access", "password", "--ask", lines=["short", "short"])

    assert (code, '{"password":null}' in screen) == (0, True)
    assert (short, "a password has 10 to 200 characters" in said) == (2, True)
    assert kept.read_bytes() == before


def test_nobody_is_asked_where_nobody_can_answer(run_program: RunProgram, kept: Path) -> None:
    answer = run_program("access", "password", "--ask")

    assert answer.exit_code not in {0, 4}
    assert not kept.exists()


def test_a_token_is_shown_once_listed_without_itself_and_revoked(run_program: RunProgram, kept: Path) -> None:
    empty = run_program("access", "token", "list", exit_code=0).stdout
    plain = run_program("access", "token", "create", "grafana", "--read-only", exit_code=0).stdout
    document = run_program("access", "token", "create", "backup", "--json", exit_code=0).document
    listed = run_program("access", "token", "list", exit_code=0).stdout
    listed_json = run_program("access", "token", "list", "--json", exit_code=0)
    run_program("access", "token", "revoke", "grafana", exit_code=0)
    revoked = run_program("access", "token", "revoke", "backup", "--json", exit_code=0).document

    assert empty.startswith("no tokens; make one with: unraid-rebalancer access token create")
    assert plain.startswith("rebalancer_")
    assert len(plain.strip()) > 50
    assert (document["name"], document["can_write"]) == ("backup", True)
    assert all(
        secret.strip() not in f"{listed}{listed_json.stdout}{kept.read_text()}" for secret in (plain, document["token"])
    )
    assert "digest" not in listed_json.stdout
    assert [line.split()[:2] for line in listed.splitlines() if "grafana" in line] == [["grafana", "reading"]]
    assert {(one["name"], one["can_write"]) for one in listed_json.document} == {("grafana", False), ("backup", True)}
    assert revoked == {"name": "backup", "revoked": True}
    assert "tokens" not in json.loads(kept.read_text())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("token", "create", "a b"), 2, "cannot name a token"),
        (("token", "create", "../x"), 2, "cannot name a token"),
        (("token", "create", "\x1b[31m"), 2, "cannot name a token"),
        (("token", "revoke", "nobody"), 3, "there is no token 'nobody'"),
        (("token", "create"), 2, "NAME"),
        (("pasword",), 2, "password"),
    ],
    ids=repr,
)
def test_what_cannot_be_done_is_a_sentence_and_an_exit_code(
    run_program: RunProgram, words: tuple[str, ...], code: int, said: str
) -> None:
    answer = run_program("access", *words, exit_code=code)

    assert said in answer.stderr
    assert "\x1b" not in answer.stderr
    assert answer.stdout == ""


@pytest.mark.parametrize("words", [("access", "password"), ("access", "token", "list"), ("access", "token", "create", "x"),
                                   ("serve", "--listen", "127.0.0.1:0", "--no-clock")], ids=" ".join)  # fmt: skip
@pytest.mark.parametrize("harm", ["damaged", "open to others", "a folder"])
def test_a_file_that_cannot_be_believed_is_refused_in_a_sentence_and_left_as_it_is(
    run_program: RunProgram, kept: Path, words: tuple[str, ...], harm: str
) -> None:
    run_program("access", "token", "create", "grafana", exit_code=0)
    before = kept.read_bytes()
    if harm == "damaged":
        before = b'{"password": "x", "tokens": ['
        kept.write_bytes(before)
    elif harm == "open to others":
        kept.chmod(0o666)
    else:
        kept.unlink()
        kept.mkdir()

    refused = run_program(*words, exit_code=4)

    assert len(refused.stderr.splitlines()) == 1
    assert "dashboard.json" in refused.stderr
    assert refused.stdout == ""
    assert kept.is_dir() if harm == "a folder" else kept.read_bytes() == before


def test_settings_that_are_broken_keep_nobody_from_changing_the_password(run_program: RunProgram, kept: Path) -> None:
    kept.parent.mkdir(mode=0o700)
    (kept.parent / "config.toml").write_text("[serve\n")

    run_program("access", "password", exit_code=0)


def test_the_help_shows_how_programs_are_let_in(run_program: RunProgram) -> None:
    group = run_program("access", "--help", exit_code=0).stdout
    helps = [run_program("access", *words, "--help", exit_code=0).stdout
             for words in (("password",), ("token",), ("token", "create"), ("token", "list"), ("token", "revoke"))]  # fmt: skip

    assert 'curl -H "Authorization: Bearer TOKEN" http://127.0.0.1:8477/api/v1/overview' in group
    assert all("Usage:" in text for text in helps)
    assert "--read-only" in helps[2]


def test_the_shell_completes_the_names_of_tokens(run_program: RunProgram) -> None:
    for name in ("grafana", "gotify", "backup"):
        run_program("access", "token", "create", name, exit_code=0)
    words = "unraid-rebalancer access token revoke g"
    completed = run_program(
        variables={"_UNRAID_REBALANCER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "4"}
    ).stdout

    assert completed.split() == ["plain,grafana", "plain,gotify"]
