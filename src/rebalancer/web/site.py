"""The pieces of the dashboard wired once, and what every page is filled with."""

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from litestar import Request, Response
from litestar.enums import MediaType

from rebalancer.engine import Engine
from rebalancer.errors import RebalancerError
from rebalancer.executions.control import Control
from rebalancer.executions.monitor import ScheduleMonitor
from rebalancer.schedules.command import ScheduleCommand
from rebalancer.settings import ServeSettings
from rebalancer.state import StateFolders
from rebalancer.web.assets import Assets
from rebalancer.web.attempts import Attempts
from rebalancer.web.credentials import CredentialStore
from rebalancer.web.gate import Caller, Gate
from rebalancer.web.hosts import Hosts
from rebalancer.web.live import Broadcaster
from rebalancer.web.overview import OverviewSource
from rebalancer.web.pages.layout import Layout
from rebalancer.web.plans import Plans
from rebalancer.web.sessions import Sessions
from rebalancer.web.starts import Starts

Asking = Request[Any, Any, Any]
Page = Response[str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Site:
    """``open_engine`` reads the settings anew; ``clock`` returns seconds since 1970 (UTC).

    ``engine`` has the settings of the start: for what needs none, also while the file is broken.
    """

    open_engine: Callable[[], Engine]
    engine: Engine
    folders: StateFolders
    clock: Callable[[], float]
    settings: ServeSettings
    credentials: CredentialStore
    sessions: Sessions
    attempts: Attempts
    starts: Starts
    plans: Plans
    overview: OverviewSource
    live: Broadcaster
    layout: Layout
    assets: Assets

    @classmethod
    def of(
        cls,
        open_engine: Callable[[], Engine],
        *,
        settings: ServeSettings,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> "Site":
        """Wire the dashboard of one installation."""
        engine = open_engine()
        assets = Assets.load()
        overview = OverviewSource(open_engine, clock)
        layout = Layout.of(assets, timezone=lambda: engine.timezone, clock=clock)
        starts = Starts(engine.folders, ScheduleCommand(engine.script, engine.folders.config, engine.root))
        return cls(
            open_engine=open_engine,
            engine=engine,
            folders=engine.folders,
            clock=clock,
            settings=settings,
            credentials=CredentialStore(engine.folders, clock=clock),
            sessions=Sessions(engine.folders, clock=clock),
            attempts=Attempts(monotonic),
            starts=starts,
            plans=Plans(engine.folders, starts, clock),
            overview=overview,
            live=Broadcaster(lambda: layout.pieces(overview.look())),
            layout=layout,
            assets=assets,
        )

    @property
    def monitor(self) -> ScheduleMonitor:
        return ScheduleMonitor.of(self.folders, clock=self.clock)

    def control(self, caller: Caller) -> Control:
        """Return the controls in the name of who asks."""
        return replace(self.engine.control, actor=caller.actor)

    def still_lets_in(self, caller: Caller) -> bool:
        """Return whether who was let in before would be let in now."""
        if caller.session is None:
            return not self.settings.login
        try:
            return self.sessions.goes_on(caller.session, era=self.credentials.load().era)
        except RebalancerError:
            return False

    def gate(self, app: Any) -> Gate:
        """Return the application with the gate before it."""
        return Gate(
            app=app,
            hosts=Hosts.of(socket.gethostname(), self.settings.hosts),
            credentials=self.credentials,
            sessions=self.sessions,
            needs_login=self.settings.login,
            open_csrf=secrets.token_urlsafe(32),
        )


def site_of(request: Asking) -> Site:
    site: Site = request.app.state.site
    return site


def caller_of(request: Asking) -> Caller:
    """Return who sent the request; the gate let him in."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def page(request: Asking, template: str, *, status: int = 200, **values: Any) -> Page:
    """Return a page filled with these values, beside what every page has."""
    caller = caller_of(request)
    notes = caller.session.take_notes() if caller.session is not None else []
    theme = request.cookies.get("theme", "")
    text = site_of(request).layout.page(
        template, caller=caller, path=request.url.path, notes=notes, theme=theme, **values
    )
    return Response(content=text, media_type=MediaType.HTML, status_code=status)


def send_to(request: Asking, path: str, *, note: str = "") -> Page:
    """Return the answer to a form that was carried out: what it came to is said on the page that follows."""
    caller = caller_of(request)
    if note and caller.session is not None:
        caller.session.tell(note)
    return Response(content="", media_type=MediaType.TEXT, status_code=303, headers={"location": path})
