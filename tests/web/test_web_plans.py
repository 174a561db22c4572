"""Plans as programs ask for them: made by processes of their own, found again, cancelled, carried out."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab import RunProgram
from lab.dashboard import Dashboard, dashboard
from rebalancer import records
from rebalancer.executions.process import boot_id, identity_of
from rebalancer.web.plans import LARGEST_SHOWN, MOST_KEPT

_PATIENCE = 30.0  # seconds


@pytest.fixture
def program(served: Dashboard) -> Iterator[httpx.Client]:
    with served.program() as client:
        yield client


def settled(client: httpx.Client, plan_id: str) -> dict[str, Any]:
    """Wait until a plan is not being made any more; returns how it stands."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(f"/api/v1/plans/{plan_id}").json()["job"]
        if job["state"] != "running":
            return job
        time.sleep(0.05)
    raise AssertionError(f"{plan_id} is still being made")


def made(client: httpx.Client, **wish: Any) -> str:
    """Have a plan made; returns its id."""
    answer = client.post("/api/v1/plans", json=wish)
    assert answer.status_code == 202, answer.text
    plan_id: str = answer.json()["plan_id"]
    assert settled(client, plan_id)["state"] == "done"
    return plan_id


def folder_of(state: Path) -> Path:
    (found,) = (state / "runtime").glob("*/dashboard/plans")
    return found


@dataclass(frozen=True, slots=True)
class Halted:
    """A plan whose process stands still."""

    plan_id: str
    pid: int


@contextmanager
def halted(client: httpx.Client, state: Path, **wish: Any) -> Iterator[Halted]:
    """Stop the process of a plan before it has made it; one that was quicker is asked for again."""
    for _ in range(20):
        answer = client.post("/api/v1/plans", json=wish)
        assert answer.status_code == 202, answer.text
        plan_id = answer.json()["plan_id"]
        pid = json.loads((folder_of(state) / f"{plan_id}.asked.json").read_text())["process"]["pid"]
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            continue
        if client.get(f"/api/v1/plans/{plan_id}").json()["job"]["state"] == "running":
            try:
                yield Halted(plan_id, pid)
            finally:
                let_go_on(pid)
            return
        os.kill(pid, signal.SIGCONT)
    raise AssertionError("every plan was made before it could be stopped")


def let_go_on(pid: int) -> None:
    """Let a process go on that may have ended already."""
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return


def test_a_plan_is_made_read_carried_out_and_forgotten(
    program: httpx.Client, disks: list[Path], run_program: RunProgram
) -> None:
    begun = program.post("/api/v1/plans", json={"reserve": "1MB", "min_age": 0, "exclude": ["*.tmp"]})
    job = settled(program, begun.json()["plan_id"])
    answer = program.get(begun.headers["location"]).json()
    plan_id = job["plan_id"]
    listed = program.get("/api/v1/plans").json()
    execution = program.post(f"/api/v1/plans/{plan_id}/run", json={"verify": "fast", "bandwidth_limit": 10**9})
    shown = ended(run_program, execution.json()["execution_id"])
    removed = program.delete(f"/api/v1/plans/{plan_id}")

    assert (begun.status_code, begun.json()["state"]) == (202, "running")
    assert job["figures"] == {
        "moves": 3,
        "bytes_to_move": answer["plan"]["bytes_to_move"],
        "lower_bound_bytes": answer["plan"]["lower_bound_bytes"],
        "spread_before": answer["plan"]["spread_before"],
        "spread_after": answer["plan"]["spread_after"],
        "would_run": True,
    }
    assert job["actor"].startswith("token ")
    assert {(move["source"], move["destination"]) for move in answer["plan"]["moves"]} == {("disk1", "disk2")}
    assert [one["plan_id"] for one in listed] == [plan_id]
    assert execution.status_code == 201
    assert (shown["status"], shown["files_moved"]) == ("completed", 3)
    assert [len(list((disk / "films").iterdir())) for disk in disks] == [3, 3]
    assert removed.json() == {"plan_id": plan_id}
    assert program.get(f"/api/v1/plans/{plan_id}").status_code == 404
    assert program.get("/api/v1/plans").json() == []


def ended(run_program: RunProgram, execution_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        record: dict[str, Any] = run_program("execution", "show", execution_id, "--json", exit_code=0).document
        if record["end_time"] is not None:
            return record
    raise AssertionError(f"{execution_id} does not end")


def test_what_cannot_be_planned_is_refused(program: httpx.Client) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"sharez": ["films"]}, ""),
        ({"tolerance": "much"}, ""),
        ({"tolerance": 101}, ""),
        ({"strategy": "sideways"}, ""),
        ({"shares": ["a/b"]}, "shares: 'a/b' is not a share"),
        ({"strategy": "gather", "paths": ["../x"]}, "paths: '../x' is not a folder below the disks"),
        ({"strategy": "evacuate"}, "name the disks that should end empty"),
        ({"reserve": "much"}, "reserve: 'much' is not a size"),
        ({"shares": ["a\0b"]}, "a name cannot hold the character of number zero"),
        ({"disks": ["/mnt/a\0b"]}, "a name cannot hold the character of number zero"),
    ]
    for wish, says in refused:
        answer = program.post("/api/v1/plans", json=wish)

        assert answer.status_code == 400, (wish, answer.text)
        assert says in answer.json()["error"]
    assert program.get("/api/v1/plans").json() == []


def test_names_that_no_plan_has_are_not_found(program: httpx.Client) -> None:
    for name in ("nope", "20260101-000000-ffffff", "schedules", "20260101-000000-ffffff.asked", "*"):
        assert program.get(f"/api/v1/plans/{name}").status_code == 404, name
        assert program.delete(f"/api/v1/plans/{name}").status_code == 404, name
        assert program.post(f"/api/v1/plans/{name}/cancel").status_code == 404, name
        assert program.post(f"/api/v1/plans/{name}/run", json={}).status_code == 404, name
    assert program.post("/api/v1/plans/schedules/nope").status_code == 404


def test_a_token_that_may_only_read_makes_no_plan(served: Dashboard) -> None:
    with served.program(read_only=True) as reader:
        assert reader.post("/api/v1/plans", json={}).status_code == 403
        assert reader.get("/api/v1/plans").json() == []


def test_a_plan_that_cannot_be_made_says_why(program: httpx.Client, configured: Path) -> None:
    begun = program.post("/api/v1/plans", json={"from_disks": ["disk9"]}).json()
    job = settled(program, begun["plan_id"])
    answer = program.get(f"/api/v1/plans/{begun['plan_id']}").json()
    run = program.post(f"/api/v1/plans/{begun['plan_id']}/run", json={})

    assert (job["state"], job["figures"]) == ("failed", None)
    assert job["problem"] == "no disk is called disk9; the disks are: disk1, disk2"
    assert answer["plan"] is None
    assert run.status_code == 404


def test_a_run_that_is_held_or_does_not_fit_any_more_says_so(
    program: httpx.Client, disks: list[Path], run_program: RunProgram
) -> None:
    plan_id = made(program, reserve="1MB")
    run_program("emergency-stop", "--hold", "holiday", exit_code=0)
    held = program.post(f"/api/v1/plans/{plan_id}/run", json={})
    run_program("emergency-stop", "release", exit_code=0)
    disks[1].rename(disks[1].with_name("elsewhere"))
    gone = program.post(f"/api/v1/plans/{plan_id}/run", json={})

    assert held.status_code == 409
    assert held.json()["error"].startswith("an emergency stop keeps everything from starting until")
    assert gone.status_code == 403
    assert "disk2 must not be used now" in gone.json()["error"]
    assert len(list((disks[0] / "films").iterdir())) == 6


def test_a_plan_outlives_the_dashboard_that_asked_for_it(served: Dashboard, state: Path) -> None:
    with served.program() as program, halted(program, state, reserve="1MB") as plan:
        served.process.terminate()
        served.process.wait(20)
        with dashboard(state) as again, httpx.Client(base_url=again.address, headers=program.headers) as later:
            before = later.get(f"/api/v1/plans/{plan.plan_id}").json()["job"]
            let_go_on(plan.pid)
            after = settled(later, plan.plan_id)

    assert (before["state"], after["state"]) == ("running", "done")
    assert after["figures"]["moves"] == 3


def test_a_plan_can_be_cancelled_also_after_a_restart(served: Dashboard, state: Path) -> None:
    with served.program() as program, halted(program, state, reserve="1MB") as plan:
        busy = program.delete(f"/api/v1/plans/{plan.plan_id}")
        served.process.terminate()
        served.process.wait(20)
        with dashboard(state) as again, httpx.Client(base_url=again.address, headers=program.headers) as later:
            answer = later.post(f"/api/v1/plans/{plan.plan_id}/cancel")
            job = settled(later, plan.plan_id)
            twice = later.post(f"/api/v1/plans/{plan.plan_id}/cancel")

    assert busy.status_code == 409
    assert answer.status_code == 200
    assert job["state"] == "cancelled"
    assert job["problem"].startswith("cancelled by token ")
    assert twice.json()["state"] == "cancelled"


def test_one_plan_of_a_kind_and_three_in_all_are_made_at_once(program: httpx.Client, state: Path) -> None:
    with halted(program, state, tolerance=1) as plan, halted(program, state, tolerance=2):
        again = program.post("/api/v1/plans", json={"tolerance": 1.0})
        with halted(program, state, tolerance=3):
            fourth = program.post("/api/v1/plans", json={"tolerance": 4})

    assert fourth.status_code == 409
    assert fourth.json()["error"].startswith("3 plans are being made already")
    assert again.status_code == 409
    assert again.json()["error"] == f"that plan is being made already: {plan.plan_id}"


def test_a_plan_whose_process_was_killed_is_gone(program: httpx.Client, state: Path) -> None:
    with halted(program, state) as plan:
        os.kill(plan.pid, signal.SIGKILL)
        job = settled(program, plan.plan_id)

    assert job["state"] == "gone"
    assert "ended without a word" in job["problem"]


def test_a_process_that_was_not_started_for_the_plan_is_never_stopped(program: httpx.Client, state: Path) -> None:
    plan_id = made(program)
    folder = folder_of(state)
    asked = json.loads((folder / f"{plan_id}.asked.json").read_text())
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            forged = records.to_builtins(identity_of(stranger.pid, "0" * 32))
            (folder / f"{plan_id}.asked.json").write_text(json.dumps({**asked, "process": forged}))
            (folder / f"{plan_id}.json").unlink()
            answer = program.post(f"/api/v1/plans/{plan_id}/cancel")

            assert forged["boot_id"] == boot_id()
            assert answer.status_code == 403
            assert "does not carry its token" in answer.json()["error"]
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_the_oldest_make_room_and_nothing_else_is_touched(program: httpx.Client, state: Path) -> None:
    first = made(program)
    folder = folder_of(state)
    asked, plan = (json.loads((folder / f"{first}{end}").read_text()) for end in (".asked.json", ".json"))
    for number in range(MOST_KEPT + 5):
        name, at = f"20200101-000000-{number:06x}", asked["requested_at"] - 1000 + number
        (folder / f"{name}.asked.json").write_text(json.dumps({**asked, "requested_at": at}))
        (folder / f"{name}.json").write_text(json.dumps(plan))
        (folder / f"{name}.run.log").write_text("")
    (folder / "20200101-000000-abcdef.json").write_text("nobody asked for it")
    (folder / ".20200101-000000-abcdef.json.12345678.tmp").write_text("killed while it wrote")
    (folder / "notes.txt").write_text("not ours")

    last = made(program, tolerance=2)

    kept = [job["plan_id"] for job in program.get("/api/v1/plans").json()]
    assert len(kept) == MOST_KEPT
    assert kept[:3] == [last, first, f"20200101-000000-{MOST_KEPT + 4:06x}"]
    assert {file.name.partition(".")[0] for file in folder.iterdir()} == {*kept, "notes"}


def test_a_damaged_request_hides_no_other_plan(program: httpx.Client, state: Path) -> None:
    good, bad = made(program), made(program, tolerance=2)
    (folder_of(state) / f"{bad}.asked.json").write_text("{")

    assert [job["plan_id"] for job in program.get("/api/v1/plans").json()] == [good]
    assert program.get(f"/api/v1/plans/{bad}").status_code == 500


def test_a_plan_that_the_program_would_not_carry_out_is_not_shown(program: httpx.Client, state: Path) -> None:
    plan_id = made(program)
    file = folder_of(state) / f"{plan_id}.json"
    file.write_text(file.read_text().replace('"path":"films/', '"path":"../films/'))

    answer = program.get(f"/api/v1/plans/{plan_id}")

    assert answer.status_code == 400
    assert "does not stay inside the disk" in answer.json()["error"]


def test_a_plan_that_is_too_large_to_be_shown_can_be_carried_out_all_the_same(
    program: httpx.Client, state: Path
) -> None:
    plan_id = made(program)
    file = folder_of(state) / f"{plan_id}.json"
    with file.open("ab") as larger:
        larger.truncate(LARGEST_SHOWN + 1)

    answer = program.get(f"/api/v1/plans/{plan_id}")

    assert answer.status_code == 403
    assert answer.json()["error"] == f"the plan is too large to be shown; carry it out with: run --plan {file}"
    assert [job["state"] for job in program.get("/api/v1/plans").json()] == ["done"]


def test_the_plan_of_a_schedule_is_made_with_its_selection_and_disks(
    program: httpx.Client, disks: list[Path], run_program: RunProgram
) -> None:
    words = ("--strategy", "pack", "--disk", str(disks[0]), "--disk", str(disks[1]), "--above-percent", "90")
    run_program("schedule", "create", "packing", "--cron", "0 3 * * *", *words, exit_code=0)

    begun = program.post("/api/v1/plans/schedules/packing")
    job = settled(program, begun.json()["plan_id"])

    assert begun.status_code == 202
    assert (job["state"], job["schedule_id"], job["above_percent"]) == ("done", "packing", 90.0)
    assert job["selection"]["strategy"] == "pack"
    assert [disk.rpartition("/")[2] for disk in job["disks"]] == ["disk1", "disk2"]
    assert job["figures"]["would_run"] is False


def test_the_document_for_programs_knows_plans(program: httpx.Client) -> None:
    paths = program.get("/api/v1/openapi/openapi.json").json()["paths"]

    described = {
        (method, path): set(operation["responses"])
        for path, item in paths.items()
        if path.startswith("/api/v1/plans")
        for method, operation in item.items()
    }
    always, changing = {"400", "401", "403", "500"}, {"400", "401", "403", "413", "415", "500"}
    assert described == {
        ("get", "/api/v1/plans"): {"200"} | always,
        ("post", "/api/v1/plans"): {"202", "409"} | changing,
        ("post", "/api/v1/plans/schedules/{schedule_id}"): {"202", "404", "409"} | changing,
        ("get", "/api/v1/plans/{plan_id}"): {"200", "404"} | always,
        ("delete", "/api/v1/plans/{plan_id}"): {"200", "404", "409"} | changing,
        ("post", "/api/v1/plans/{plan_id}/run"): {"201", "404", "409"} | changing,
        ("post", "/api/v1/plans/{plan_id}/cancel"): {"200", "404"} | changing,
    }
