"""Every address that changes anything: closed to strangers, to tokens that may only read, and to foreign pages."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from lab.dashboard import Dashboard
from rebalancer.engine import Engine
from rebalancer.settings import ServeSettings, Settings
from rebalancer.state import choose_folders
from rebalancer.web.app import application
from rebalancer.web.asked import SAFE
from rebalancer.web.site import Site

FOR_STRANGERS = {("POST", "/login")}


def routes(state: Path) -> Iterator[tuple[str, str]]:
    """Yield method and address of all that the dashboard answers, with made up names for what is named in them."""
    folders = choose_folders(state / "config", root=Path("/"), environment=dict(os.environ), uid=os.geteuid())
    engine = Engine(folders, Settings(), Path("/"))
    site = Site.of(lambda: engine, settings=ServeSettings(), clock=time.time, monotonic=time.monotonic)
    for route in application(site).routes:
        path = "/".join(part if isinstance(part, str) else "x" for part in route.path_components)
        for method in getattr(route, "methods", ()):
            yield method, f"/{path}"


def test_no_address_changes_anything_for_who_may_not(served: Dashboard, state: Path) -> None:
    changing = {(method, path) for method, path in routes(state) if method not in SAFE | {"OPTIONS"}}
    with served.anybody() as stranger, served.program(read_only=True) as reader, served.person() as forged:
        del forged.headers["x-csrf-token"]
        answers = {
            (method, path): [client.request(method, path).status_code for client in (stranger, reader, forged)]
            for method, path in sorted(changing - FOR_STRANGERS)
        }

    assert len(answers) >= 15
    assert {asked: found for asked, found in answers.items() if found != [401, 403, 403]} == {}


def test_no_address_for_programs_tells_a_stranger_anything(served: Dashboard, state: Path) -> None:
    asked = {path for method, path in routes(state) if method == "GET" and path.startswith(("/api/", "/metrics"))}
    with served.anybody() as stranger, served.person() as person:
        answers = {path: stranger.get(path).status_code for path in sorted(asked)}
        seen = person.get("/metrics"), person.get("/api/v1/schedules")  # who is logged in may look at all of it

    assert len(answers) >= 12
    assert set(answers.values()) == {401}
    assert [answer.status_code for answer in seen] == [200, 200]
