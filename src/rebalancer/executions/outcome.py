"""How an execution ended, judged from what is known of it: pure, so that every case can be tested."""

import signal
from dataclasses import dataclass

from rebalancer.errors import ExitCode
from rebalancer.executions.execution import ExecutionStatus
from rebalancer.executions.request import StopAction, StopRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known when the work has ended; counts are sums over all operations of the execution."""

    files_moved: int = 0
    files_left: int = 0
    moves_done: int = 0
    first_reason: str = ""  # why the first file was left
    error: str = ""  # what ended the whole work, in the worker's or the supervisor's words
    error_code: ExitCode = ExitCode.FAILED
    is_cancelled: bool = False
    request: StopRequest | None = None  # who cancelled it and why, when they said so
    time_is_up: str = ""  # why its time was over; empty when it was not
    held: str = ""  # what held it until it could wait no longer
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
        return _stopped(facts)
    if facts.held:
        return Outcome(ExecutionStatus.CANCELLED, ExitCode.NOT_NOW, "held", facts.held)
    if facts.is_worker_lost:
        return Outcome(ExecutionStatus.FAILED, ExitCode.FAILED, "lost", _how_it_ended(facts.worker_exit_code))
    if facts.error:
        return Outcome(ExecutionStatus.FAILED, facts.error_code, "error", facts.error)
    return _completed(facts)


def _stopped(facts: Facts) -> Outcome:
    action = facts.request.action if facts.request is not None else StopAction.CANCEL
    words = {
        StopAction.CANCEL: "cancelled",
        StopAction.SUSPEND: "suspended",
        StopAction.EMERGENCY: "emergency stop",
        StopAction.ARRAY_STOP: "array stop",
    }
    reason = facts.request.reason if facts.request is not None and facts.request.reason else "stopped on request"
    if facts.is_stuck:
        reason = f"{reason}; kill pending: it waits for a disk"
    status = ExecutionStatus.SUSPENDED if action is StopAction.SUSPEND else ExecutionStatus.CANCELLED
    return Outcome(status, ExitCode.CANCELLED, words[action], reason)


def _completed(facts: Facts) -> Outcome:
    if facts.files_left:
        is_nothing_done = not (facts.files_moved or facts.moves_done or facts.time_is_up)
        status = ExecutionStatus.FAILED if is_nothing_done else ExecutionStatus.COMPLETED
        return Outcome(status, ExitCode.FAILED, "left", _what_stayed(facts))
    if facts.time_is_up:
        return Outcome(ExecutionStatus.COMPLETED, ExitCode.DONE, "time is up", f"{facts.time_is_up}; the rest waits")
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
