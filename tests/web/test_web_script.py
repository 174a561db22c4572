"""The script in a real browser: pages follow by themselves without disturbing who works with them."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from lab import RunProgram, StartProgram
from lab.browser import Scheme, Visit, browser, visit
from lab.dashboard import Dashboard, dashboard

pytestmark = pytest.mark.xdist_group("the script in the browser")

REASON = "disk3 makes noises"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as launched:
        yield launched


@pytest.fixture
def visitor(chromium: Browser, served: Dashboard) -> Iterator[Visit]:
    """Somebody who is logged in and sees the first page, in a browser where nothing may go wrong."""
    with visit(chromium, served) as opened:
        opened.log_in(served.password)
        yield opened
        assert opened.wrong == []


def test_a_run_appears_moves_and_vanishes_by_itself(
    visitor: Visit, served: Dashboard, person: httpx.Client, start_program: StartProgram
) -> None:
    page = visitor.page
    expect(page.locator("#live-running")).to_contain_text("Nothing is running.")
    start_program("schedule", "run", "slow")
    bar = page.get_by_role("progressbar", name="Bytes moved")
    expect(bar).to_be_visible()
    page.get_by_role("link", name="Cancel…").focus()
    first = bar.get_attribute("value")
    expect(bar).not_to_have_attribute("value", first or "")
    focused = page.evaluate("document.activeElement.textContent")
    person.post("/emergency-stop", data={"hold": "1", "reason": REASON})

    expect(page.locator("#live-running")).to_contain_text("Nothing is running.")
    expect(page.locator("#live-last")).to_contain_text("cancelled")
    assert focused == "Cancel…"
    page.get_by_role("button", name="Release").click()  # a form that came through the stream
    expect(page.get_by_role("status").filter(has_text="Executions may start again.")).to_be_visible()


def test_what_somebody_works_with_is_left_alone(visitor: Visit, person: httpx.Client) -> None:
    page = visitor.page
    page.evaluate(_until("came.size >= 5"))
    page.evaluate(
        """() => { const section = document.getElementById("live-banner");
        section.innerHTML = '<details open><summary>More</summary>x</details><label>Why<input name="why"></label>'; }"""
    )
    page.get_by_label("Why").press_sequentially("half a sen")
    person.post("/emergency-stop", data={"hold": "1", "reason": REASON})
    page.evaluate(_until("waiting.has('live-banner')"))
    typed = page.get_by_label("Why").input_value()
    page.get_by_role("link", name="Schedules", exact=True).focus()

    assert typed == "half a sen"
    expect(page.locator("#live-banner")).to_contain_text(REASON)


def test_open_details_and_the_focus_survive_a_new_piece(visitor: Visit) -> None:
    page = visitor.page
    page.evaluate(_until("came.size >= 5"))
    markup = "<details><summary>More</summary>x</details><button name='go'>Go</button><input type=hidden name=csrf>"
    page.evaluate("html => replace(document.getElementById('live-banner'), html)", markup)
    page.get_by_text("More").click()
    page.get_by_role("button", name="Go").focus()
    page.evaluate("html => replace(document.getElementById('live-banner'), html)", markup)

    assert page.evaluate("document.querySelector('#live-banner details').open")
    assert page.evaluate("document.activeElement.name") == "go"
    assert page.locator("#live-banner input[name=csrf]").input_value() == page.locator("meta[name=csrf]").get_attribute(
        "content"
    )


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_page_about_one_execution_is_loaded_again_when_that_has_ended(
    visitor: Visit, served: Dashboard, person: httpx.Client, start_program: StartProgram, *, is_seen: bool
) -> None:
    """Its end is either seen through the stream, or came before the stream was there and is missing from it."""
    page, execution_id = visitor.page, "20260101T000000Z-slow-abcdef"
    page.evaluate(_until("came.size >= 5"))
    if is_seen:
        start_program("schedule", "run", "slow")
        execution_id = served.execution(person, "slow")["execution_id"]
    page.evaluate(
        """id => { window.isOld = true; document.getElementById("live-running").remove();
        const piece = document.createElement("div"); piece.id = id; piece.textContent = "works";
        document.querySelector("main").append(piece); }""",
        f"live-run-{execution_id}",
    )
    with page.expect_event("load"):
        if is_seen:
            person.post("/emergency-stop", data={})
        else:
            page.evaluate("close(); open()")

    assert not page.evaluate("window.isOld === true")


def test_a_lost_connection_is_said_and_so_is_its_return(chromium: Browser, served: Dashboard, state: Path) -> None:
    with visit(chromium, served) as opened:
        opened.log_in(served.password)
        sign = opened.page.locator("[data-connection]")
        expect(sign).to_be_empty()
        served.process.terminate()
        served.process.wait(20)
        expect(sign).to_have_text("not live; trying again")
        with dashboard(state, "--listen", f"127.0.0.1:{served.port}"):
            expect(sign).to_have_text("live again")


def test_a_session_that_is_over_leads_to_the_login(
    chromium: Browser, served: Dashboard, run_program: RunProgram
) -> None:
    with visit(chromium, served) as opened:
        opened.log_in(served.password)
        opened.page.evaluate(_until("came.size >= 5"))
        run_program("access", "password", exit_code=0)
        opened.page.evaluate("close(); open()")  # what a browser does when its connection breaks

        expect(opened.page.get_by_label("Password")).to_be_visible()


def test_the_theme_is_switched_kept_and_labelled(visitor: Visit) -> None:
    page, seen = visitor.page, []
    for _ in range(3):
        page.get_by_role("button", name=re.compile("^Theme: ")).click()
        page.reload()
        label = page.get_by_role("button", name=re.compile("^Theme: ")).get_attribute("aria-label")
        seen.append((page.evaluate("document.documentElement.dataset.theme || 'auto'"), label))

    assert seen == [
        ("light", "Theme: light. Switch to dark"),
        ("dark", "Theme: dark. Switch to auto"),
        ("auto", "Theme: auto. Switch to light"),
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_the_pages_of_this_part_are_accessible_and_fit_a_phone(
    chromium: Browser, served: Dashboard, start_program: StartProgram, scheme: Scheme, width: int
) -> None:
    with served.person() as person, visit(chromium, served, scheme=scheme, width=width) as opened:
        opened.go("/login")
        findings = opened.serious_findings()
        opened.log_in(served.password)
        start_program("schedule", "run", "slow")
        running = served.execution(person, "slow")["execution_id"]
        for path in ("/", f"/executions/{running}/cancel", "/emergency-stop"):
            opened.go(path)
            findings += opened.serious_findings()
            overflow = opened.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            findings += [f"{path} is wider than the window by {overflow}"] if overflow > 0 else []
        opened.page.get_by_label("Keep everything from starting").check()
        opened.page.get_by_role("button", name="Stop everything").click()
        findings += opened.serious_findings()

        assert findings == []
        assert opened.wrong == []


def test_everything_can_be_done_without_the_script(
    chromium: Browser, served: Dashboard, start_program: StartProgram
) -> None:
    with served.person() as person, visit(chromium, served, with_script=False) as opened:
        opened.log_in(served.password)
        start_program("schedule", "run", "slow")
        served.execution(person, "slow")
        opened.page.reload()
        expect(opened.page.get_by_role("progressbar")).to_be_visible()
        opened.page.get_by_role("link", name="Emergency stop").click()
        opened.page.get_by_label("Keep everything from starting").check()
        opened.page.get_by_role("button", name="Stop everything").click()
        expect(opened.page.get_by_role("cell", name="stopped")).to_be_visible()
        opened.page.get_by_role("button", name="Release").click()
        expect(opened.page.get_by_text("Executions may start again.")).to_be_visible()


def _until(claim: str) -> str:
    """Return a promise that a claim about the script comes true; the policy forbids playwright's own way to wait."""
    return f"new Promise(done => {{ const look = () => {claim} ? done() : setTimeout(look, 50); look(); }})"
