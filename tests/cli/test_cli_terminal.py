"""What a person sees on a terminal: bars, tables that fit, live progress, and the question before moving."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

OnTerminal = Callable[..., Any]


def test_disks_are_drawn_as_bars(on_terminal: OnTerminal) -> None:
    terminal = on_terminal("disks")

    line = next(line for line in terminal.lines if line.startswith("disk1"))
    assert terminal.exit_code == 0
    assert "█" in line
    assert "75.0 %" in line


@pytest.mark.parametrize("command", [["disks"], ["scan", "-v"], ["plan"], ["run", "--yes"]])
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_nothing_is_wider_than_the_terminal(
    on_terminal: OnTerminal, engine: Any, command: list[str], columns: int
) -> None:
    moves = tuple(
        replace(move, path="movies/" + "a rather long name of a film " * 9) for move in engine.made_plan.moves
    )
    engine.made_plan = replace(engine.made_plan, moves=moves)

    terminal = on_terminal(*command, columns=columns)

    assert terminal.exit_code == 0
    assert max(map(len, terminal.lines)) <= columns


def test_numbers_are_never_cut_on_80_columns(on_terminal: OnTerminal) -> None:
    text = "\n".join(on_terminal("run", "--yes").lines)

    assert "disk1  4.00 TB  █" in text
    assert "75.0 %" in text
    assert "50.0 %" in text


def test_no_color_is_respected(on_terminal: OnTerminal) -> None:
    coloured, plain = on_terminal("disks"), on_terminal("disks", NO_COLOR="1")

    assert "\x1b[32m" in coloured.raw
    assert "\x1b[32m" not in plain.raw
    assert coloured.lines == plain.lines


def test_a_dumb_terminal_gets_plain_text(on_terminal: OnTerminal) -> None:
    assert "\x1b" not in on_terminal("run", "--yes", TERM="dumb").raw


@pytest.mark.parametrize(("typed", "code", "runs"), [("y\n", 0, True), ("n\n", 130, False), ("\n", 130, False)])
def test_a_run_on_a_terminal_asks_first(on_terminal: OnTerminal, typed: str, code: int, runs: bool) -> None:
    terminal = on_terminal("run", typed=typed)

    assert "move 1.00 TB in 25 moves now? [y/N]" in terminal.raw
    assert terminal.exit_code == code
    assert ("completed" in terminal.lines) is runs


def test_a_run_with_yes_does_not_ask(on_terminal: OnTerminal) -> None:
    terminal = on_terminal("run", "--yes")

    assert "now?" not in terminal.raw
    assert terminal.exit_code == 0


def test_a_run_with_nothing_to_move_does_not_ask(on_terminal: OnTerminal, engine: Any) -> None:
    engine.made_plan = replace(engine.made_plan, moves=(), bytes_to_move=0)

    assert "now?" not in on_terminal("run").raw


def test_progress_shows_the_share_done_the_counts_and_the_current_file_harmlessly(on_terminal: OnTerminal) -> None:
    terminal = on_terminal("run", "--yes")

    text = "\n".join(terminal.lines)
    assert "50.0 %  500 GB of 1.00 TB" in text
    assert "12 of 25 moves, 36 of 75 files, 1 left where they were" in text
    assert "copying  disk1 → disk2  movies/film 13 \\x1b[31m" in text


def test_ctrl_c_is_answered_in_the_drawing(on_terminal: OnTerminal, engine: Any) -> None:
    engine.while_moving = lambda: os.kill(os.getpid(), signal.SIGINT)

    terminal = on_terminal("run", "--yes")

    assert "stopping after the current chunk…" in terminal.raw
    assert terminal.exit_code == 130
