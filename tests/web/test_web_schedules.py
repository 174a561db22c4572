"""The pages of schedules, asked as a browser asks: what they show, what they carry out, and what they refuse."""

import json
import re
import time
from html import unescape
from pathlib import Path

import httpx

from lab import RunProgram
from lab.dashboard import Dashboard, dashboard

HOSTILE = '<script>alert("x")</script>&amp;'


def fields_in(page: str) -> dict[str, list[str]]:
    """What a browser would send of the page's form if nobody typed anything."""
    form = page[page.index('class="fields schedule"') : page.rindex("</form>")]
    found: dict[str, list[str]] = {}

    def add(name: str, value: str) -> None:
        found.setdefault(name, []).append(unescape(value))

    for tag in re.findall(r"<input [^>]*>", form):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        is_box = 'type="checkbox"' in tag or 'type="radio"' in tag
        if name is not None and (not is_box or " checked" in tag):
            add(name[1], value[1] if value is not None else "")
    for name, text in re.findall(r'<textarea [^>]*name="([^"]*)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL):
        add(name, text)
    for name, choices in re.findall(r'<select [^>]*name="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', choices)
        assert chosen is not None, name
        add(name, chosen[1])
    return found


def stored(state: Path, schedule_id: str) -> dict[str, object]:
    return dict(json.loads((state / "config" / "schedules" / f"{schedule_id}.json").read_text()))


def wait_until_nothing_runs(person: httpx.Client) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not person.get("/api/v1/overview").json()["running"]:
            return
        time.sleep(0.1)
    raise AssertionError("something still runs")


def test_without_schedules_the_list_offers_templates_to_begin_with(configured: Path, state: Path) -> None:
    with dashboard(state) as serving, serving.person() as person:
        page = person.get("/schedules").text
        form = person.get("/schedules/new?template=above").text
        unknown = person.get("/schedules/new?template=magic")

    assert "There are no schedules yet" in page
    for name in ("nightly", "weekly", "above", "idle"):
        assert f'href="/schedules/new?template={name}"' in page
    assert fields_in(form)["above_percent"] == ["90%"]
    assert fields_in(form)["at"] == ["04:50"]
    assert unknown.status_code == 400


def test_a_schedule_is_made_changed_copied_and_removed(
    served: Dashboard, person: httpx.Client, state: Path, disks: list[Path]
) -> None:
    form = fields_in(person.get("/schedules/new?template=nightly").text)
    form |= {
        "name": [HOSTILE], "schedule_id": ["films"], "when": ["weekly"], "at": ["05:30"], "weekdays": ["sat", "sun"],
        "shares": ["films\r\ntv shows"], "max_temperature": ["45 C"], "from_disks": [disks[0].name],
        "disks": [str(disks[0]), str(disks[1])], "reserve": ["1MB"], "only_when_idle": ["on"], "ignored": ["mover"],
    }  # fmt: skip
    made = person.post("/schedules/new", data=form)
    page = person.get("/schedules/films").text
    listed = person.get("/schedules").text
    kept = stored(state, "films")

    assert (made.status_code, made.headers["location"]) == (303, "/schedules/films")
    assert kept["cron"] == "30 5 * * 6,0"
    assert kept["disks"] == [str(disk) for disk in disks]
    assert kept["selection"] == {
        "from_disks": ["disk1"], "shares": ["films", "tv shows"], "reserve": "1MB", "max_runtime": 10800,
    }  # fmt: skip
    assert kept["guards"] == {"ignored": ["mover"], "max_temperature": 45}
    for text in (page, listed):
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;&amp;amp;" in text
    assert "is created" in page
    assert "Sat, Sun at 05:30" in page
    assert "--share=films &#39;--share=tv shows&#39; --reserve=1MB --max-runtime=3h" in page

    edited = fields_in(person.get("/schedules/films/edit").text)
    changed = person.post(
        "/schedules/films/edit", data=edited | {"max_runtime": ["4h"], "at": ["05:45"], "ignored": []}
    )

    assert changed.status_code == 303
    assert stored(state, "films")["cron"] == "45 5 * * 6,0"
    assert "guards" in kept
    assert stored(state, "films")["guards"] == {"max_temperature": 45}
    assert "4h" in person.get("/schedules/films").text

    copy = fields_in(person.get("/schedules/new?from=films").text)
    copied = person.post("/schedules/new", data=copy | {"schedule_id": ["copy"]})

    assert copied.headers["location"] == "/schedules/copy"
    assert stored(state, "copy")["selection"] == stored(state, "films")["selection"]

    assert "records and statistics of its executions stay" in person.get("/schedules/films/delete").text
    removed = person.post("/schedules/films/delete")

    assert removed.headers["location"] == "/schedules"
    assert "films is removed" in person.get("/schedules").text
    assert not (state / "config" / "schedules" / "films.json").exists()
    assert person.get("/schedules/films").status_code == 404
    assert "schedule run copy" in (state / "table").read_text()
    assert "schedule run films" not in (state / "table").read_text()


def test_a_form_with_wrong_fields_is_shown_again_with_every_sentence_and_all_that_was_typed(
    person: httpx.Client, state: Path
) -> None:
    form = fields_in(person.get("/schedules/new").text)
    form |= {
        "name": ['"quoted" <b>'], "max_runtime": ["soon"], "strategy": ["gather"], "exclude": ["*.tmp\r\n*.part"],
        "schedule_id": ["slow"],
    }  # fmt: skip

    answer = person.post("/schedules/new", data=form)
    again = fields_in(answer.text)

    assert answer.status_code == 400
    assert "&#39;soon&#39; is not a duration" in answer.text
    assert "name the folders that the strategy gather should bring together" in answer.text
    assert "there is a schedule slow already" in answer.text
    assert 'id="wrong-max_runtime"' in answer.text
    assert re.search(
        r'name="max_runtime"[^>]*aria-describedby="[^"]*wrong-max_runtime"[^>]*aria-invalid="true"', answer.text
    )
    assert again == form
    assert sorted(path.name for path in (state / "config" / "schedules").iterdir()) == ["slow.json"]


def test_whoever_was_overtaken_keeps_what_he_typed_and_may_save_it_then(
    person: httpx.Client, run_program: RunProgram, state: Path
) -> None:
    form = fields_in(person.get("/schedules/slow/edit").text) | {"max_wait": ["2h"]}
    run_program("schedule", "edit", "slow", "--retries", "3", exit_code=0)

    overtaken = person.post("/schedules/slow/edit", data=form)
    kept = stored(state, "slow")
    again = person.post("/schedules/slow/edit", data=fields_in(overtaken.text))

    assert overtaken.status_code == 409
    assert "somebody else changed this schedule" in overtaken.text
    assert "It differs from what is stored now in: Wait at most, Retries." in overtaken.text
    assert fields_in(overtaken.text)["max_wait"] == ["2h"]
    assert kept["retries"] == 3
    assert "max_wait" not in kept
    assert again.status_code == 303
    assert stored(state, "slow")["max_wait"] == 7200
    assert "retries" not in stored(state, "slow")


def test_a_schedule_is_run_once_at_a_time_and_suspending_it_stops_it(
    served: Dashboard, person: httpx.Client, state: Path
) -> None:
    started = person.post("/schedules/slow/run")
    served.execution(person, "slow")
    twice = person.post("/schedules/slow/run")
    ask = person.get("/schedules/slow/suspend").text
    wrong = person.post("/schedules/slow/suspend", data={"reason": "new <disk>", "until": "yesterday"})
    suspended = person.post("/schedules/slow/suspend", data={"reason": "new <disk>", "until": "3d"})
    page = person.get("/schedules/slow").text

    assert re.fullmatch(r"/executions/\S+-slow-\S+", started.headers["location"])
    assert (twice.status_code, "slow runs already" in twice.text) == (409, True)
    assert "An execution of it is running now" in twice.text
    assert "is stopped within 10 seconds" in ask
    assert wrong.status_code == 400
    assert "&#39;yesterday&#39; is no time" in wrong.text
    assert 'value="new &lt;disk&gt;"' in wrong.text
    assert suspended.headers["location"] == "/schedules/slow"
    assert "slow is suspended" in page
    assert ": stopped after" in page
    assert re.search(r"Suspended by \S+ .*: new &lt;disk&gt;", page)
    assert "None as it stands" not in page  # it ends in three days
    assert 'action="/schedules/slow/resume"' in page
    assert 'href="/schedules/slow/suspend"' not in page
    wait_until_nothing_runs(person)

    resumed = person.post("/schedules/slow/resume")

    assert resumed.status_code == 303
    assert "suspension" not in stored(state, "slow")


def test_a_schedule_is_disabled_and_enabled_and_looking_changes_nothing(person: httpx.Client, state: Path) -> None:
    before = stored(state, "slow")
    for path in ("", "/edit", "/suspend", "/delete", "?month=2027-01"):
        person.get(f"/schedules/slow{path}")
    for action in ("run", "resume", "enable", "disable"):
        assert person.get(f"/schedules/slow/{action}").status_code == 405
    assert stored(state, "slow") == before

    assert person.post("/schedules/slow/disable").status_code == 303
    assert stored(state, "slow")["enabled"] is False
    assert "it runs by hand only" in person.get("/schedules/slow").text
    assert person.post("/schedules/slow/enable").status_code == 303
    assert "enabled" not in stored(state, "slow")
    assert "slow is enabled" in person.get("/schedules").text


def test_the_page_of_a_schedule_shows_its_month_and_its_executions(person: httpx.Client) -> None:
    person.post("/schedules/slow/edit", data=fields_in(person.get("/schedules/slow/edit").text) | {"bandwidth_limit": [""], "timezone": ["Europe/Berlin"], "jitter": ["30m"]})  # fmt: skip
    person.post("/schedules/slow/run")
    wait_until_nothing_runs(person)

    page = person.get("/schedules/slow").text
    january = person.get("/schedules/slow?month=2027-01").text
    wrong = person.get("/schedules/slow?month=soon")

    assert page.count('aria-current="date"') == 1
    assert re.search(r'<a class="badge ok" href="/executions/[^"]+"><span aria-hidden="true">✓</span> \d\d:\d\d<span class="unseen"> completed</span>', page)  # fmt: skip
    assert 'href="/executions?schedule=slow"' in page
    assert 'href="/statistics/slow"' in page
    assert "2027-01-01 03:00 +01:00" in page
    assert "later on this machine (jitter of up to 30m" in page
    assert '<form method="post" action="/plan/schedules/slow">' in page
    assert '<h2 id="heading-month">January 2027</h2>' in january
    assert january.count('<li class="firing">') == 1
    assert 'href="/schedules/slow?month=2026-12#calendar"' in january
    assert wrong.status_code == 400


def test_what_is_not_there_is_not_found_and_what_is_damaged_is_named(person: httpx.Client, state: Path) -> None:
    (state / "config" / "schedules" / "broken.json").write_text('{"schedule_id": "broken"')

    listed = person.get("/schedules")
    broken = person.get("/schedules/broken")
    asked = person.get("/schedules/broken/delete")
    missing = [person.get(f"/schedules/{path}").status_code for path in ("none", "none/edit", "none/suspend", "NO<b>", "none/delete", "new?from=none")]  # fmt: skip
    refused = [person.post(f"/schedules/none/{action}", data={"until": "3d"}).status_code for action in ("run", "edit", "suspend", "resume", "enable", "disable", "delete")]  # fmt: skip

    assert listed.status_code == 200
    assert "broken.json: input data was truncated" in listed.text
    assert 'href="/schedules/slow"' in listed.text
    assert broken.status_code == 500
    assert "broken.json: input data was truncated" in broken.text
    assert "cannot be believed" in asked.text
    assert missing == [404] * 6
    assert refused == [404] * 7
    form = fields_in(person.get("/schedules/new").text) | {"schedule_id": ["broken"], "exclude": ["*.tmp"]}
    taken = person.post("/schedules/new", data=form)
    assert taken.status_code == 403
    assert "there is a schedule broken already" in taken.text
    assert fields_in(taken.text) == form
    assert person.post("/schedules/broken/delete").status_code == 303
    assert not (state / "config" / "schedules" / "broken.json").exists()


def test_strangers_and_foreign_pages_change_nothing(served: Dashboard, person: httpx.Client, state: Path) -> None:
    before = stored(state, "slow")
    with served.anybody() as stranger:
        assert stranger.get("/schedules").status_code == 303
        assert stranger.post("/schedules/slow/delete").status_code in {303, 401, 403}
    for action in ("run", "suspend", "resume", "enable", "disable", "delete", "edit"):
        answer = person.post(f"/schedules/slow/{action}", headers={"x-csrf-token": "guessed"})
        assert answer.status_code == 403
    too_many = person.post("/schedules/new", data={f"field{number}": "" for number in range(300)})

    assert too_many.status_code == 400
    assert stored(state, "slow") == before
