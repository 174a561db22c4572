"""The small pure pieces: bars, plain tables, speed, and the lines of a run without a terminal."""

from collections.abc import Iterator

import pytest

from rebalancer.cli import bars
from rebalancer.cli.bars import Fill
from rebalancer.cli.progress import PlainLines, RunView, Speed
from rebalancer.cli.tables import Column, Table, bar_width, plain_lines
from rebalancer.transfer.messages import Left, Progress


@pytest.mark.parametrize("percent", [-5.0, 0.0, 0.4, 33.3, 50.0, 99.9, 100.0, 250.0])
@pytest.mark.parametrize("width", [4, 7, 24])
@pytest.mark.parametrize("is_unicode", [True, False])
def test_a_bar_is_always_as_wide_as_it_should_be(percent: float, width: int, is_unicode: bool) -> None:
    drawn = bars.filled(percent, width, is_unicode=is_unicode) + bars.rest(percent, width, is_unicode=is_unicode)

    assert len(drawn) == width
    assert is_unicode or drawn.isascii()


def test_a_half_full_bar_is_half_drawn() -> None:
    assert bars.filled(50, 8) + bars.rest(50, 8) == "████░░░░"
    assert bars.filled(50, 8, is_unicode=False) + bars.rest(50, 8, is_unicode=False) == "####...."


def test_plain_tables_align_numbers_right_and_wide_names_by_what_they_take() -> None:
    table = Table(
        (Column("name"), Column("size", is_number=True), Column("path")),
        [("北の歌", "5 B", "a"), ("e\u0301tude", "1.23 TB", "b"), ("plain", "12 B", "new\nline")],
    )

    assert plain_lines(table) == [
        "name       size  path",
        "北の歌      5 B  a",
        "e\u0301tude   1.23 TB  b",
        "plain      12 B  new\\nline",
    ]


def test_a_fill_in_a_pipe_is_a_percentage() -> None:
    assert plain_lines(Table((Column("fill"),), [(Fill(12.34),)])) == ["fill", "12.3 %"]


@pytest.mark.parametrize(("columns", "width"), [(30, 4), (70, 19), (200, 24)])
def test_all_bars_of_a_table_are_equally_long_and_fit(columns: int, width: int) -> None:
    table = Table((Column("disk"), Column("before"), Column("after")), [("disk1 and", Fill(1), Fill(2))])

    assert bar_width(table, columns) == width


def test_speed_is_that_of_the_last_seconds() -> None:
    speed = Speed()
    for second in range(100):
        speed.add(float(second), 1000 * second)
    for second in range(100, 120):
        speed.add(float(second), 99_000 + 10 * (second - 99))

    assert speed.rate == pytest.approx(10)


def test_speed_is_unknown_at_first_and_starts_anew_when_the_count_goes_back() -> None:
    speed = Speed()
    speed.add(0, 100)
    assert speed.rate == 0

    speed.add(1, 50)

    assert speed.rate == 0


def _progress(moves: int, phase: str = "copying") -> Progress:
    return Progress(
        moves_done=moves, moves_total=10, files_moved=moves, files_total=10, bytes_moved=moves * 100,
        bytes_copied=moves * 100, bytes_total=1000, source="a", destination="b", path="x/\x1b[31m", phase=phase,
    )  # fmt: skip


@pytest.fixture
def ticking() -> Iterator[float]:
    return iter(float(second) for second in range(1000))


def test_without_a_terminal_there_is_a_line_every_few_seconds(
    ticking: Iterator[float], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = PlainLines(RunView(), lambda: next(ticking))

    for moves in range(11):
        lines(_progress(moves))

    assert capsys.readouterr().out.splitlines() == [
        "4 of 10 moves, 4 of 10 files; 400 B of 1.00 kB, 100 B/s, 6.0 s left",
        "9 of 10 moves, 9 of 10 files; 900 B of 1.00 kB, 100 B/s, 1.0 s left",
    ]


def test_without_a_terminal_a_pause_and_a_recovery_are_told_once(
    ticking: Iterator[float], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = PlainLines(RunView(), lambda: next(ticking))

    for _ in range(3):
        lines(_progress(0, "recovering"))
    for _ in range(3):
        lines(_progress(0, "paused"))

    assert capsys.readouterr().out.splitlines() == [
        "recovering  a → b  x/\\x1b[31m",
        "paused  a → b  x/\\x1b[31m",
    ]


def test_a_run_goes_on_when_nobody_reads_its_lines_any_more(
    ticking: Iterator[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone:
        def isatty(self) -> bool:
            return False

        def write(self, _text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    lines = PlainLines(RunView(), lambda: next(ticking))
    monkeypatch.setattr("sys.stdout", Gone())

    for moves in range(11):
        lines(_progress(moves))

    assert lines.view.last == _progress(10)


def test_what_was_left_is_counted() -> None:
    view = RunView()
    view.take(_progress(3), 0.0)
    view.take(Left(disk="a", path="p", reason="in use"), 1.0)

    assert view.counts == "3 of 10 moves, 3 of 10 files, 1 left where they were"
    assert view.percent == 30.0
