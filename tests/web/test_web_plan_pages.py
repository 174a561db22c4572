"""The plan pages as a person uses them, without any script: choose, look, run; and what they say when it cannot be."""

import json
import os
import re
import signal
import subprocess
import time
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab import RunProgram
from lab.dashboard import Dashboard
from rebalancer import records
from rebalancer.executions.process import TOKEN, identity_of

_PATIENCE = 30.0  # seconds
HOSTILE = "<script>alert(1)</script>\n\x1b[31m'\"&"


def posted(person: httpx.Client, path: str, **fields: Any) -> httpx.Response:
    return person.post(path, data={"csrf": person.headers["x-csrf-token"], **fields})


def shown(person: httpx.Client, path: str) -> httpx.Response:
    """Follow a plan's page as a browser does, which loads it again while it says so; returns the page that stays."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        answer = person.get(path)
        if "refresh" not in answer.headers:
            return answer
        assert answer.headers["refresh"] == "2"
        time.sleep(0.1)
    raise AssertionError(f"{path} loads itself again and again")


def planned(person: httpx.Client, **fields: Any) -> httpx.Response:
    """Ask for a plan through the form; returns the page that shows it."""
    answer = posted(person, "/plan", **{"strategy": "even", "reserve": "1MB", **fields})
    assert answer.status_code == 303, text(answer)
    return shown(person, answer.headers["location"])


def text(answer: httpx.Response) -> str:
    """Return what a page says, without its tags."""
    body = answer.text.partition('<main id="main"')[2].partition(">")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def final(run_program: RunProgram, execution_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        record: dict[str, Any] = run_program("execution", "show", execution_id, "--json", exit_code=0).document
        if record["end_time"] is not None:
            return record
    raise AssertionError(f"{execution_id} does not end")


def files(state: Path, plan_id: str) -> Path:
    (folder,) = (state / "runtime").glob("*/dashboard/plans")
    return folder / plan_id


def test_a_person_makes_a_plan_looks_at_it_and_has_it_carried_out(
    person: httpx.Client, disks: list[Path], run_program: RunProgram
) -> None:
    form = person.get("/plan")
    page = planned(person, to_disks="disk2")
    path = page.url.path
    confirmation = person.get(f"{path}/run")
    before = [len(list(disk.glob("films/*"))) for disk in disks]
    begun = posted(person, f"{path}/run", bandwidth_limit="900MB/s", verify="fast", max_runtime="1h", moves_at_once="1")
    record = final(run_program, begun.headers["location"].rpartition("/")[2])
    listed = text(person.get("/plan"))

    for word in ("Even", "Target", "Evacuate", "Gather", "Pack", "Repair", "disk1 2", "disk2 0.0 % full"):
        assert word in text(form)
    said = text(page)
    assert "3 moves, 1.2" in said
    assert re.search(r"disk1: 2\d\.\d % full before, 1\d\.\d % after", said)
    assert re.search(r"disk2: 0\.0 % full before, 1\d\.\d % after", said)
    assert "films/film" in said
    assert "Took" in said
    assert "--to=disk2" in said
    assert "the least possible" in said
    assert "disk2 was 0.0 % full, receives 3 units" in said
    assert "in 3 moves (3 files) go from disk1 to disk2 , beginning now" in text(confirmation)
    assert before == [6, 0]
    assert begun.status_code == 303
    assert begun.headers["location"].startswith("/executions/")
    assert (record["status"], record["files_moved"], record["schedule_id"]) == ("completed", 3, "manual")
    assert [len(list(disk.glob("films/*"))) for disk in disks] == [3, 3]
    assert "even done 3 1.2" in listed


def test_all_mistakes_are_shown_with_what_was_typed(person: httpx.Client) -> None:
    answer = posted(
        person, "/plan", strategy="even", tolerance="<much>", max_bytes="none", shares="a/b\nfilms", from_disks="disk2"
    )

    assert answer.status_code == 400
    said = text(answer)
    assert "3 fields need another look" in said
    assert "Tolerance : '<much>' is not a number of percentage points from 0 to 100" in said
    assert 'value="&lt;much&gt;"' in answer.text
    assert "a/b\nfilms</textarea>" in answer.text
    assert re.search(
        r'id="tolerance"[^>]*aria-describedby="tolerance-problem tolerance-hint"[^>]*aria-invalid', answer.text
    )
    assert re.search(r'name="from_disks" value="disk2" checked', answer.text)
    assert '<details class="plan-more" open>' in answer.text  # a mistake is not hidden
    assert "None yet." in said


def test_a_form_that_is_none_of_ours_is_refused(person: httpx.Client) -> None:
    for path in ("/plan", "/plan/20200101-000000-000000/run"):
        assert posted(person, path, script="x").status_code in {400, 404}
    assert "the form has no field" in text(posted(person, "/plan", script="x"))
    assert (
        person.post(
            "/plan", content=b"a=%ff&" + b"b=1&" * 300, headers={"content-type": "application/x-www-form-urlencoded"}
        ).status_code
        == 400
    )


@pytest.mark.parametrize("reason", [HOSTILE])
def test_names_from_the_disks_are_text_on_every_page(person: httpx.Client, disks: list[Path], reason: str) -> None:
    folder = disks[0] / "films" / os.fsdecode(reason.replace("/", "\u2215").encode())
    folder.mkdir()
    (folder / "film.mkv").write_bytes(b"x" * 3_000_000)

    page = planned(person, shares="films", min_unit_size="2MB")
    failed = planned(person, from_disks="<b>disk9</b>")
    again = person.get(f"/plan?like={failed.url.path.rpartition('/')[2]}")

    assert "films/<script>alert(1)<\u2215script>\\n\\x1b[31m'\"&" in text(page)
    for answer in (page, failed, again):
        assert "<script>alert" not in answer.text
        assert "<b>disk9" not in answer.text
        assert "\x1b" not in answer.text
    assert "no disk is called <b>disk9</b>" in text(failed)


def test_a_plan_that_cannot_be_made_tells_why_and_can_be_asked_for_again(
    person: httpx.Client, disks: list[Path]
) -> None:
    disks[1].rename(disks[1].with_name("elsewhere"))

    page = planned(person, strategy="evacuate", from_disks="disk2")
    again = person.get(f"/plan?like={page.url.path.rpartition('/')[2]}")
    removed = posted(person, f"{page.url.path}/remove")

    assert "There is no plan" in text(page)
    assert "the disk disk2 cannot take part" in text(page)
    assert re.search(r'value="evacuate" checked', again.text)
    assert re.search(r'name="from_disks" value="disk2" checked', again.text)
    assert "does not exist" in text(again)
    assert removed.headers["location"] == "/plan"
    assert person.get(page.url.path).status_code == 404


def test_a_run_that_does_not_start_says_what_the_program_said(
    person: httpx.Client, disks: list[Path], run_program: RunProgram
) -> None:
    path = planned(person).url.path
    run_program("emergency-stop", "--hold", "holiday", exit_code=0)
    held = posted(person, f"{path}/run", verify="full", max_runtime="90m")
    run_program("emergency-stop", "release", exit_code=0)
    wrong = posted(person, f"{path}/run", verify="full", bandwidth_limit="fast")
    disks[1].rename(disks[1].with_name("elsewhere"))
    gone = posted(person, f"{path}/run", verify="full")

    assert held.status_code == 409
    assert "It did not start: an emergency stop keeps everything from starting until" in text(held)
    assert 'value="90m"' in held.text
    assert wrong.status_code == 400
    assert "Bandwidth limit : 'fast' is not a size" in text(wrong)
    assert gone.status_code == 409
    assert "It did not start: disk2 must not be used now" in text(gone)
    assert len(list((disks[0] / "films").iterdir())) == 6


def test_a_plan_is_cancelled_from_its_page(person: httpx.Client, state: Path) -> None:
    for _ in range(20):
        path = posted(person, "/plan", strategy="even", reserve="1MB").headers["location"]
        plan_id = path.rpartition("/")[2]
        pid = json.loads(files(state, f"{plan_id}.asked.json").read_text())["process"]["pid"]
        os.kill(pid, signal.SIGSTOP)  # it is a child of the dashboard, which keeps its number until it is reaped
        making = person.get(path)
        if "refresh" in making.headers:
            break
    second = posted(person, "/plan", strategy="even", reserve="1MB")
    cancelled = posted(person, f"{path}/cancel")
    page = shown(person, path)

    assert "The plan is being made" in text(making)
    assert f'action="{path}/cancel"' in making.text
    assert second.status_code == 409
    assert f"that plan is being made already: {plan_id}" in text(second)
    assert cancelled.headers["location"] == path
    assert "cancelled by dashboard (127.0.0.1) before it was made" in text(page)


def test_the_page_of_a_plan_in_the_making_names_the_disks_being_read(
    person: httpx.Client, disks: list[Path], state: Path
) -> None:
    path = planned(person).url.path
    plan_id = path.rpartition("/")[2]
    files(state, f"{plan_id}.json").unlink()
    file, token = files(state, f"{plan_id}.asked.json"), "0" * 32
    with subprocess.Popen(["sleep", "600"], cwd=disks[1], env={TOKEN: token, "PATH": os.defpath}) as reader:
        try:
            process = records.to_builtins(identity_of(reader.pid, token))
            file.write_text(json.dumps({**json.loads(file.read_text()), "process": process}))
            page = person.get(path)
        finally:
            reader.kill()

    assert "Being read now: disk2 This page loads" in text(page)


def test_nothing_to_move_is_said_plainly_and_cannot_be_run(person: httpx.Client, disks: list[Path]) -> None:
    page = planned(person, exclude="films", tolerance="100")
    confirmation = person.get(f"{page.url.path}/run")

    assert text(page).startswith("Plans Nothing to move")
    assert f"{page.url.path}/run" not in page.text
    assert "there is nothing to run" in text(confirmation)
    assert f'action="{page.url.path}/run"' not in confirmation.text


def test_the_whole_plan_can_be_downloaded_and_its_page_shows_the_beginning(
    person: httpx.Client, disks: list[Path], state: Path, run_program: RunProgram
) -> None:
    for number in range(440):
        folder = disks[0] / "small" / f"{number:03}"
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x" * 8000)

    page = planned(person, shares="small", tolerance="0")
    download = person.get(f"{page.url.path}.json")
    moves = download.json()["moves"]

    assert len(moves) > 200
    assert f"The first 200 of {len(moves)} moves" in text(page)
    assert page.text.count("small/") >= 200
    assert page.text.count("<tr>") < 230
    assert download.headers["content-type"] == "application/json"
    assert "attachment" in download.headers["content-disposition"]
    assert len(page.content) < 150_000


def test_a_plan_becomes_a_schedule_that_asks_for_the_same(person: httpx.Client) -> None:
    page = planned(person, strategy="target", target_percent="15", shares="films", reserve="2%")
    (address,) = re.findall(r'href="(/schedules/new\?plan=[^"]+)"', page.text)
    form = person.get(address).text
    found = {
        "strategy": re.search(r'<option value="(\w+)" selected', form),
        "target_percent": re.search(r' name="target_percent" value="([^"]*)"', form),
        "reserve": re.search(r' name="reserve" value="([^"]*)"', form),
        "shares": re.search(r'<textarea[^>]* name="shares"[^>]*>\n([^<]*)<', form),
    }

    assert {name: match[1] for name, match in found.items() if match is not None} == {
        "strategy": "target",
        "target_percent": "15%",
        "reserve": "2%",
        "shares": "films",
    }
    assert person.get("/schedules/new?plan=20200101-000000-000000").status_code == 404


def test_an_old_plan_says_its_age_and_may_still_be_run(person: httpx.Client, state: Path) -> None:
    path = planned(person).url.path
    file = files(state, f"{path.rpartition('/')[2]}.asked.json")
    asked = json.loads(file.read_text())
    fresh = text(person.get(path))
    file.write_text(json.dumps({**asked, "requested_at": asked["requested_at"] - 7300}))
    old, confirmation = person.get(path), person.get(f"{path}/run")

    assert "This plan was made" not in fresh
    assert "This plan was made 2 h 01 min ago" in text(old)
    assert f'href="{path}/run"' in old.text
    assert "what has changed since stays where it is" in text(confirmation)


def test_a_schedule_s_plan_of_today_is_shown_and_when_it_would_do_nothing(
    person: httpx.Client, run_program: RunProgram
) -> None:
    run_program(
        "schedule", "create", "rare", "--cron", "0 3 * * *", "--above-percent", "90", "--bandwidth-limit", "50MB/s",
        exit_code=0,
    )  # fmt: skip
    slow, rare = (posted(person, f"/plan/schedules/{schedule}") for schedule in ("slow", "rare"))
    usual, idle = (shown(person, answer.headers["location"]) for answer in (slow, rare))
    confirmation = person.get(f"{idle.url.path}/run")

    assert "3 moves" in text(usual)
    assert "would do nothing today" not in text(usual)
    assert "No disk is fuller than 90.0 %, so the schedule would do nothing today" in text(idle)
    assert 'href="/schedules/rare"' in idle.text
    assert 'value="50MB/s"' in confirmation.text
    assert posted(person, "/plan/schedules/nope").status_code == 404


def test_looking_begins_nothing(served: Dashboard, person: httpx.Client, state: Path) -> None:
    person.get("/plan")
    for path in ("/plan/schedules/slow", "/plan/20200101-000000-000000", "/plan/x/cancel"):
        assert person.get(path).status_code in {404, 405}, path

    assert list((state / "runtime").glob("*/dashboard/plans")) == []
    with served.anybody() as stranger:
        assert stranger.get("/plan").headers["location"] == "/login?next=/plan"
