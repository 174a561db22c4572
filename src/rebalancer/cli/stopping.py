"""Signals become a request on the `Cancel` token, and nothing else: the loops that work decide where to stop."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rebalancer.cancel import Cancel

SENTENCE = "stopping after the current chunk…"
_REASONS = {
    signal.SIGINT: "cancelled by Ctrl-C",
    signal.SIGTERM: "cancelled by a signal to end",
    signal.SIGHUP: "cancelled because the terminal was closed",
}


@contextmanager
def stop_on_signals(cancel: Cancel, *, announces: bool = True) -> Iterator[None]:
    """Turn Ctrl-C and its relatives into a request to stop while the block runs; asking again repeats the sentence.

    The loss of the terminal stays ignored where it was (``nohup``). Who was asked to stop is on its way out when the
    block ends: TERM and HUP that come later than that must not end it before it has said how it ended.
    """

    def ask(number: int, _frame: FrameType | None) -> None:
        cancel.request(_REASONS[signal.Signals(number)])
        if announces:
            _announce()

    is_detached = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    heard = [number for number in _REASONS if not (is_detached and number == signal.SIGHUP)]
    before = {number: signal.signal(number, ask) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            is_leaving = cancel.is_requested and number != signal.SIGINT
            # ignored, not heard: at its end the interpreter gives every signal that is heard its default action back
            signal.signal(number, signal.SIG_IGN if is_leaving else handler)


def _announce() -> None:
    # not print: a signal may arrive in the middle of one, and buffered streams refuse to be entered twice
    try:
        os.write(2, f"{SENTENCE}\n".encode())
    except OSError:  # the terminal is gone, which may be why we are asked to stop
        return
