"""Every page in light and dark, on a desk and on a phone, with and without its script: nothing is wrong with any."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Response, expect

from lab import RunProgram
from lab.browser import Scheme, Visit, visit
from lab.dashboard import Dashboard

pytestmark = pytest.mark.xdist_group("pages in the browser")

LARGEST_FIRST_PAGE = 150_000  # bytes, everything that it loads included
PHONE = 390  # pixels


@pytest.fixture
def lived_in(served: Dashboard, run_program: RunProgram) -> list[str]:
    """Pages of a dashboard with schedules, executions that went well and not so well, and a plan."""
    run_program("schedule", "create", "nightly", "--template", "nightly", "--max-bytes", "7MB", exit_code=0)
    run_program("schedule", "create", "weekly", "--template", "weekly", "--name", "Sundays <b>", exit_code=0)
    run_program("schedule", "run", "nightly", exit_code=0)
    run_program("schedule", "suspend", "weekly", "--reason", "a <b>new</b> disk", "--until", "3d", exit_code=0)
    run_program("emergency-stop", "--hold", "tests", exit_code=0)
    run_program("schedule", "run", "nightly", exit_code=75)
    run_program("emergency-stop", "release", exit_code=0)
    run_program("schedule", "run", "nightly", exit_code=0)
    (newest, *_) = run_program("--execution-history", "--json", exit_code=0).document
    with served.person() as person:
        planned = person.post("/plan", data={"strategy": "even", "csrf": person.headers["x-csrf-token"]})
        place = planned.headers["location"]
        deadline = time.monotonic() + 20
        while "Run this plan" not in person.get(place).text:
            assert time.monotonic() < deadline, person.get(place).text
            time.sleep(0.2)
    return [
        "/", "/schedules", "/schedules/new", "/schedules/nightly", "/schedules/nightly/edit", "/schedules/weekly",
        "/schedules/nightly/suspend", "/schedules/nightly/delete", "/executions", "/executions?status=completed",
        f"/executions/{newest['execution_id']}", "/statistics", "/statistics/nightly", "/plan", place,
        "/emergency-stop", "/nothing-there",
    ]  # fmt: skip


def test_nothing_is_wrong_with_any_page(chromium: Browser, served: Dashboard, lived_in: list[str]) -> None:
    wrong: list[str] = []
    looks: tuple[tuple[Scheme, int], ...] = (("light", 1280), ("dark", PHONE))
    for scheme, width in looks:
        with _logged_in(chromium, served, scheme=scheme, width=width) as somebody:
            for path in lived_in:
                somebody.go(path)
                expect(somebody.page.get_by_role("heading", level=1)).to_have_count(1)
                wrong += somebody.serious_findings()
                wrong += _too_wide(somebody, width)
            wrong += [one for one in somebody.wrong if "404 (Not Found)" not in one]

    assert wrong == []


def test_every_page_can_be_read_and_used_without_a_script(
    chromium: Browser, served: Dashboard, lived_in: list[str], run_program: RunProgram
) -> None:
    with _logged_in(chromium, served, with_script=False) as somebody:
        page = somebody.page
        for path in lived_in[:-1]:
            somebody.go(path)
            expect(page.get_by_role("heading", level=1)).to_have_count(1)
            expect(page.get_by_role("navigation", name="Pages").get_by_role("link")).to_have_count(4)
        somebody.go("/schedules/weekly")
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_role("link", name="Suspend")).to_be_visible()
        somebody.go("/emergency-stop")
        page.get_by_role("button", name="Stop everything").click()
        expect(page.get_by_text("Nothing was running")).to_be_visible()

    assert run_program("schedule", "show", "weekly", "--json", exit_code=0).document["state"] == "enabled"


def test_the_first_page_is_small_and_asks_nobody_else(somebody: Visit) -> None:
    sizes: dict[str, int] = {}

    def weigh(response: Response) -> None:
        if response.status == 200 and not response.url.endswith("/live"):
            sizes[urlsplit(response.url).path] = len(response.body())

    somebody.page.on("response", weigh)
    somebody.go("/")
    expect(somebody.page.get_by_role("heading", name="Disks")).to_be_visible()
    somebody.page.wait_for_load_state("load")

    assert {"/", "/static/style.css", "/static/script.js"} <= set(sizes)
    assert sum(sizes.values()) < LARGEST_FIRST_PAGE


def test_everything_can_be_reached_by_keyboard(somebody: Visit) -> None:
    page = somebody.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
    page.get_by_role("link", name="Schedules", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/schedules")

    assert {"Overview", "Schedules", "Executions", "Plan", "Log out", "Emergency stop"} <= set(reached)


@contextmanager
def _logged_in(
    chromium: Browser, served: Dashboard, *, scheme: Scheme = "light", width: int = 1280, with_script: bool = True
) -> Iterator[Visit]:
    with visit(chromium, served, scheme=scheme, width=width, with_script=with_script) as somebody:
        somebody.log_in(served.password)
        yield somebody


def _too_wide(somebody: Visit, width: int) -> list[str]:
    """Return the page when one has to scroll it sideways; tables scroll by themselves."""
    found = somebody.page.evaluate("document.documentElement.scrollWidth")
    return [f"{somebody.page.url}: {found} pixels wide on a screen of {width}"] if found > width else []
