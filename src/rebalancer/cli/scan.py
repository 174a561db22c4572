"""``scan``: what is on the disks, as units."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebalancer.cli import documents, output
from rebalancer.cli.options import file_option, global_options
from rebalancer.cli.selecting import unit_depth_option
from rebalancer.cli.session import Session
from rebalancer.planning.selection import Selection

if TYPE_CHECKING:
    from rebalancer.engine import Engine
    from rebalancer.inventory.unit import Inventory

EPILOG = """\
\b
Examples:
  unraid-rebalancer scan
  unraid-rebalancer scan -v --unit-depth 2
  unraid-rebalancer scan --save array.json && unraid-rebalancer plan --inventory array.json
"""


@click.command("scan", epilog=EPILOG)
@file_option("--save", help="Write the inventory to this file.")
@unit_depth_option
@global_options
@click.pass_obj
def command(session: Session, *, unit_depth: int, save: Path | None) -> None:
    """Read every disk once and show its units; nothing is changed."""
    from rebalancer.cli import showing
    from rebalancer.inventory.document import document

    if save is not None:
        documents.check_target(save)
    inventory = scan(session, session.engine(), Selection(unit_depth=unit_depth))
    if save is not None:
        documents.save(save, document(inventory))
    if session.is_json:
        output.print_json(document(inventory))
    elif session.shows:
        showing.show_inventory(inventory, every_detail=session.is_verbose)


def scan(session: Session, engine: "Engine", selection: Selection) -> "Inventory":
    """Return what is on the disks, shown while it is read; Ctrl-C stops it with CancelledError."""
    from rebalancer.cancel import Cancel
    from rebalancer.cli import progress
    from rebalancer.cli.stopping import stop_on_signals

    cancel = Cancel()
    with stop_on_signals(cancel, announces=False), progress.of_scan(shows=session.shows) as on_progress:
        inventory = engine.scan(selection, cancel=cancel, on_progress=on_progress)
    cancel.check()
    return inventory
