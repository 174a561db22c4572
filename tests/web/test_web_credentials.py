"""The file of the password and the tokens: what is kept, what is believed, and two who change it at once."""

import multiprocessing
import os
import stat
import threading
from pathlib import Path

import pytest

from rebalancer.errors import DamagedRecordError, NotFoundError, RebalancerError, RefusedError, UsageError
from rebalancer.state import StateFolders
from rebalancer.web.credentials import MOST_TOKENS, CredentialStore


@pytest.fixture
def folders(tmp_path: Path) -> StateFolders:
    return StateFolders(tmp_path / "config", tmp_path / "runtime")


def store_in(folders: StateFolders) -> CredentialStore:
    return CredentialStore(folders, clock=lambda: 1_800_000_000.0)


def file_of(folders: StateFolders) -> Path:
    return folders.config / "dashboard.json"


def test_only_digests_are_kept_in_a_file_of_the_owner_s_own(folders: StateFolders) -> None:
    store = store_in(folders)
    password, token = store.first_password(), store.add_token("grafana", can_write=False)
    kept = file_of(folders).read_text()

    assert password not in kept
    assert token.partition("_")[2] not in kept
    assert stat.S_IMODE(file_of(folders).stat().st_mode) == 0o600
    assert (store.is_password(password), store.is_password(password + "x"), store.first_password()) == (True, False, "")


def test_random_passwords_differ_and_are_long(folders: StateFolders) -> None:
    made = {store_in(folders).new_password() for _ in range(5)}

    assert len(made) == 5
    assert {len(password) for password in made} == {23}


@pytest.mark.parametrize("password", ["short", "x" * 201, "not text \udcff, is it"])
def test_a_password_that_is_too_short_too_long_or_no_text_is_refused(folders: StateFolders, password: str) -> None:
    store = store_in(folders)
    first = store.first_password()

    with pytest.raises(UsageError):
        store.new_password(password)
    assert store.is_password(first)


@pytest.mark.parametrize("text", ["", "x" * 100_000, "\udcff", "\0", "é" * 200])
def test_nothing_that_is_typed_makes_the_check_fail(folders: StateFolders, text: str) -> None:
    store = store_in(folders)
    store.first_password()

    assert store.is_password(text) is False


def test_without_a_password_nothing_is_the_password(folders: StateFolders) -> None:
    assert store_in(folders).is_password("") is False


def test_no_more_than_two_passwords_are_looked_at_at_once(folders: StateFolders) -> None:
    store = store_in(folders)
    password = store.first_password()
    answers: list[bool | None] = []
    gate = threading.Barrier(12)

    def check() -> None:
        gate.wait()
        answers.append(store.is_password(password))

    threads = [threading.Thread(target=check) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(answers) == {True, None}
    assert store.is_password(password) is True


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"password": 7}', b'{"tokens": [{"name": "x"}]}', b"\xff"])
def test_a_damaged_file_lets_nobody_in_and_is_not_overwritten(folders: StateFolders, content: bytes) -> None:
    password = store_in(folders).first_password()
    file_of(folders).write_bytes(content)
    store = store_in(folders)

    for act in (
        store.first_password, store.new_password, store.load, lambda: store.is_password(password),
        lambda: store.add_token("x", can_write=True), lambda: store.revoke_token("x"),
    ):  # fmt: skip
        with pytest.raises(DamagedRecordError):
            act()
    assert store.token("x") is None
    assert file_of(folders).read_bytes() == content


def test_a_link_in_its_place_is_not_followed(folders: StateFolders, tmp_path: Path) -> None:
    store_in(folders).first_password()
    file_of(folders).rename(tmp_path / "elsewhere.json")
    file_of(folders).symlink_to(tmp_path / "elsewhere.json")

    with pytest.raises(DamagedRecordError, match="symbolic link"):
        store_in(folders).load()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_to_lets_nobody_in_until_that_is_mended(folders: StateFolders, mode: int) -> None:
    store = store_in(folders)
    token = store.add_token("grafana", can_write=True)
    os.chmod(file_of(folders), mode)

    with pytest.raises(RefusedError, match="chmod go-w"):
        store.load()
    assert store.token(token) is None
    os.chmod(file_of(folders), 0o600)
    assert store.token(token) is not None


def test_a_folder_that_others_can_write_to_is_refused(folders: StateFolders) -> None:
    folders.config.mkdir(mode=0o700)
    os.chmod(folders.config, 0o720)

    with pytest.raises(RefusedError, match="can be written by others"):
        store_in(folders).first_password()


def test_while_the_folder_is_away_what_was_known_last_counts(folders: StateFolders, tmp_path: Path) -> None:
    store = store_in(folders)
    password, token = store.first_password(), store.add_token("grafana", can_write=True)
    era = store.load().era
    folders.config.rename(tmp_path / "away")

    assert (store.is_password(password), store.token(token) is not None, store.load().era) == (True, True, era)
    assert not folders.config.exists()


def test_what_another_process_changes_counts_at_once(folders: StateFolders) -> None:
    store, other = store_in(folders), store_in(folders)
    token = store.add_token("grafana", can_write=True)
    era = store.load().era

    other.revoke_token("grafana")
    other.new_password()

    assert store.token(token) is None
    assert store.load().era != era


def _add(folders: StateFolders, number: int) -> None:
    store_in(folders).add_token(f"t{number}", can_write=False)


def test_no_change_undoes_another_made_at_the_same_moment(folders: StateFolders) -> None:
    store_in(folders).add_token("leaked", can_write=True)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_add, args=(folders, number)) for number in range(12)]
    for process in processes:
        process.start()
    store_in(folders).revoke_token("leaked")
    for process in processes:
        process.join(30)

    assert sorted(token.name for token in store_in(folders).load().tokens) == sorted(
        f"t{number}" for number in range(12)
    )


def test_tokens_have_a_name_of_their_own_and_a_limit(folders: StateFolders) -> None:
    store = store_in(folders)
    store.add_token("a", can_write=False)

    for name in ("a", "", "A", "a b", "x" * 60, "../x", "a\n"):
        with pytest.raises(UsageError):
            store.add_token(name, can_write=False)
    with pytest.raises(NotFoundError):
        store.revoke_token("b")
    for number in range(MOST_TOKENS - 1):
        store.add_token(f"t{number}", can_write=False)
    with pytest.raises(UsageError, match="revoke one"):
        store.add_token("one-more", can_write=False)


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(folders: StateFolders, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("in the way")

    with pytest.raises(RebalancerError, match="cannot be used"):
        store_in(folders).new_password()
