"""One day of somebody who looks after a NAS in a browser: from the first schedule to logging out."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

import lab
from lab import RunProgram
from lab.browser import Visit

pytestmark = pytest.mark.xdist_group("a day in the browser")

SLOWLY = "2MB/s"


def test_a_day_at_the_dashboard(somebody: Visit, array: list[Path], run_program: RunProgram) -> None:
    before = lab.snapshot_array(array)
    page = somebody.page

    _create(somebody)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Film night")
    page.get_by_role("link", name="Next month").click()
    expect(page.locator("table.month")).to_contain_text("03:30")
    assert (
        page.locator("section", has=page.get_by_role("heading", name="Next firings")).locator("tbody tr").count() == 10
    )

    page.get_by_role("button", name="Run now").click()
    page.wait_for_url("**/executions/*")
    execution = page.url.rpartition("/")[2]
    somebody.go("/")
    _wait_for_bars(somebody)

    page.get_by_role("button", name="Pause").click()
    page.wait_for_url(f"**/executions/{execution}")
    expect(page.locator(f"#live-run-{execution}")).to_contain_text("paused")
    somebody.go("/")
    done = page.locator(f"#live-run-{execution} progress").get_attribute("value")
    page.wait_for_timeout(1500)
    assert page.locator(f"#live-run-{execution} progress").get_attribute("value") == done
    page.get_by_role("button", name="Continue").click()
    somebody.go("/")
    expect(page.locator(f"#live-run-{execution} progress")).not_to_have_attribute("value", str(done))

    page.locator("#live-running").get_by_role("link", name="Cancel").click()
    page.get_by_label(re.compile("Why|Reason", re.IGNORECASE)).fill("enough <i>for</i> today")
    page.get_by_role("button", name="Cancel the execution").click()
    page.wait_for_url(f"**/executions/{execution}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")
    expect(page.get_by_text("enough <i>for</i> today").first).to_be_visible()

    _suspend_and_resume(somebody)
    _stop_everything(somebody)

    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    somebody.go("/schedules")
    expect(page.get_by_label("Password")).to_be_visible()
    run_program("schedule", "edit", "film-night", "--bandwidth-limit", "1GB/s", exit_code=0)
    run_program("schedule", "run", "film-night", exit_code=0)  # finishes what the stops had left begun
    assert lab.difference(before, lab.snapshot_array(array), ignore_folder_times=True) == []


def _create(somebody: Visit) -> None:
    page = somebody.page
    somebody.go("/schedules")
    page.get_by_role("link", name="with an empty form").click()
    page.get_by_label("Name", exact=True).fill("Film night")
    page.get_by_label("Time of day").fill("03:30")
    page.locator("summary", has_text="Limits and care").click()
    page.get_by_label("Copy at most").fill("fast")
    page.get_by_role("button", name="Create the schedule").click()
    expect(page.get_by_text("'fast' is not a size", exact=False).first).to_be_visible()
    assert [sentence for sentence in somebody.wrong if "400 (Bad Request)" not in sentence] == []
    somebody.wrong.clear()  # the browser's own remark on the answer to that form
    page.get_by_label("Copy at most").fill(SLOWLY)
    page.get_by_role("button", name="Create the schedule").click()
    page.wait_for_url("**/schedules/film-night")


def _wait_for_bars(somebody: Visit) -> None:
    """Wait until the disks' own percentages have changed without the page being loaded again."""
    page = somebody.page
    percents = page.locator("#live-disks .percent")
    first = percents.first.inner_text()
    page.evaluate("window.isSamePage = true")
    expect(percents.first).not_to_have_text(first)
    assert page.evaluate("window.isSamePage") is True


def _suspend_and_resume(somebody: Visit) -> None:
    page = somebody.page
    somebody.go("/schedules/film-night")
    page.get_by_role("link", name="Suspend").click()
    page.get_by_label("Why").fill("new disk on its way")
    page.get_by_role("button", name="Suspend the schedule").click()
    page.wait_for_url("**/schedules/film-night")
    expect(page.get_by_role("heading", level=1)).to_contain_text("suspended")
    expect(page.get_by_text("new disk on its way").first).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("heading", level=1)).not_to_contain_text("suspended")


def _stop_everything(somebody: Visit) -> None:
    page = somebody.page
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url("**/executions/*")
    execution = page.url.rpartition("/")[2]
    page.get_by_role("link", name="Emergency stop").click()
    expect(page.get_by_text(execution)).to_be_visible()
    page.get_by_label("Keep everything from starting").check()
    page.get_by_role("button", name="Stop everything").click()
    expect(page.get_by_role("row", name=re.compile(execution))).to_contain_text("stopped")
    somebody.go("/")
    expect(page.get_by_text("Nothing new starts")).to_be_visible()
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_text("Nothing new starts")).to_have_count(0)
