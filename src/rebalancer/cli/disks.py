"""``disks``: how full every disk is."""

import click

from rebalancer.cli import output
from rebalancer.cli.options import global_options
from rebalancer.cli.session import Session

EPILOG = """\
\b
Examples:
  unraid-rebalancer disks
  unraid-rebalancer disks --json
  unraid-rebalancer disks --disk /mnt/a --disk /mnt/b
"""


@click.command("disks", epilog=EPILOG)
@global_options
@click.pass_obj
def command(session: Session) -> None:
    """Show how full every disk is, and why one cannot take part."""
    from rebalancer.array.disk import document_of
    from rebalancer.cli import showing

    disks = session.engine().disks()
    if session.is_json:
        output.print_json([document_of(disk) for disk in disks])
    elif session.shows:
        showing.show_disks(disks)
