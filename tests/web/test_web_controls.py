"""Stopping from the pages: a real run is cancelled, everything is stopped, and the state may be damaged."""

import os
import re
import time
from pathlib import Path

import httpx
import pytest

from lab import RunProgram, StartProgram
from lab.dashboard import Dashboard
from lab.program import register
from rebalancer.web.pages.controls import LONGEST_REASON


def test_an_execution_is_cancelled_through_the_page_that_says_what_will_happen(
    served: Dashboard, person: httpx.Client, start_program: StartProgram, run_program: RunProgram
) -> None:
    process = start_program("schedule", "run", "slow")
    running = served.execution(person, "slow")["execution_id"]
    asked = person.get(f"/executions/{running}/cancel")
    answer = person.post(f"/executions/{running}/cancel", data={"reason": " the  film\nis needed "})
    noted = person.get("/").text
    process.communicate(timeout=20)
    record = run_program("execution", "show", running, "--json").document

    assert "every file is complete on one of its disks whenever it is stopped" in asked.text.lower()
    assert (answer.status_code, answer.headers["location"]) == (303, f"/executions/{running}")
    assert "Cancel: stopped, after" in noted
    assert (record["status"], record["error_message"]) == ("cancelled", "the film is needed")
    assert record["actor"] == "dashboard (127.0.0.1)"


def test_asking_changes_nothing(served: Dashboard, person: httpx.Client, start_program: StartProgram) -> None:
    start_program("schedule", "run", "slow")
    running = served.execution(person, "slow")["execution_id"]
    asked = [person.get(path) for path in (f"/executions/{running}/cancel", "/emergency-stop")]
    released = person.get("/emergency-stop/release")

    assert [answer.status_code for answer in asked] == [200, 200]
    assert running in asked[1].text
    assert released.status_code == 405
    assert served.execution(person, "slow")["execution_id"] == running


def test_what_has_ended_is_left_as_it_is(
    served: Dashboard, person: httpx.Client, run_program: RunProgram, state: Path
) -> None:
    ended = register(state, "other", os.getpid(), "0")
    before = (state / "config" / "executions" / f"{ended}.json").read_bytes()
    asked = person.get(f"/executions/{ended}/cancel")
    answer = person.post(f"/executions/{ended}/cancel", data={"reason": "too late"})
    noted = person.get("/").text

    assert "has ended already (completed)" in asked.text
    assert '<button class="danger">' not in asked.text
    assert answer.status_code == 303
    assert "has ended already (completed); nothing was done" in noted
    assert (state / "config" / "executions" / f"{ended}.json").read_bytes() == before


def test_what_never_was_cannot_be_cancelled(person: httpx.Client) -> None:
    for execution_id in ("20260101T000000Z-slow-abcdef", "-", "x" * 300):
        assert person.get(f"/executions/{execution_id}/cancel").status_code == 404
        assert person.post(f"/executions/{execution_id}/cancel", data={}).status_code == 404


def test_everything_is_stopped_and_held_until_it_is_released(
    served: Dashboard, person: httpx.Client, start_program: StartProgram, run_program: RunProgram
) -> None:
    process = start_program("schedule", "run", "slow")
    running = served.execution(person, "slow")["execution_id"]
    stopped = person.post("/emergency-stop", data={"hold": "1", "reason": "disk3 makes <noises>"})
    process.communicate(timeout=20)
    held = person.get("/").text
    refused = run_program("schedule", "run", "slow", exit_code=75)
    released = person.post("/emergency-stop/release", data={})
    after = person.get("/").text

    assert stopped.status_code == 200
    assert running in stopped.text
    assert re.search(r'class="badge ok">stopped<', stopped.text)
    assert "Still at work" not in stopped.text
    assert "disk3 makes &lt;noises&gt;" in held
    assert 'action="/emergency-stop/release"' in held
    assert refused.exit_code == 75
    assert (released.status_code, released.headers["location"]) == (303, "/")
    assert "Executions may start again." in after
    assert "disk3 makes" not in after.partition("heading-last")[0]


def test_without_anything_running_a_stop_says_so_and_holds_nothing_unasked(person: httpx.Client, state: Path) -> None:
    asked, stopped = person.get("/emergency-stop"), person.post("/emergency-stop", data={"reason": "just to be sure"})
    released = person.post("/emergency-stop/release", data={})

    assert "Nothing is known to run" in asked.text
    assert (stopped.status_code, "Nothing was running" in stopped.text) == (200, True)
    assert not (state / "config" / "hold.json").exists()
    assert released.status_code == 303
    assert "Nothing was held." in person.get("/").text


@pytest.mark.parametrize("damage", ["settings", "records", "index"])
def test_an_emergency_stop_works_while_the_state_is_damaged(
    damage: str, served: Dashboard, person: httpx.Client, start_program: StartProgram, state: Path
) -> None:
    process = start_program("schedule", "run", "slow")
    running = served.execution(person, "slow")["execution_id"]
    if damage == "settings":
        (state / "config" / "config.toml").write_text("[[disk\n")
    elif damage == "records":
        (state / "config" / "executions" / f"{running}.json").write_text("{")
    else:
        (index,) = (state / "runtime").glob("*/index.sqlite")
        index.write_bytes(b"no index")
    asked = person.get("/emergency-stop")
    begun = time.monotonic()
    stopped = person.post("/emergency-stop", data={})
    seconds = time.monotonic() - begun
    process.communicate(timeout=20)

    assert (asked.status_code, running in asked.text) == (200, True)
    assert (stopped.status_code, running in stopped.text) == (200, True)
    assert re.search(r'class="badge ok">stopped<', stopped.text)
    assert "Still at work" not in stopped.text
    assert seconds < 4


def test_a_hold_that_cannot_be_written_is_said_and_everything_is_stopped_all_the_same(
    served: Dashboard, person: httpx.Client, start_program: StartProgram, state: Path
) -> None:
    process = start_program("schedule", "run", "slow")
    served.execution(person, "slow")
    (state / "config" / "hold.json").mkdir()
    stopped = person.post("/emergency-stop", data={"hold": "1"})
    process.communicate(timeout=20)

    assert stopped.status_code == 200
    assert "new executions may start: the hold cannot be written" in stopped.text
    assert "Still at work" not in stopped.text
    assert process.returncode != 0


def test_an_endless_reason_is_cut_and_the_stop_is_made(person: httpx.Client, state: Path) -> None:
    stopped = person.post("/emergency-stop", data={"hold": "1", "reason": "x" * (LONGEST_REASON + 100)})
    kept = (state / "config" / "hold.json").read_text()

    assert stopped.status_code == 200
    assert "x" * LONGEST_REASON in kept
    assert "x" * (LONGEST_REASON + 1) not in kept


def test_nobody_stops_anything_without_the_session_s_token(served: Dashboard, person: httpx.Client) -> None:
    token = person.headers.pop("x-csrf-token")
    paths = ["/emergency-stop", "/emergency-stop/release", "/executions/20260101T000000Z-slow-abcdef/cancel"]
    forged = [person.post(path, data={}).status_code for path in paths]
    with served.anybody() as stranger:
        unknown = [stranger.post(path, data={"csrf": token}).status_code for path in paths]

    assert forged == [403, 403, 403]
    assert unknown == [401, 401, 401]
