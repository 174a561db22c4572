"""``access``: the password of the dashboard, and the tokens of programs."""

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from rebalancer import records
from rebalancer.cli import output, tables
from rebalancer.cli.options import global_options
from rebalancer.cli.session import Session
from rebalancer.errors import RebalancerError

if TYPE_CHECKING:
    from rebalancer.web.credentials import CredentialStore

EPILOG = """\
\b
Examples:
  unraid-rebalancer access password
  unraid-rebalancer access token create prometheus --read-only
  curl -H "Authorization: Bearer TOKEN" http://127.0.0.1:8477/api/v1/overview

Passwords and tokens are shown once; only digests are kept. A dashboard that runs follows at once.
"""


def _complete_token(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    try:
        tokens = _store(context.ensure_object(Session)).load().tokens
    except RebalancerError:
        return []
    return [CompletionItem(one.name) for one in tokens if one.name.startswith(begun)]


@click.group("access", epilog=EPILOG)
def command() -> None:
    """Say who may use the dashboard."""


@command.command("password")
@click.option("--ask", is_flag=True, help="Type one instead of getting a random one.")
@global_options
@click.pass_obj
def password(session: Session, *, ask: bool) -> None:
    """Put a new password in force; everybody who is logged in has to log in again."""
    chosen = click.prompt("new password", hide_input=True, confirmation_prompt=True, err=True) if ask else ""
    made = _store(session).new_password(chosen)
    if session.is_json:
        output.print_json({"password": None if ask else made})
    elif not ask:
        output.say(f"password: {made}  (shown this once)")
    elif session.shows:
        output.say("the password is changed")


@command.group("token")
def token() -> None:
    """Let programs ask the dashboard, or no longer."""


@token.command("create")
@click.argument("name")
@click.option("--read-only", is_flag=True, help="It may look, and change nothing.")
@global_options
@click.pass_obj
def create(session: Session, *, name: str, read_only: bool) -> None:
    """Make a token, which is shown this once."""
    made = _store(session).add_token(name, can_write=not read_only)
    if session.is_json:
        output.print_json({"name": name, "can_write": not read_only, "token": made})
    else:
        output.say(made)


@token.command("list")
@global_options
@click.pass_obj
def list_tokens(session: Session) -> None:
    """Show which tokens there are; not the tokens themselves."""
    tokens = _store(session).load().tokens
    if session.is_json:
        output.print_json(
            [{key: value for key, value in records.to_builtins(one).items() if key != "digest"} for one in tokens]
        )
    elif session.shows:
        if not tokens:
            output.say("no tokens; make one with: unraid-rebalancer access token create NAME --read-only")
            return
        from rebalancer.cli.execution_showing import moment

        rows: list[tuple[tables.Cell, ...]] = [
            (one.name, "everything" if one.can_write else "reading", moment(one.created_at, now=session.clock()))
            for one in tokens
        ]
        columns = (tables.Column("token"), tables.Column("may"), tables.Column("made", may_break=True))
        tables.show(tables.Table(columns, rows))


@token.command("revoke")
@click.argument("name", shell_complete=_complete_token)
@global_options
@click.pass_obj
def revoke(session: Session, *, name: str) -> None:
    """Let a token count no longer."""
    _store(session).revoke_token(name)
    if session.is_json:
        output.print_json({"name": name, "revoked": True})
    elif session.shows:
        output.say(f"revoked {name}")


def _store(session: Session) -> "CredentialStore":
    from rebalancer.web.credentials import CredentialStore

    return CredentialStore(session.folders(), clock=session.clock)
