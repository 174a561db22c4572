"""What programs ask and do: the same figures and acts as on the command line, in their own name, or a sentence why not."""

import json
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs

from lab import RunProgram
from lab.dashboard import Dashboard
from rebalancer.errors import UsageError
from rebalancer.executions.statistics import ScheduleStatistics
from rebalancer.guards.options import GuardOptions
from rebalancer.planning.selection import Selection, Strategy
from rebalancer.schedules import validation
from rebalancer.schedules.schedule import Schedule
from rebalancer.web.api.wanted import NewSchedule, WantedGuards, WantedSchedule, WantedSelection

JSON = {"content-type": "application/json"}
NOT_FOR_PROGRAMS = {
    "schedule_id",
    "created_at",
    "updated_at",
    "suspension",
}  # of a schedule; suspending has its own act


def test_what_programs_may_say_is_all_that_a_schedule_holds() -> None:
    assert set(WantedSchedule.__struct_fields__) == set(Schedule.__struct_fields__) - NOT_FOR_PROGRAMS
    assert WantedSelection.__struct_fields__ == Selection.__struct_fields__
    assert WantedGuards.__struct_fields__ == GuardOptions.__struct_fields__


def test_what_is_left_out_stays_and_null_takes_a_limit_away() -> None:
    before = Schedule(
        schedule_id="x",
        cron="15 4 * * *",
        above_percent=90.0,
        selection=Selection(max_bytes=5, shares=("films",)),
        guards=GuardOptions(max_streams=2),
    )
    said = WantedSchedule(above_percent=None, selection=WantedSelection(max_bytes=None, strategy=Strategy.REPAIR))

    after = said.applied_to(before)

    assert after == structs.replace(
        before, above_percent=None, selection=Selection(shares=("films",), strategy=Strategy.REPAIR)
    )


def test_a_new_schedule_is_judged_by_the_same_rules_as_any() -> None:
    wanted = NewSchedule(cron="15 4 * * *", selection=WantedSelection(min_age=-1))

    with pytest.raises(UsageError, match="min_age: allowed is"):
        validation.check(structs.replace(wanted.applied_to(Schedule(schedule_id="", cron="")), schedule_id="x"))


def test_schedules_are_made_changed_and_removed(served: Dashboard, run_program: RunProgram) -> None:
    with served.program() as program:
        made = program.post(
            "/api/v1/schedules",
            json={"template": "nightly", "name": "Only films", "selection": {"shares": ["films"]}, "retries": 2},
        )
        changed = program.patch("/api/v1/schedules/only-films", json={"guards": {"max_streams": 3}, "retries": 1})
        disabled = program.post("/api/v1/schedules/only-films/disable")
        none = program.get("/api/v1/schedules/only-films/next")
        enabled = program.post("/api/v1/schedules/only-films/enable")
        coming = program.get("/api/v1/schedules/only-films/next?count=3").json()
        shown = run_program("schedule", "show", "only-films", "--json", exit_code=0).document
        asked = program.get("/api/v1/schedules/only-films").json()
        listed = [one["schedule_id"] for one in program.get("/api/v1/schedules").json()]
        removed = program.delete("/api/v1/schedules/only-films")
        gone = program.get("/api/v1/schedules/only-films")

    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/schedules/only-films")
    assert made.json()["selection"]["max_runtime"] == 3 * 3600  # the template's
    assert made.json()["selection"]["shares"] == ["films"]
    assert isinstance(made.json()["warnings"], list)
    assert (changed.json()["guards"]["max_streams"], changed.json()["retries"]) == (3, 1)
    assert changed.json()["selection"]["shares"] == ["films"]
    assert (disabled.json()["state"], none.json()) == ("disabled", [])
    assert enabled.json()["state"] == "enabled"
    assert [one["local"][10:16] for one in coming] == ["T04:15"] * 3
    assert asked == shown
    assert listed == ["only-films", "slow"]
    assert (removed.json()["deleted"], gone.status_code) == (True, 404)


def test_what_cannot_be_is_refused_with_a_sentence_and_changes_nothing(served: Dashboard) -> None:
    with served.program() as program:
        before = program.get("/api/v1/schedules").json()
        for method, path, sent, status, sentence in (
            ("POST", "schedules", {"cron": "15 4 * * *", "colour": "red"}, 400, "unknown field `colour`"),
            ("POST", "schedules", {"cron": 5}, 400, "cron: expected `str`, got `int`"),
            ("POST", "schedules", {"cron": "61 4 * * *"}, 400, "cron"),
            ("POST", "schedules", {"name": "no time"}, 400, "say when it runs"),
            ("POST", "schedules", {"template": "hourly"}, 400, "template: 'hourly' is none of"),
            ("POST", "schedules", {"cron": "15 4 * * *", "name": "ночь"}, 400, "schedule_id: no id can be made"),
            ("POST", "schedules", {"cron": "15 4 * * *", "schedule_id": "../x"}, 400, "schedule_id"),
            ("POST", "schedules", {"cron": "15 4 * * *", "schedule_id": "slow"}, 409, "there is a schedule slow"),
            ("POST", "schedules", None, 400, "send a body of JSON"),
            ("PATCH", "schedules/slow", {"selection": {"min_age": "3"}}, 400, "selection.min_age: expected `int`"),
            ("PATCH", "schedules/slow", {"selection": {"target_percent": 50}}, 400, "only the strategy target"),
            ("PATCH", "schedules/slow", {"retries": 11}, 400, "retries: allowed is 0 to 10"),
            ("PATCH", "schedules/nope", {"retries": 1}, 404, "there is no schedule nope"),
            ("DELETE", "schedules/nope", None, 404, "there is no schedule nope"),
            ("POST", "schedules/nope/run", None, 404, "there is no schedule nope"),
            ("POST", "schedules/slow/suspend", {"until": 1.0}, 400, "name a time to come"),
            ("POST", "schedules/slow/suspend", {"reason": "x" * 501}, 400, "reason: at most 500"),
            ("POST", "executions/20260101T000000Z-slow-000000/cancel", None, 404, "there is no execution"),
            ("POST", "executions/cleanup", {"days": -1}, 400, "days: allowed is 0 or more"),
            ("POST", "emergency-stop", {"hold_reason": "a\x1b[2Jb"}, 400, "hold_reason"),
            ("GET", "executions?limit=0", None, 400, "limit: expected `int` >= 1"),
            ("GET", "executions?status=lost", None, 400, "status: invalid enum value"),
            ("GET", "executions?schedule_id=nope", None, 404, "there is no schedule nope"),
            ("GET", "executions/nope", None, 404, "there is no execution"),
            ("GET", "executions/nope/log", None, 404, "there is no execution"),
            ("GET", "statistics/nope", None, 404, "there is no schedule nope"),
            ("GET", "schedules/slow/next?count=1001", None, 400, "count: expected `int` <= 1000"),
        ):
            answer = (
                program.request(method, f"/api/v1/{path}", json=sent)
                if sent
                else program.request(method, f"/api/v1/{path}")
            )
            assert (answer.status_code, list(answer.json())) == (status, ["error"]), (path, answer.text)
            assert sentence in answer.json()["error"], (path, answer.text)
        assert program.get("/api/v1/schedules").json() == before


def test_a_body_that_is_no_json_is_refused_in_words(served: Dashboard) -> None:
    with served.program() as program:
        answers = [
            program.post("/api/v1/schedules", content=body, headers={"content-type": kind})
            for body, kind in (
                (b'{"cron": ', JSON["content-type"]),
                (b'{"name": "\xff"}', JSON["content-type"]),
                (b"[" * 30_000, JSON["content-type"]),
                (b'{"selection":' * 4_000, JSON["content-type"]),
                (b"cron=1", "application/x-www-form-urlencoded"),
                (b"x" * 70_000, JSON["content-type"]),
            )
        ]

    assert [answer.status_code for answer in answers] == [400, 400, 400, 400, 415, 413]
    assert all(list(answer.json()) == ["error"] for answer in answers)


def test_a_run_is_started_once_watched_and_cancelled_in_the_name_of_the_token(
    served: Dashboard, run_program: RunProgram, state: Path
) -> None:
    with served.program(name="robot") as program:
        both = _at_once(program, "/api/v1/schedules/slow/run")
        begun = next(answer.json() for answer in both if answer.status_code == 201)
        served.execution(program, "slow")
        path = f"/api/v1/executions/{begun['execution_id']}"
        running = program.get("/api/v1/executions/running").json()
        verdict = program.post(f"{path}/cancel", json={"reason": "film night"})
        again = program.post(f"{path}/cancel")
        record = program.get(path).json()
        log = program.get(f"{path}/log")
        statistics = program.get("/api/v1/statistics/slow").json()
        found = {
            status: [one["execution_id"] for one in program.get(f"/api/v1/executions?status={status}").json()]
            for status in ("cancelled", "completed")
        }
        later = program.get(f"/api/v1/executions?schedule_id=slow&since={record['start_time'] + 1}").json()
        cleaned = program.post("/api/v1/executions/cleanup", json={"days": 0, "dry_run": True}).json()

    assert sorted(answer.status_code for answer in both) == [201, 409]
    assert [one["execution_id"] for one in running] == [begun["execution_id"]]
    assert (verdict.status_code, verdict.json()["verdict"]) == (200, "stopped")
    assert (again.status_code, again.json()["verdict"]) == (200, "was not running")
    assert (record["status"], record["actor"]) == ("cancelled", "token robot")
    assert record["error_message"] == "film night"
    assert (log.status_code, log.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert found == {"cancelled": [begun["execution_id"]], "completed": []}
    assert later == []
    assert cleaned == {"removed": [], "set_aside": [], "bytes_freed": 0}  # the newest always stays
    assert record == run_program("execution", "show", begun["execution_id"], "--json", exit_code=0).document
    assert statistics == run_program("schedule", "stats", "slow", "--json", exit_code=0).document
    assert [field.name for field in fields(ScheduleStatistics)] == list(statistics)[:-1]
    entries = [json.loads(line) for line in (state / "config" / "audit.jsonl").read_text().splitlines()]
    assert {entry["actor"] for entry in entries if entry["action"] == "cancel"} == {"token robot"}


def _at_once(program: httpx.Client, path: str) -> list[httpx.Response]:
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(program.post(path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_a_run_pauses_goes_on_and_ends_with_its_schedule_s_rest(served: Dashboard) -> None:
    with served.program(name="robot") as program:
        begun = program.post("/api/v1/schedules/slow/run").json()
        path = f"/api/v1/executions/{begun['execution_id']}"
        served.execution(program, "slow")
        paused = program.post(f"{path}/pause", json={"reason": "a film"})
        held = _until(program, path, "paused")
        went_on = program.post(f"{path}/continue")
        until = time.time() + 3600
        rested = program.post("/api/v1/schedules/slow/suspend", json={"reason": "holidays", "until": until}).json()
        record = program.get(path).json()
        health = program.get("/api/v1/schedules/health").json()
        resumed = program.post("/api/v1/schedules/slow/resume").json()
        late = program.post(f"{path}/pause")

    assert paused.status_code == 200
    assert (held["why"], held["guards"]) == ("paused by token robot: a film", ["by hand"])
    assert went_on.json() == {"was_paused": True}
    assert (rested["state"], rested["suspension"]["reason"], rested["suspension"]["until"]) == (
        "suspended", "holidays", until,
    )  # fmt: skip
    assert [one["verdict"] for one in rested["executions"]] == ["stopped"]
    assert record["status"] == "suspended"
    assert [(one["schedule_id"], one["condition"]) for one in health] == [("slow", "suspended")]
    assert (resumed["state"], resumed["executions"]) == ("enabled", [])
    assert late.status_code == 403


def _until(program: httpx.Client, path: str, what: str) -> dict[str, Any]:
    """Wait until an execution has noted something; returns that event."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        for event in program.get(path).json()["timeline"]:
            if event["what"] == what:
                return dict(event)
        time.sleep(0.1)
    raise AssertionError(f"it was not {what}")


def test_an_emergency_stop_answers_also_when_nothing_runs(served: Dashboard, run_program: RunProgram) -> None:
    with served.program() as program:
        nothing = program.post("/api/v1/emergency-stop")
        begun = program.post("/api/v1/schedules/slow/run").json()
        served.execution(program, "slow")
        stopped = program.post("/api/v1/emergency-stop", json={"hold_reason": "smoke"}).json()
        hold = program.get("/api/v1/overview").json()["hold"]
        released = [program.post("/api/v1/emergency-stop/release").json() for _ in range(2)]
        disks = program.get("/api/v1/disks").json()
        templates = [one["name"] for one in program.get("/api/v1/templates").json()]

    assert (nothing.status_code, nothing.json()) == (200, [])
    assert [(one["execution_id"], one["verdict"]) for one in stopped] == [(begun["execution_id"], "stopped")]
    assert hold["reason"] == "smoke"
    assert released == [{"was_held": True}, {"was_held": False}]
    assert disks == run_program("disks", "--json", exit_code=0).document
    assert templates == ["nightly", "weekly", "above", "idle"]
