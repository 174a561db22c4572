"""``schedule list|show|next``: what there is and how it goes; nothing is changed."""

from typing import TYPE_CHECKING

import click

from rebalancer.cli import output
from rebalancer.cli.options import global_options, parsed
from rebalancer.cli.schedule_showing import (
    Now,
    document,
    next_document,
    show_list,
    show_next,
    show_one,
)
from rebalancer.cli.session import Session
from rebalancer.errors import UsageError
from rebalancer.schedules.schedule import Schedule

if TYPE_CHECKING:
    from rebalancer.engine import Engine

MOST_FIRINGS = 1000


def moment_of(session: Session, engine: "Engine") -> Now:
    """Return the moment and the time zone that everything of this command line is told from."""
    return Now(at=session.clock(), timezone=engine.timezone)


def _firings(text: str, *, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= MOST_FIRINGS):
        raise UsageError(f"{field}: {text!r} is not a number from 1 to {MOST_FIRINGS:,}")
    return int(text)


@click.command("list")
@global_options
@click.pass_obj
def list_schedules(session: Session) -> None:
    """Show all schedules: when they run next, and what keeps them from it."""
    engine = session.engine()
    now, schedules = moment_of(session, engine), engine.schedules.list()
    if session.is_json:
        output.print_json([document(schedule, now) for schedule in schedules])
    elif session.shows:
        show_list(schedules, now)
    for sentence in engine.schedules.damaged():
        output.complain(f"unreadable: {sentence}")


@click.command("show")
@click.argument("schedule_id", metavar="ID")
@global_options
@click.pass_obj
def show(session: Session, *, schedule_id: str) -> None:
    """Show one schedule: when it runs next and every option that is not at its default."""
    engine = session.engine()
    schedule, now = engine.schedules.get(schedule_id), moment_of(session, engine)
    if session.is_json:
        output.print_json(document(schedule, now))
    elif session.shows:
        show_one(schedule, now)


@click.command("next")
@click.argument("schedule_id", metavar="[ID]", required=False)
@click.option(
    "--count", metavar="N", callback=parsed(_firings), default="5", show_default=True, help="How many firings."
)
@global_options
@click.pass_obj
def next_firings(session: Session, *, schedule_id: str | None, count: int) -> None:
    """Show which schedule fires when, in words; of one schedule or of all."""
    engine = session.engine()
    schedules, now = chosen(engine, schedule_id), moment_of(session, engine)
    if session.is_json:
        output.print_json(next_document(schedules, now, count=count))
    elif session.shows:
        show_next(schedules, now, count=count)


def chosen(engine: "Engine", schedule_id: str | None) -> list[Schedule]:
    """Return the schedule that was named, or all of them."""
    return engine.schedules.list() if schedule_id is None else [engine.schedules.get(schedule_id)]


COMMANDS = {"list": list_schedules, "show": show, "next": next_firings}
