"""The end of a log: whole lines, whatever the size, and only of a plain file of that execution."""

import os
from pathlib import Path

import pytest

from rebalancer.errors import NotFoundError
from rebalancer.executions.log import last_of
from rebalancer.state import StateFolders, choose_folders

ID = "20261128T000000Z-nightly-000001"


@pytest.fixture
def folders(tmp_path: Path) -> StateFolders:
    found = choose_folders(tmp_path / "config", root=Path("/"), environment={"XDG_RUNTIME_DIR": str(tmp_path)}, uid=1)
    found.logs.mkdir(parents=True)
    return found


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"", ""),
        (b"one\ntwo\n", "one\ntwo\n"),
        (b"0123456789\nabcdefghi\n", "abcdefghi\n"),  # of the last 12 bytes, the first line is not whole
        (b"0123456789\nabcdefghijk\n", "abcdefghijk\n"),
        (b"x" * 50, "x" * 12),  # no line ends there: what there is
        (b"bad \xff\n", "bad \\xff\n"),
    ],
)
def test_whole_lines_of_the_end_are_read(folders: StateFolders, written: bytes, read: str) -> None:
    (folders.logs / f"{ID}.log").write_bytes(written)

    assert last_of(folders, ID, size=12) == read


def test_what_is_no_log_of_an_execution_is_not_read(folders: StateFolders) -> None:
    (folders.config).mkdir()
    (folders.config / "secret.log").write_text("secret")
    (folders.logs / "linked.log").symlink_to(folders.config / "secret.log")
    os.mkfifo(folders.logs / "pipe.log")

    for name in (ID, "linked", "pipe", f"../{folders.config.name}/secret", ""):
        with pytest.raises(NotFoundError):
            last_of(folders, name, size=12)
