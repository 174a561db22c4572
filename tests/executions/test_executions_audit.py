"""The audit log: one line per action, private, never in the way."""

import os
import stat
from pathlib import Path

import pytest

from rebalancer import records
from rebalancer.executions.audit import LIMIT, Entry, actor_of, append

ENTRY = Entry(at=1.0, actor="alice", action="cancel", target="x", reason="because", result="done")


def entries_in(path: Path) -> list[Entry]:
    return [records.decode(line, Entry, path="") for line in path.read_bytes().splitlines()]


def test_lines_are_added_and_only_we_can_read_them(tmp_path: Path) -> None:
    log = tmp_path / "state" / "audit.jsonl"

    assert append(log, ENTRY)
    assert append(log, ENTRY)

    assert entries_in(log) == [ENTRY, ENTRY]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_reason_of_several_lines_stays_one_line_and_a_long_one_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    tmp_path.chmod(0o700)

    append(log, Entry(at=1.0, actor="a", action="cancel", target="x", reason="one\ntwo\r\n" + "x" * 9999, result=""))

    (entry,) = entries_in(log)
    assert entry.reason.startswith("one\ntwo\r\n")
    assert len(entry.reason) == 500


def test_a_full_log_is_put_aside_and_begun_anew(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    append(log, ENTRY)
    with log.open("ab") as file:
        file.write(b"x" * (LIMIT - log.stat().st_size - 10))

    assert append(log, ENTRY)

    assert entries_in(log) == [ENTRY]
    assert (tmp_path / "audit.1.jsonl").stat().st_size == LIMIT - 10


@pytest.mark.parametrize("obstacle", ["folder", "link", "pipe", "full disk", "open to others"])
def test_what_cannot_be_noted_is_said_and_nothing_else_happens(tmp_path: Path, obstacle: str) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    log = folder / "audit.jsonl"
    if obstacle == "folder":
        log.mkdir()
    elif obstacle == "link":
        log.symlink_to(tmp_path / "elsewhere")
    elif obstacle == "pipe":
        os.mkfifo(log)
    elif obstacle == "full disk":
        log.symlink_to("/dev/full")
    else:
        folder.chmod(0o777)

    assert not append(log, ENTRY)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("environment", "uid", "who"),
    [
        ({"SUDO_USER": "alice", "LOGNAME": "root"}, 0, "alice"),
        ({"LOGNAME": "bob"}, 1000, "bob"),
        ({"SUDO_USER": "mallory", "LOGNAME": "bob"}, 1000, "bob"),
        ({}, 0, "root"),
        ({}, 54321, "uid 54321"),
        ({"LOGNAME": "e\x1b[31mvil\n"}, 0, "e\\x1b[31mvil\\n"),
    ],
)
def test_who_is_asking(environment: dict[str, str], uid: int, who: str) -> None:
    assert actor_of(environment, uid=uid) == who
