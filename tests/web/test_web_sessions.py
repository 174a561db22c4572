"""How long a session counts, and what becomes of it when the server ends."""

import os
import stat
from pathlib import Path

import pytest

from rebalancer.state import StateFolders
from rebalancer.web.sessions import LONGEST, LONGEST_IDLE, MOST, Sessions

HOUR = 3600.0


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folders(tmp_path: Path) -> StateFolders:
    return StateFolders(tmp_path / "config", tmp_path / "runtime")


def file_of(folders: StateFolders) -> Path:
    return folders.runtime / "dashboard" / "sessions.json"


def test_a_session_that_is_used_ends_after_seven_days(folders: StateFolders, clock: Clock) -> None:
    sessions = Sessions(folders, clock=clock)
    secret, session = sessions.open("era")
    begun = clock.now
    while clock.now - begun < LONGEST - HOUR:
        clock.now += 20 * HOUR if clock.now - begun < LONGEST - 21 * HOUR else HOUR
        assert sessions.find(secret, era="era") is session
    clock.now = begun + LONGEST

    assert sessions.find(secret, era="era") is None
    assert not sessions.goes_on(session, era="era")


def test_a_session_that_nobody_uses_ends_after_a_day(folders: StateFolders, clock: Clock) -> None:
    sessions = Sessions(folders, clock=clock)
    secret, _ = sessions.open("era")
    clock.now += LONGEST_IDLE

    assert sessions.find(secret, era="era") is None


def test_another_password_ends_it_whatever_the_clock_says(folders: StateFolders, clock: Clock) -> None:
    sessions = Sessions(folders, clock=clock)
    clock.now = 86400.0  # a board without a battery begins in 1970
    secret, session = sessions.open("era")

    assert sessions.find(secret, era="era") is session
    assert sessions.find(secret, era="another") is None
    assert not sessions.goes_on(session, era="another")


def test_a_restart_logs_nobody_out_who_was_here_today(folders: StateFolders, clock: Clock) -> None:
    sessions = Sessions(folders, clock=clock)
    secret, _ = sessions.open("era")
    for _ in range(30):  # the last time that anybody logged in is longer ago than an idle session may be
        clock.now += HOUR
        assert sessions.find(secret, era="era")
    sessions.keep()

    assert Sessions(folders, clock=clock).find(secret, era="era") is not None


def test_a_server_that_was_killed_knows_the_last_use_within_an_hour_or_so(folders: StateFolders, clock: Clock) -> None:
    sessions = Sessions(folders, clock=clock)
    secret, _ = sessions.open("era")
    for _ in range(90):
        clock.now += HOUR / 2
        sessions.find(secret, era="era")

    assert Sessions(folders, clock=clock).find(secret, era="era") is not None


def test_to_look_writes_nothing_for_an_hour(folders: StateFolders, clock: Clock) -> None:
    sessions = Sessions(folders, clock=clock)
    secret, _ = sessions.open("era")
    file_of(folders).unlink()
    for _ in range(3000):
        clock.now += 1
        sessions.find(secret, era="era")

    assert not file_of(folders).exists()


def test_the_file_holds_digests_and_is_for_its_owner_only(folders: StateFolders, clock: Clock) -> None:
    secret, _ = Sessions(folders, clock=clock).open("era")

    assert secret not in file_of(folders).read_text()
    assert stat.S_IMODE(file_of(folders).stat().st_mode) == 0o600
    assert stat.S_IMODE(file_of(folders).parent.stat().st_mode) == 0o700


def test_there_are_never_more_than_twenty_five_and_who_was_idle_longest_goes(
    folders: StateFolders, clock: Clock
) -> None:
    sessions = Sessions(folders, clock=clock)
    opened = []
    for _ in range(MOST):
        clock.now += 1
        opened.append(sessions.open("era")[0])
    clock.now += 1
    sessions.find(opened[0], era="era")
    sessions.open("era")

    assert [secret for secret in opened if sessions.find(secret, era="era") is None] == [opened[1]]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'[["a","b","c",1]]', b"null", b"x" * 2_000_000])
def test_a_damaged_file_logs_out_and_breaks_nothing(folders: StateFolders, clock: Clock, content: bytes) -> None:
    Sessions(folders, clock=clock).open("era")
    file_of(folders).write_bytes(content)

    sessions = Sessions(folders, clock=clock)

    assert sessions.find("", era="era") is None
    secret, _ = sessions.open("era")
    assert Sessions(folders, clock=clock).find(secret, era="era") is not None


@pytest.mark.parametrize("of_folder", [True, False])
def test_sessions_that_others_could_have_written_are_not_believed(
    folders: StateFolders, clock: Clock, *, of_folder: bool
) -> None:
    secret, _ = Sessions(folders, clock=clock).open("era")
    os.chmod(file_of(folders).parent if of_folder else file_of(folders), 0o720)

    assert Sessions(folders, clock=clock).find(secret, era="era") is None


def test_who_closed_a_session_does_not_get_it_back_by_a_restart(folders: StateFolders, clock: Clock) -> None:
    sessions = Sessions(folders, clock=clock)
    secret, session = sessions.open("era")
    sessions.close(session)

    assert sessions.find(secret, era="era") is None
    assert Sessions(folders, clock=clock).find(secret, era="era") is None


def test_without_a_runtime_folder_one_can_still_log_in(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "runtime").write_text("in the way")
    sessions = Sessions(StateFolders(tmp_path / "config", tmp_path / "runtime"), clock=clock)
    secret, session = sessions.open("era")

    assert sessions.find(secret, era="era") is session
