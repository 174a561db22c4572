"""Takes the pictures of docs/screenshots: every page of the dashboard, in light and dark, over a real sample array.

Needs root, loop devices and Chromium. What the pages show ran here, minutes ago; so that the charts show more than one
afternoon, copies of those records are set back by days, with other durations and sizes: nothing else is made up.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import lab  # noqa: E402 - found by the line above
from lab import needs  # noqa: E402
from lab.browser import Scheme, Visit, browser, visit  # noqa: E402
from lab.dashboard import Dashboard, dashboard  # noqa: E402

PICTURES = ROOT / "docs" / "screenshots"
DISKS = {"disk1": ("xfs", 420), "disk2": ("xfs", 320), "disk3": ("ext4", 300), "disk4": ("btrfs", 260)}
SAMPLE = {  # disk -> files of 4 to 8 MB, by folder
    "disk1": [f"movies/{name}" for name in ("The Lighthouse Keeper (1998)", "Paper Moons (2011)", "Two Rivers (2004)",
                                            "Under Glass (2019)", "Cold Signal (2016)", "The Long Field (1998)")] * 8,
    "disk2": [f"series/{name}" for name in ("Harbour Street", "The Long Winter", "Northbound")] * 8,
    "disk3": ["photos/2012 Lake Bled", "photos/2019 Lake Inari"],
    "disk4": [],
}  # fmt: skip
DAYS = 24


@contextmanager
def array(folder: Path) -> Iterator[list[Path]]:
    """Mount the sample's disks, unevenly full."""
    with ExitStack() as stack:
        disks = []
        for name, (file_system, size) in DISKS.items():
            disk = stack.enter_context(lab.disk(folder / name, file_system, size))
            for number, unit in enumerate(SAMPLE[name]):
                target = disk / f"{unit} {number}" / "film.mkv"
                target.parent.mkdir(parents=True)
                target.write_bytes(os.urandom(4_000_000 + 1_000_000 * (number % 5)))
            disks.append(disk)
        yield disks


def set_back(state: Path, documents: list[dict[str, Any]]) -> None:
    """Leave copies of these records, a day apart, as if the schedule had run before."""
    folder = state / "config" / "executions"
    for day in range(1, DAYS):
        document = dict(documents[day % len(documents)])
        by, age = day * 86400.0, time.gmtime(document["start_time"] - day * 86400.0)
        name = f"{time.strftime('%Y%m%dT041503Z', age)}-nightly-{day:06x}"
        document["execution_id"] = name
        for field in ("start_time", "end_time"):
            document[field] -= by
        for event in document["timeline"]:
            event["at"] -= by
        factor = 0.4 + (day * 7 % 11) / 10
        document["duration_seconds"] *= factor * 3
        document["bytes_moved"] = int(document["bytes_moved"] * factor)
        (folder / f"{name}.json").write_text(json.dumps(document))


def live_through(state: Path) -> str:
    """Have schedules that ran, one that is suspended, and one at work; returns the execution to show."""

    def say(*words: str, exit_code: int | None = 0) -> Any:
        return lab.run(*words, "--json", state=state, exit_code=exit_code).document

    say(
        "schedule", "create", "nightly", "--template", "nightly", "--max-bytes", "30MB", "--ignore-guard", "array-state"
    )
    say(
        "schedule",
        "create",
        "weekend",
        "--at",
        "06:00",
        "--on",
        "sat",
        "--on",
        "sun",
        "--name",
        "Quiet weekends",
        "--max-runtime",
        "12h",
    )
    say("schedule", "create", "when-full", "--template", "above", "--above-percent", "90")
    runs = [say("schedule", "run", "nightly") for _ in range(2)]
    say("emergency-stop", "--hold", "swapping a disk")
    runs.append(say("schedule", "run", "nightly", exit_code=75))
    say("emergency-stop", "release")
    set_back(state, [runs[0], runs[1], runs[0], runs[1], runs[0], runs[1], runs[2]])
    say("schedule", "suspend", "when-full", "--reason", "the new disk comes on Friday", "--until", "6d")
    say("schedule", "edit", "weekend", "--bandwidth-limit", "1MB/s")
    return str(runs[1]["execution_id"])


def planned(serving: Dashboard) -> str:
    """Make a plan through the page; returns where it is shown."""
    with serving.person() as person:
        place = person.post("/plan", data={"strategy": "even", "csrf": person.headers["x-csrf-token"]}).headers[
            "location"
        ]
        while "Run this plan" not in person.get(place).text:
            time.sleep(0.2)
    return str(place)


def take(somebody: Visit, name: str, path: str) -> None:
    somebody.go(path)
    somebody.page.wait_for_timeout(2500 if path == "/" else 300)  # speeds are known after two looks
    somebody.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def main() -> int:
    if lacking := needs.lacking_loop_disks("btrfs") or needs.lacking_browser():
        sys.stdout.write(f"no pictures: {lacking}\n")
        return 1
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as scratch, array(Path(scratch) / "mnt") as disks:
        state = Path(scratch) / "state"
        (state / "config").mkdir(mode=0o700, parents=True)
        settings = "".join(f'[[disk]]\npath = "{disk}"\n' for disk in disks)
        (state / "config" / "config.toml").write_text(settings)
        (state / "config" / "config.toml").chmod(0o600)
        shown = live_through(state)
        with dashboard(state) as serving, browser() as chromium:
            plan = planned(serving)
            working = lab.start("schedule", "run", "weekend", state=state)
            with serving.person() as person:
                serving.execution(person, "weekend")
            pages = {
                "overview": "/", "schedules": "/schedules", "schedule": "/schedules/nightly", "edit": "/schedules/nightly/edit",
                "executions": "/executions", "execution": f"/executions/{shown}", "statistics": "/statistics/nightly",
                "plan": "/plan", "plan-shown": plan, "emergency-stop": "/emergency-stop", "login": "/login",
            }  # fmt: skip
            schemes: tuple[Scheme, ...] = ("light", "dark")
            for scheme in schemes:
                with visit(chromium, serving, scheme=scheme) as somebody:
                    somebody.go("/login")
                    somebody.page.screenshot(path=PICTURES / f"login-{scheme}.png")
                    somebody.log_in(serving.password)
                    for name, path in pages.items():
                        if name != "login":
                            take(somebody, f"{name}-{scheme}", path)
            with visit(chromium, serving, width=390, height=844) as somebody:
                somebody.log_in(serving.password)
                take(somebody, "phone", "/")
            lab.run("--emergency-stop", state=state, exit_code=0)
            working.communicate(timeout=20)
    return 0


if __name__ == "__main__":
    sys.exit(main())
