"""What ran, as a browser shows it: the history, one execution from its record and its log, the statistics."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from lab import RunProgram, StartProgram
from lab.dashboard import Dashboard
from rebalancer import records
from rebalancer.executions.execution import DiskFill, Event, ExecutionStatus, LeftFile, ScheduleExecution
from rebalancer.state import StateFolders
from rebalancer.web.detail import LOG_SHOWN, changes_of, end_of_log, reasons_of, steps_of
from rebalancer.web.history import harmless, why_of
from rebalancer.web.trends import spread_of, trends_of

NOW = 1_790_000_000.0
HOSTILE = "<script>alert(1)</script>\x1b[31m\n=HYPERLINK"
FAILED, COMPLETED = ExecutionStatus.FAILED, ExecutionStatus.COMPLETED


def execution(number: int = 0, **fields: Any) -> ScheduleExecution:
    """Return the record of an execution that ran for 10 s, ``number`` minutes after the first."""
    schedule_id = fields.pop("schedule_id", "nightly")
    start = NOW + 60 * number
    told: dict[str, Any] = {
        "status": COMPLETED,
        "end_time": start + 10,
        "duration_seconds": 10.0,
        "bytes_moved": 5_000_000_000,
        "files_moved": 7,
        "exit_code": 0,
        "cause": "done",
    }
    return ScheduleExecution(
        execution_id=f"r{number:06d}-{schedule_id}", schedule_id=schedule_id, start_time=start, **(told | fields)
    )


def plant(state: Path, *executions: ScheduleExecution) -> Path:
    """Write records; returns their folder."""
    folder = state / "config" / "executions"
    folder.mkdir(mode=0o700, exist_ok=True)
    for one in executions:
        (folder / f"{one.execution_id}.json").write_bytes(records.encode(one))
    return folder


def listed(page: str) -> list[str]:
    return re.findall(r'<a href="/executions/(r\d+-\w+)">', page)


def link(page: str, words: str) -> str:
    """Return where a link leads; empty when the page has none of that name."""
    found = re.search(rf'<a href="([^"]+)"[^>]*>{words}</a>', page)
    return found[1].replace("&amp;", "&") if found is not None else ""


def drawings_of(page: str) -> list[ET.Element]:
    """Return the charts of a page; they are well-formed."""
    found = re.findall(r"<svg class=\"chart.*?</svg>", page, re.DOTALL)
    return [ET.fromstring(drawing) for drawing in found]  # noqa: S314 - our own page


def test_the_history_is_shown_page_by_page_and_keeps_its_filters(
    served: Dashboard, person: httpx.Client, state: Path
) -> None:
    nothing = person.get("/executions").text
    every = [
        execution(
            number, schedule_id="weekly" if number % 3 == 0 else "nightly", status=FAILED if number % 2 else COMPLETED
        )
        for number in range(160)
    ]
    plant(state, *every)

    pages = [person.get("/executions").text]
    while address := link(pages[-1], "Older"):
        pages.append(person.get(address).text)
    ours, address = [], "/executions?schedule=nightly&status=failed&from=2026-09-21"
    while address:
        page = person.get(address).text
        ours += listed(page)
        address = link(page, "Older")
        assert not address or "schedule=nightly&status=failed&from=2026-09-21&before=" in address
    later = person.get("/executions?from=2026-09-22").text
    past_the_end = person.get("/executions?before=1.0,r0-nightly").text

    assert "Nothing has run yet" in nothing
    assert [listed(page) for page in pages] == [
        [one.execution_id for one in reversed(every)][begin : begin + 50] for begin in (0, 50, 100, 150)
    ]
    assert ours == [
        one.execution_id for one in reversed(every) if one.schedule_id == "nightly" and one.status is FAILED
    ]
    assert link(pages[1], "Newest") == "/executions"
    assert link(pages[0], "Newest") == ""
    assert "No execution fits" in later
    assert "There is nothing older" in past_the_end
    assert "<option selected>nightly</option>" in page
    assert 'value="2026-09-21"' in page


@pytest.mark.parametrize("path", ["/executions", "/executions.csv"])
def test_a_filter_that_cannot_be_is_said_in_a_sentence(person: httpx.Client, path: str) -> None:
    for query, sentence in [
        ("status=tired", "status: &#39;tired&#39; is none of pending, running"),
        ("from=yesterday", "from: &#39;yesterday&#39; is no day"),
        ("from=0000-00-00", "is no day"),
        ("schedule=../x", "cannot be the id of a schedule"),
        ("before=nan,x", "that is no place in the list"),
        ("before=5", "that is no place in the list"),
    ]:
        answer = person.get(f"{path}?{query}")

        assert answer.status_code == 400
        assert sentence in answer.text


def test_the_history_as_csv_is_filtered_bounded_and_harmless_in_a_spreadsheet(
    person: httpx.Client, state: Path
) -> None:
    plant(
        state,
        *(execution(number, schedule_id="many") for number in range(1100)),
        execution(2000, status=FAILED, exit_code=-9, error_message='=cmd|"/c calc"!A1', actor="@root", cause="lost"),
        execution(2001, status=FAILED, error_message=HOSTILE),
    )

    answer = person.get("/executions.csv?status=failed")
    everything = list(csv.DictReader(io.StringIO(person.get("/executions.csv").text)))

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="executions.csv"'
    assert [row["execution_id"] for row in rows] == ["r002001-nightly", "r002000-nightly"]
    assert rows[0]["error_message"] == "<script>alert(1)</script>\\x1b[31m\\n=HYPERLINK"
    assert rows[1]["error_message"] == '\'=cmd|"/c calc"!A1'
    assert rows[1]["actor"] == "'@root"
    assert (rows[1]["exit_code"], rows[1]["started"]) == ("-9", "2026-09-22T23:33:20+00:00")
    assert len({row["execution_id"] for row in everything}) == len(everything) == 1102


def test_records_that_cannot_be_read_are_named_and_not_believed(person: httpx.Client, state: Path) -> None:
    folder = plant(state, execution(1))
    (folder / "r2-nightly.json").write_text("{")
    (folder / "r3-nightly.json").write_bytes(records.encode(execution(4)))

    page = person.get("/executions").text
    damaged = person.get("/executions/r2-nightly")
    unknown = person.get("/executions/r9-nightly")

    assert listed(page) == ["r000001-nightly"]
    assert "2 records cannot be read" in page
    assert "<code>r2-nightly.json</code>" in page
    assert "it holds the record of another execution" in page
    assert damaged.status_code == 500
    assert "This record cannot be read" in damaged.text
    assert unknown.status_code == 404
    assert "there is no execution r9-nightly" in unknown.text


def test_an_execution_is_told_from_its_record_and_hostile_names_are_text(person: httpx.Client, state: Path) -> None:
    before = (DiskFill("disk1", "/mnt/disk1", 1000, 900), DiskFill(HOSTILE, "/mnt/disk2", 1000, 100))
    after = (replace(before[0], used_bytes=500), replace(before[1], used_bytes=500))
    files = tuple(LeftFile("disk1", f"films/{HOSTILE} {number}", "in use by smbd") for number in range(12))
    told = execution(
        1,
        status=ExecutionStatus.CANCELLED,
        exit_code=130,
        cause="cancelled",
        error_message=HOSTILE,
        actor="root via the dashboard",
        fired_by="cron",
        attempt=2,
        slot="2026-09-21 15:00",
        held_seconds=300.0,
        bytes_planned=9_000_000_000,
        moves_planned=8,
        moves_done=3,
        left=(*files, LeftFile("disk1", "music", "it changed")),
        files_left=20,
        timeline=(
            Event(NOW, "due", "started by cron"),
            Event(NOW + 5, "held", HOSTILE),
            Event(NOW + 305, "started"),
            Event(NOW + 315, "ended", "cancelled"),
        ),
        disks_before=before,
        disks_after=after,
    )
    recovered = execution(2, moves_done=2, moves_planned=1, bytes_moved=6_000_000_000, bytes_planned=3_000_000_000)
    plant(state, told, recovered)

    page = person.get(f"/executions/{told.execution_id}").text
    more = person.get(f"/executions/{recovered.execution_id}").text

    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "films/&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m\\n=HYPERLINK 9" in page
    assert "HYPERLINK 10" not in page
    assert "and 2 more" in page
    assert "7 further files stayed" in page
    for fact in (
        "root via the dashboard", "attempt 2", "2026-09-21 15:00", "<dd>130</dd>", "5.00 GB</strong> of 9.00 GB planned",
        "3 of 8 planned", "500 MB/s", "5 min 00 s", "80.0 → 0.0 points", "nightly, deleted since", "The log is gone",
        "<code>unraid-rebalancer schedule run nightly</code>", "waited 5 min 00 s for what held it",
    ):  # fmt: skip
        assert fact in page, fact
    assert "/cancel" not in page
    assert "some of them begun by an earlier execution" in more
    assert "6.00 GB</strong></dd>" in more
    (drawing,) = drawings_of(page)
    assert drawing.get("role") == "img"
    assert "disk1 from 90.0 % to 50.0 %" in "".join(drawing.itertext())


def test_a_running_execution_is_shown_first_with_its_figures_and_its_end_afterwards(
    served: Dashboard, person: httpx.Client, run_program: RunProgram, start_program: StartProgram, state: Path
) -> None:
    plant(state, execution(10_000_000 // 60 + 200_000))  # it claims to have started later than what runs now
    process = start_program("schedule", "run", "slow")
    running = served.execution(person, "slow")
    name = running["execution_id"]

    history, page = person.get("/executions").text, person.get(f"/executions/{name}").text
    others = person.get("/executions?status=failed").text
    run_program("execution", "cancel", name, "--reason", "movie night", exit_code=0)
    process.communicate(timeout=20)
    ended = person.get(f"/executions/{name}").text
    (log,) = state.glob(f"runtime/*/logs/{name}.log")
    log.write_text("Segmentation <fault>\n")
    later = person.get(f"/executions/{name}").text

    assert re.findall(r'<a href="/executions/([^"]+)"><time', history)[0] == name
    assert '<span class="badge info">running</span>' in history
    assert name not in others
    assert f'<div id="live-run-{name}">' in page
    assert f'href="/executions/{name}/cancel"' in page
    assert "of 1." in page  # the figures: bytes done of those that are to be moved
    assert '<a href="/schedules/slow">slow</a>' in page
    assert '<span class="badge warn">cancelled</span>' in ended
    assert "movie night" in ended
    assert "Stopped by" in ended
    assert f"live-run-{name}" not in ended
    assert "The log is empty" in ended
    assert "Segmentation &lt;fault&gt;" in later


def test_statistics_show_figures_and_charts_with_the_same_data_as_tables(person: httpx.Client, state: Path) -> None:
    nothing = person.get("/statistics").text
    fills = {
        "disks_before": (DiskFill("a", "/a", 100, 90), DiskFill("b", "/b", 100, 10)),
        "disks_after": (DiskFill("a", "/a", 100, 60), DiskFill("b", "/b", 100, 40)),
    }
    plant(
        state,
        *(execution(number, **fills) for number in range(40)),
        execution(41, status=FAILED, bytes_moved=0),
        execution(42, schedule_id="other"),
    )

    every, ours = person.get("/statistics").text, person.get("/statistics/nightly").text
    more, wrong = person.get("/statistics/nightly?last=100").text, person.get("/statistics/nightly?last=7")
    unknown, unborn = person.get("/statistics/unheard-of"), person.get("/statistics/slow")

    assert "Nothing has run yet" in nothing
    assert '<a href="/statistics/nightly">nightly</a>' in every
    assert '<a href="/statistics/other">other</a>' in every
    assert "97.6 %" in ours  # 40 of 41
    for page, shown in ((ours, 30), (more, 41)):
        drawings = drawings_of(page)
        titles = [drawing.findtext("title") for drawing in drawings]
        assert [title.split(" ")[0] for title in titles if title] == [
            "How",
            "Duration",
            "Bytes",
            "Mean",
            "Spread",
            "How",
        ]
        assert all(drawing.findtext("desc") for drawing in drawings)
        assert len(drawings[0].findall("text")) == shown
        assert page.count("<summary>As a table</summary>") == 6
        assert page.count("<td>failed</td>") == 3
        assert page.count("<td>90.0 % → 60.0 %</td>") == shown - 1
    assert 'style="' not in ours
    assert (wrong.status_code, unknown.status_code, unborn.status_code) == (400, 404, 200)
    assert "It has not run yet" in unborn.text


def test_pages_are_for_those_who_are_let_in(served: Dashboard) -> None:
    with served.anybody() as stranger:
        for path in ("/executions", "/executions.csv", "/executions/x", "/statistics", "/statistics/slow"):
            answer = stranger.get(path)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/login")


# -- without the dashboard ------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> StateFolders:
    found = StateFolders(config=tmp_path / "config", runtime_root=tmp_path / "runtime")
    found.logs.mkdir(parents=True)
    return found


def test_only_the_end_of_a_long_log_is_read_from_a_whole_line_on(folders: StateFolders) -> None:
    lines = [f"line {number:08d}" for number in range(20_000)]
    (folders.logs / "x.log").write_text("\n".join(lines) + "\n")

    log = end_of_log(folders, "x")

    assert log is not None
    assert log.is_cut
    assert log.size == 20_000 * 14
    shown = log.text.split("\n")
    assert shown == lines[-len(shown) :]
    assert LOG_SHOWN - 28 < len(log.text) <= LOG_SHOWN


def test_a_log_is_made_safe_to_show(folders: StateFolders) -> None:
    (folders.logs / "x.log").write_bytes(b"one\r\n\x1b[31mtwo\xff\x00\nthree\n")

    log = end_of_log(folders, "x")

    assert log is not None
    assert log.text == "one\n\\x1b[31mtwo\\xff\\x00\nthree"
    assert not log.is_cut


def test_a_log_that_is_a_link_or_no_plain_file_is_not_read(folders: StateFolders, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folders.logs / "link.log").symlink_to(tmp_path / "secret")
    (folders.logs / "folder.log").mkdir()

    assert [end_of_log(folders, name) for name in ("link", "folder", "gone")] == [None, None, None]


def test_steps_tell_the_time_between_and_the_last_one_lasts_until_now() -> None:
    timeline = (Event(NOW, "due"), Event(NOW + 5, "held", "a parity check runs"))
    running = execution(status=ExecutionStatus.RUNNING, end_time=None, timeline=timeline)

    steps = steps_of(running, now=NOW + 65, timezone="Europe/Berlin")
    ended = steps_of(replace(running, status=FAILED, end_time=NOW + 65), now=NOW + 999, timezone="UTC")

    assert [(step.what, step.after, step.lasted) for step in steps] == [("due", 0.0, 5.0), ("held", 5.0, 60.0)]
    assert [step.clock for step in steps] == ["2026-09-21 16:13:20", "2026-09-21 16:13:25"]
    assert ended[-1].lasted is None


def test_reasons_are_counted_the_most_frequent_first() -> None:
    left = [LeftFile("d", str(number), "in use" if number % 3 else "it changed") for number in range(30)]

    first, second = reasons_of(left)

    assert (first.reason, first.count, len(first.first)) == ("in use", 20, 10)
    assert (second.reason, second.count, second.first[1].path) == ("it changed", 10, "3")


def test_a_disk_that_was_noted_once_only_is_shown_without_a_change() -> None:
    before = (DiskFill("a", "/a", 100, 50), DiskFill("b", "/b", 0, 0))
    after = (DiskFill("a", "/a", 100, 40), DiskFill("c", "/c", 100, 7))

    found = {one.name: (one.before, one.after, one.by) for one in changes_of(before, after)}

    assert found == {"a": (50, 40, -10), "b": (0, None, None), "c": (None, 7, None)}


@pytest.mark.parametrize("begin", list("=+-@\t\r"))
def test_a_cell_never_begins_like_a_formula(begin: str) -> None:
    assert harmless(f"{begin}1").startswith("'")
    assert harmless("a=1") == "a=1"


def test_why_an_execution_ended_is_one_line() -> None:
    held = Event(NOW, "held", "a parity check runs")

    assert why_of(execution()) == ""
    assert why_of(execution(files_left=1200)) == "1,200 left where they were"
    assert why_of(execution(cause="window closed")) == "window closed"
    assert why_of(execution(error_message="no space")) == "no space"
    assert why_of(execution(status=ExecutionStatus.PENDING, timeline=(held,))) == "held: a parity check runs"


def test_trends_of_nothing_and_of_one_execution_without_disks() -> None:
    assert trends_of([], timezone="UTC").charts == ()

    one = trends_of([execution()], timezone="UTC")
    active = trends_of([execution(status=ExecutionStatus.RUNNING, end_time=None)], timezone="UTC")

    assert [chart.name for chart in one.charts] == ["success", "duration", "bytes", "speed"]
    assert [chart.name for chart in active.charts] == ["success"]
    assert one.charts[1].drawing.description == "one execution: 10 s"
    assert one.charts[3].lines[0].cells[1:] == ("completed", "500 MB/s")
    assert spread_of(()) == 0.0


def test_each_way_to_end_has_a_letter_of_its_own() -> None:
    ways = [execution(number, status=status) for number, status in enumerate(ExecutionStatus)]
    ways.append(execution(50, exit_code=1))

    marks = trends_of(ways, timezone="UTC").marks

    assert len({mark.letter for mark in marks}) == len(marks) == 7
