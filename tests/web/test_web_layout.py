"""How pages are written: distances that stand still, bars, badges, and colours that everybody can read."""

import re
from pathlib import Path

import pytest

from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.web.assets import Assets
from rebalancer.web.pages.layout import badge, distance, portion

STYLE = Assets.load().by_name["style.css"].content.decode()
STYLES = Path(__file__).parents[2] / "src" / "rebalancer" / "web" / "static" / "style"
THEMES = {"light": 0, "dark": 1, "dark by choice": 2}
READ = [
    *((text, back) for text in ("--text", "--soft", "--info") for back in ("--page", "--card")),
    ("--accent", "--card"),
    ("--bad", "--card"),
    ("--soft", "--quiet-back"),
    ("--text", "--quiet-back"),
    *((f"--{kind}", f"--{kind}-back") for kind in ("ok", "warn", "bad", "info")),
    *(("--text", f"--{kind}-back") for kind in ("ok", "warn", "bad", "info")),
    ("--on-strong", "--accent"),
    ("--on-danger", "--danger"),
]
SEEN = [("--edge", "--card"), ("--used", "--track"), ("--accent", "--track"), ("--info", "--page")]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("text", "back"), READ)
def test_text_can_be_read_on_what_is_behind_it(theme: str, text: str, back: str) -> None:
    colours = _colours(theme)

    assert _contrast(colours[text], colours[back]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("part", "back"), SEEN)
def test_edges_bars_and_the_focus_can_be_told_from_what_is_behind_them(theme: str, part: str, back: str) -> None:
    colours = _colours(theme)

    assert _contrast(colours[part], colours[back]) >= 3.0


def test_both_ways_to_the_dark_theme_have_the_same_colours() -> None:
    assert _colours("dark") == _colours("dark by choice")
    assert _colours("dark").keys() == _colours("light").keys()


def test_the_style_sheet_asks_no_other_host_for_anything() -> None:
    assert "@import" not in STYLE
    assert "url(" not in STYLE


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "in less than a minute"),
        (59.9, "in less than a minute"),
        (-1, "less than a minute ago"),
        (60, "in 1 min"),
        (3599, "in 59 min"),
        (-119, "1 min ago"),
        (3 * 3600 + 300, "in 3 h 05 min"),
        (-(2 * 86400 + 4 * 3600), "2 d 4 h ago"),
    ],
)
def test_a_distance_is_told_to_the_minute(seconds: float, words: str) -> None:
    assert distance(1_800_000_000 + seconds, now=1_800_000_000) == words


@pytest.mark.parametrize("ahead", [10.0, 500.0, 5_000.0, 50_000.0, 500_000.0, -10.0, -500.0, -50_000.0])
def test_a_distance_changes_at_most_about_once_a_minute(ahead: float) -> None:
    told = [distance(1_800_000_000 + ahead, now=1_800_000_000 + second) for second in range(120)]

    assert len(set(told)) <= 4


@pytest.mark.parametrize(
    ("part", "whole", "width"), [(1, 4, 25.0), (5, 4, 100.0), (-1, 4, 0.0), (0, 0, 0.0), (1, 3, 33.33)]
)
def test_a_part_of_a_bar_never_leaves_it(part: float, whole: float, width: float) -> None:
    assert portion(part, whole) == width


def test_every_status_has_a_badge_and_work_that_left_something_warns() -> None:
    kinds = {status: badge(_execution(status)) for status in ExecutionStatus}

    assert kinds[ExecutionStatus.COMPLETED] == "ok"
    assert kinds[ExecutionStatus.FAILED] == "bad"
    assert badge(_execution(ExecutionStatus.COMPLETED, exit_code=1)) == "warn"


def _execution(status: ExecutionStatus, *, exit_code: int | None = None) -> ScheduleExecution:
    return ScheduleExecution(
        execution_id="one", schedule_id="nightly", start_time=0.0, status=status, exit_code=exit_code
    )


def _colours(theme: str) -> dict[str, str]:
    blocks = re.findall(r"\{([^{}]*--page:[^{}]*)\}", (STYLES / "10-base.css").read_text())
    return dict(re.findall(r"(--[a-z-]+):\s*(#[0-9a-f]{6})", blocks[THEMES[theme]]))


def _contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2.2 defines it."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)
