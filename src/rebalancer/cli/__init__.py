"""Commands, tables and progress: the entry point turns every ending into one sentence and an exit code."""

import contextlib
import io
import sys
from collections.abc import Sequence
from functools import partial
from types import TracebackType

import click

from rebalancer import names
from rebalancer.cli import output
from rebalancer.cli.group import program
from rebalancer.cli.session import Session
from rebalancer.errors import ExitCode, RebalancerError


def main() -> None:
    """Run the command line of this process and end with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    session = Session()
    sys.excepthook = partial(explain, session)
    sys.exit(answer(sys.argv[1:], session))


def answer(arguments: Sequence[str], session: Session) -> int:
    """Run one command line and return its exit code; what a user can cause is answered with one sentence."""
    try:
        ending = program.main(list(arguments), prog_name=output.PROGRAM, obj=session, standalone_mode=False)
        output.finish()
    except RebalancerError as error:
        session.log("error", "%s", names.display(str(error)))
        output.complain(str(error))
        return int(error.exit_code)
    except click.ClickException as error:
        output.complain(_usage_sentence(error))
        return int(ExitCode.WRONG_USAGE)
    except (click.Abort, KeyboardInterrupt):
        if sys.stderr.isatty():  # the terminal has just echoed ^C
            click.echo(err=True)
        output.complain("cancelled")
        return int(ExitCode.CANCELLED)
    except BrokenPipeError:
        output.forget_reader()
        return int(ExitCode.FAILED)
    return int(ending or ExitCode.DONE)


def explain(session: Session, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Answer what nobody foresaw: one sentence, the traceback only for ``-v`` and for the log file."""
    session.log("error", "unexpected error", exc_info=(kind, error, trace))
    with contextlib.suppress(OSError):
        output.finish()
    with contextlib.suppress(OSError):
        output.complain(f"unexpected error: {kind.__name__}: {error}; run with -v for details")
        if session.is_verbose:
            import traceback

            traceback.print_exception(kind, error, trace)


def _usage_sentence(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else output.PROGRAM
    text = error.format_message().rstrip(".")
    return f"{text[:1].lower()}{text[1:]}; see {command} --help"
