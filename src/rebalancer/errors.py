"""Every error a user may see, each with the exit code that the command line answers with."""

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What the program says to the shell; documented in ``--help``."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    NOT_NOW = 75
    CANCELLED = 130


class RebalancerError(Exception):
    """An answer for the user: one sentence, no traceback."""

    exit_code: ExitCode = ExitCode.FAILED


class UsageError(RebalancerError):
    """An option, a settings file or a plan file says something impossible."""

    exit_code = ExitCode.WRONG_USAGE


class NotFoundError(RebalancerError):
    """No such schedule, execution or file."""

    exit_code = ExitCode.NOT_FOUND


class RefusedError(RebalancerError):
    """Something that must not be done: not ours, not permitted, not safe."""

    exit_code = ExitCode.REFUSED


class TakenError(RefusedError):
    """Something of that name is there already."""


class NotNowError(RebalancerError):
    """A guard or a lock holds the work; later may be fine."""

    exit_code = ExitCode.NOT_NOW


class CancelledError(RebalancerError):
    """A person or a signal asked to stop, and everything did."""

    exit_code = ExitCode.CANCELLED


@dataclass(eq=False)
class DamagedRecordError(RebalancerError):
    """A file of the state folder that cannot be believed. It is left where it is."""

    path: str
    reason: str

    exit_code = ExitCode.REFUSED

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"
