"""``plan``: which units should move where; nothing is changed."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rebalancer.cli import documents, output
from rebalancer.cli.options import file_option, global_options
from rebalancer.cli.selecting import selection_options, typed_option
from rebalancer.cli.session import Session
from rebalancer.errors import UsageError
from rebalancer.planning.selection import Selection

if TYPE_CHECKING:
    from rebalancer.engine import Engine
    from rebalancer.planning.plan import Plan

EPILOG = """\
\b
Examples:
  unraid-rebalancer plan
  unraid-rebalancer plan --strategy target --target-percent 85 --from disk1 --from disk2
  unraid-rebalancer plan --strategy evacuate --from disk3 --explain
  unraid-rebalancer plan --strategy gather --path "tv/Some Series"
  unraid-rebalancer plan --inventory array.json --json
  unraid-rebalancer plan --save plan.json && unraid-rebalancer run --plan plan.json
"""


@click.command("plan", epilog=EPILOG)
@file_option("--save", help="Write the plan to this file, for run --plan.")
@file_option("--inventory", help="Plan from a saved scan; no disk is touched.")
@click.option("--explain", is_flag=True, help="Say for every disk what happens to it and why, and why each unit stays.")
@selection_options
@global_options
@click.pass_context
def command(
    context: click.Context, *, selection: Selection, save: Path | None, inventory: Path | None, explain: bool
) -> None:
    """Compute and show a plan; nothing is changed.

    Without --inventory the disks are scanned first.
    """
    from rebalancer.cli import showing

    session = context.ensure_object(Session)
    if inventory is not None and (option := typed_option(context, {"unit_depth"})):
        raise UsageError(f"{option}: is decided when the disks are scanned, not when a saved inventory is planned from")
    if save is not None:
        documents.check_target(save)
    plan = make_plan(session, session.engine(), selection, inventory=inventory)
    if save is not None:
        documents.save(save, plan)
    if session.is_json:
        output.print_json(plan)
    elif session.shows:
        showing.show_plan(plan, every_detail=session.is_verbose)
        if explain:
            showing.explain_plan(plan)


def make_plan(session: Session, engine: "Engine", selection: Selection, *, inventory: Path | None = None) -> "Plan":
    """Return the plan for a saved inventory, or for what is on the disks now; Ctrl-C stops it with CancelledError."""
    from rebalancer.cancel import Cancel
    from rebalancer.cli.scan import scan
    from rebalancer.cli.stopping import stop_on_signals

    found = documents.read_inventory(inventory) if inventory is not None else scan(session, engine, selection)
    cancel = Cancel()
    with stop_on_signals(cancel, announces=False):
        plan = engine.plan(found, selection, cancel=cancel)
    cancel.check()
    return plan
