"""``serve``: the dashboard and the built-in clock in the foreground."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from rebalancer import settings
from rebalancer.cancel import Cancel
from rebalancer.cli import output
from rebalancer.cli.options import global_options, parsed
from rebalancer.cli.session import Session
from rebalancer.cli.stopping import stop_on_signals
from rebalancer.errors import ExitCode

if TYPE_CHECKING:
    from rebalancer.engine import Engine
    from rebalancer.executions.clock import Clock

_REMEMBERED = 50  # newest records that are searched for a schedule's newest slot after a reboot

EPILOG = """\
\b
Examples:
  unraid-rebalancer serve
  unraid-rebalancer serve --listen 0.0.0.0:8477 --host tower.lan
  unraid-rebalancer serve --no-dashboard --log-file /var/log/unraid-rebalancer.log

The first start prints a password, once; 'access password' makes another one, 'access token create' lets programs in.
Runs until it is asked to stop (Ctrl-C, SIGTERM) and then ends with 0; 75 when it runs already. Executions that it
started go on. Cron and serve may both be on: a slot fires once all the same.
"""


def _address(text: str, *, field: str) -> str:
    settings.parse_address(text, field=field)
    return text


@click.command("serve", epilog=EPILOG)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    callback=parsed(_address),
    help="Where the dashboard listens (default: 127.0.0.1:8477).",
)
@click.option(
    "--host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A name that browsers reach it by, besides this machine's own; repeatable.",
)
@click.option("--no-clock", is_flag=True, help="Leave starting schedules to cron.")
@click.option("--no-dashboard", is_flag=True, help="Only start schedules.")
@global_options
@click.pass_obj
def command(session: Session, *, listen: str | None, hosts: tuple[str, ...], no_clock: bool, no_dashboard: bool) -> int:
    """Show and control everything in a browser, and start schedules when they are due, without cron."""
    engine = session.engine()
    cancel = Cancel()
    clock = None if no_clock else _clock(engine)
    with stop_on_signals(cancel, announces=False):
        if no_dashboard:
            if clock is not None:
                _introduce_clock(session, engine)
                clock.run(cancel)
            return ExitCode.DONE
        _serve(session, engine, _chosen(engine, listen, hosts), cancel, clock)
    return ExitCode.DONE


def _chosen(engine: "Engine", listen: str | None, hosts: tuple[str, ...]) -> settings.ServeSettings:
    """Return what the settings say, changed by what was typed."""
    from msgspec import structs

    before = engine.settings.serve
    chosen = structs.replace(before, listen=listen or before.listen, hosts=(*before.hosts, *hosts))
    settings.check_serve(chosen, where="serve")
    return chosen


def _serve(
    session: Session, engine: "Engine", chosen: settings.ServeSettings, cancel: Cancel, clock: "Clock | None"
) -> None:
    from rebalancer.web.server import address_of, listening, serve
    from rebalancer.web.site import Site

    site = Site.of(
        lambda: replace(engine, settings=settings.load(engine.folders.settings)),
        settings=chosen,
        clock=session.clock,
        monotonic=time.monotonic,
    )
    listener = listening(*chosen.address)
    password = site.credentials.first_password() if chosen.login else ""
    address = f"http://{address_of(*listener.getsockname()[:2])}/"
    with output.reader_may_leave():
        if clock is not None:
            _introduce_clock(session, engine)
        _introduce_dashboard(session, address, password)
    serve(site, listener, cancel, clock=clock.run if clock is not None else None)


def _introduce_dashboard(session: Session, address: str, password: str) -> None:
    """Say where it is; the first password also when nothing is to be said: nobody could log in without it."""
    if session.is_json:
        output.print_json({"dashboard": address, "password": password or None})
        return
    if session.shows:
        output.say(f"dashboard: {address}")
    if password:
        output.say(f"password: {password}  (shown this once; for a new one: unraid-rebalancer access password)")


def _introduce_clock(session: Session, engine: "Engine") -> None:
    if session.shows:
        with output.reader_may_leave():
            count = output.count(len(engine.schedules.list()), "schedule")
            output.say(f"the clock is running for {count} in {engine.folders.config}; Ctrl-C ends it")


def _clock(engine: "Engine") -> "Clock":
    from rebalancer.executions.claims import newest_slot
    from rebalancer.executions.clock import Clock
    from rebalancer.schedules.command import ScheduleCommand

    return Clock(
        folders=engine.folders,
        schedules=engine.schedules.list,
        command=ScheduleCommand(engine.script, engine.folders.config, engine.root),
        store=engine.index.store,
        newest_slot=lambda schedule_id: newest_slot(engine.index.latest(schedule_id, count=_REMEMBERED)),
        machine_timezone=lambda: engine.timezone,
        on_problem=_Complaints(),
    )


class _Complaints:
    """Says every problem once, until another one comes between."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, problem: str) -> None:
        if problem != self._last:
            self._last = problem
            output.complain(problem)
