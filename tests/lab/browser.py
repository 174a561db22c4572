"""A real browser, Debian's Chromium without a screen, which notes whatever a page should not have done."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

from lab import needs
from lab.dashboard import Dashboard

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 30_000  # milliseconds for anything to appear
_SERIOUS = {"serious", "critical"}
Scheme = Literal["light", "dark"]


@dataclass(eq=False)
class Visit:
    """A page of a person who may log in, and what went wrong in it."""

    page: Page
    address: str
    wrong: list[str] = field(default_factory=list)  # errors in the console, failed and foreign requests

    def log_in(self, password: str) -> None:
        self.page.goto(f"{self.address}/login")
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(f"{self.address}/")

    def go(self, path: str) -> None:
        self.page.goto(f"{self.address}{path}")

    def serious_findings(self) -> list[str]:
        """Return what axe-core finds seriously wrong with the accessibility of the page as it is."""
        self.page.evaluate(needs.AXE.read_text())
        found: dict[str, Any] = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{urlsplit(self.page.url).path}: {one['id']}: {json.dumps([node['html'][:200] for node in one['nodes']])}"
            for one in found["violations"]
            if one["impact"] in _SERIOUS
        ]

    def hear_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.wrong.append(f"{urlsplit(self.page.url).path}: console {message.type}: {message.text}")

    def hear_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.address}/", "data:")):
            self.wrong.append(f"foreign request: {request.url}")

    def hear_response(self, response: Response) -> None:
        if response.status >= 500:
            self.wrong.append(f"{response.status} for {response.url}")


@contextmanager
def browser() -> Iterator[Browser]:
    needs.demand(needs.lacking_browser())
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield launched
        finally:
            launched.close()


@contextmanager
def visit(
    browser: Browser,
    dashboard: Dashboard,
    *,
    scheme: Scheme = "light",
    width: int = 1280,
    height: int = 900,
    with_script: bool = True,
) -> Iterator[Visit]:
    """Open a window of its own on the dashboard, without anybody logged in."""
    context = browser.new_context(
        color_scheme=scheme,
        viewport={"width": width, "height": height},
        java_script_enabled=with_script,
        locale="en-GB",
        timezone_id="UTC",
    )
    context.set_default_timeout(PATIENCE)
    try:
        page = context.new_page()
        opened = Visit(page, dashboard.address)
        page.on("console", opened.hear_console)
        page.on("request", opened.hear_request)
        page.on("response", opened.hear_response)
        page.on("pageerror", lambda error: opened.wrong.append(f"script: {error}"))
        yield opened
    finally:
        context.close()
