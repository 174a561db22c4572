"""How an execution ended, judged from what is known of it: pure, so that every case can be tested."""

import signal
from dataclasses import dataclass

from rebalancer.errors import ExitCode
from rebalancer.executions.execution import ExecutionStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known when the last worker has ended; counts are sums over all workers of the execution."""

    files_moved: int = 0
    files_left: int = 0
    moves_done: int = 0
    first_reason: str = ""  # why the first file was left
    error: str = ""  # what ended the whole work, in the worker's or the supervisor's words
    error_code: ExitCode = ExitCode.FAILED
    is_cancelled: bool = False
    is_time_up: bool = False
    is_worker_lost: bool = False  # it ended without its last line
    worker_exit_code: int = 0  # negative for the signal that ended it
    is_stuck: bool = False  # KILL was sent and it lives on, waiting for a disk


@dataclass(frozen=True, slots=True)
class Outcome:
    status: ExecutionStatus
    exit_code: int
    cause: str
    error_message: str = ""


def judge(facts: Facts) -> Outcome:
    """Return the final state. A run that moved something and left some files is completed, with exit code 1."""
    if facts.is_stuck or facts.is_cancelled:
        reason = "kill pending: it waits for a disk" if facts.is_stuck else "stopped on request"
        return Outcome(ExecutionStatus.CANCELLED, ExitCode.CANCELLED, "cancelled", reason)
    if facts.is_worker_lost:
        return Outcome(ExecutionStatus.FAILED, ExitCode.FAILED, "lost", _how_it_ended(facts.worker_exit_code))
    if facts.error:
        return Outcome(ExecutionStatus.FAILED, facts.error_code, "error", facts.error)
    if facts.files_left:
        is_nothing_done = not (facts.files_moved or facts.moves_done or facts.is_time_up)
        status = ExecutionStatus.FAILED if is_nothing_done else ExecutionStatus.COMPLETED
        return Outcome(status, ExitCode.FAILED, "left", _what_stayed(facts))
    if facts.is_time_up:
        return Outcome(ExecutionStatus.COMPLETED, ExitCode.DONE, "time is up", "the maximum run time was reached")
    return Outcome(ExecutionStatus.COMPLETED, ExitCode.DONE, "done")


def _what_stayed(facts: Facts) -> str:
    if facts.files_left == 1:
        return f"1 file or folder stayed where it was: {facts.first_reason}"
    return f"{facts.files_left} files or folders stayed where they were; the first: {facts.first_reason}"


def _how_it_ended(code: int) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        return f"the worker was ended by signal {name}; the next run finishes what it began"
    return f"the worker ended with exit code {code} before its work was done; the log says more"
