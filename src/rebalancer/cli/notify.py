"""``notify test``: whether what happens would reach you."""

from typing import TYPE_CHECKING

import click

from rebalancer.cli import output
from rebalancer.cli.options import global_options
from rebalancer.cli.session import Session
from rebalancer.errors import ExitCode

if TYPE_CHECKING:
    from rebalancer.notify.errand import Delivered

EPILOG = """\
\b
In config.toml:
  [notify]
  unraid = true               # through Unraid's own notifications; on Unraid this is the default
  apprise = ["ntfy://ntfy.sh/topic", "mailto://user:password@example.org"]
  on = ["failure", "held", "suspended", "emergency"]  # the default; there is also "success"
  held_after = "2h"           # a run that has waited this long is told of, once
\b
  [notify.pings]              # monitors such as Healthchecks, by schedule: start, success and fail
  nightly = "https://hc-ping.com/..."
"""
TEST_EPILOG = """\
\b
Examples:
  unraid-rebalancer notify test
  unraid-rebalancer notify test --json

A monitor takes the test for a success. Ends with 0 when every channel took it, 1 when one did not, 2 when none is
set up. Addresses are never shown.
"""


@click.group("notify", epilog=EPILOG)
@global_options
def command() -> None:
    """How you are told of failures, long waits and stops: Unraid, a hundred services through Apprise, and pings."""


@command.command("test", epilog=TEST_EPILOG)
@global_options
@click.pass_obj
def test(session: Session) -> ExitCode:
    """Send a test by every channel and say what came of it."""
    delivered = session.engine().teller.test()
    if session.is_json:
        output.print_json(delivered)
    elif session.shows:
        _show(delivered)
    return ExitCode.DONE if all(one.ok for one in delivered) else ExitCode.FAILED


def _show(delivered: "list[Delivered]") -> None:
    width = max(len(one.channel) for one in delivered)
    for one in delivered:
        output.say(f"{one.channel:{width}}  {'sent' if one.ok else f'failed: {one.detail}'}")
