"""``completion``: the script that teaches a shell the commands and options."""

import os

import click
from click.shell_completion import get_completion_class

from rebalancer.cli import output
from rebalancer.cli.options import global_options
from rebalancer.cli.session import Session
from rebalancer.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
EPILOG = """\
\b
Examples:
  unraid-rebalancer completion bash > /etc/bash_completion.d/unraid-rebalancer
  unraid-rebalancer completion zsh > "${fpath[1]}/_unraid-rebalancer"
  unraid-rebalancer completion fish > ~/.config/fish/completions/unraid-rebalancer.fish
"""


@click.command("completion", epilog=EPILOG)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@global_options
@click.pass_context
def command(context: click.Context, *, shell: str | None) -> None:
    """Print the completion script of a shell (default: the one in use)."""
    shell = shell or os.path.basename(os.environ.get("SHELL", ""))
    kind = get_completion_class(shell) if shell in SHELLS else None
    if kind is None:
        raise UsageError("name the shell: bash, zsh or fish")
    completion = kind(context.find_root().command, {}, output.PROGRAM, "_UNRAID_REBALANCER_COMPLETE")
    script = completion.source_template % completion.source_vars()
    if context.ensure_object(Session).is_json:
        output.print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
