"""An array that stops is told from one that was not started yet, and from a file that says nothing."""

from pathlib import Path

import pytest

from rebalancer.array.unraid.stopping import StoppingLook


def says(root: Path, text: str) -> None:
    folder = root / "var/local/emhttp"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "var.ini").write_text(text)


@pytest.mark.parametrize(
    ("states", "is_stopping"),
    [
        (["Started", "Stopping"], True),
        (["Stopping"], True),
        (["Started", "Stopped"], True),  # the moment of stopping fell between two looks
        (["Stopped"], False),  # cron is at work before the array is started
        (["Stopped", "Starting"], False),
        (["Started"], False),
        (["Started", "Formatting"], False),
    ],
)
def test_only_an_array_that_was_started_stops(tmp_path: Path, states: list[str], is_stopping: bool) -> None:
    look, answer = StoppingLook(tmp_path), False

    for state in states:
        says(tmp_path, f'mdState="STARTED"\r\nfsState="{state}"\r\n')
        answer = look.is_stopping()

    assert answer is is_stopping


@pytest.mark.parametrize("text", ["", 'fsState="Stop', "garbage\n", 'fsstate="Stopping"\n'])
def test_a_torn_file_does_not_say_that_the_array_stops(tmp_path: Path, text: str) -> None:
    says(tmp_path, text)

    assert not StoppingLook(tmp_path).is_stopping()


def test_a_missing_file_does_not_say_that_the_array_stops(tmp_path: Path) -> None:
    assert not StoppingLook(tmp_path).is_stopping()
