"""``serve``: the built-in clock in the foreground, for machines without cron."""

from typing import TYPE_CHECKING

import click

from rebalancer.cancel import Cancel
from rebalancer.cli import output
from rebalancer.cli.options import global_options
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
  unraid-rebalancer serve --log-file /var/log/unraid-rebalancer.log

Runs until it is asked to stop (Ctrl-C, SIGTERM) and then ends with 0; 75 when it runs already. Executions that it
started go on. Cron and serve may both be on: a slot fires once all the same. A dashboard is not part of it yet.
"""


@click.command("serve", epilog=EPILOG)
@global_options
@click.pass_obj
def command(session: Session) -> int:
    """Start schedules when they are due, without cron, and see to missed runs."""
    engine = session.engine()
    clock = _clock(engine)
    cancel = Cancel()
    if session.shows:
        with output.reader_may_leave():
            count = output.count(len(engine.schedules.list()), "schedule")
            output.say(f"the clock is running for {count} in {engine.folders.config}; Ctrl-C ends it")
    with stop_on_signals(cancel, announces=False):
        clock.run(cancel)
    return ExitCode.DONE


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
