"""An execution as plain data: the specification's record, its states, and which of them are final."""

from dataclasses import dataclass, field
from enum import Enum


class ExecutionStatus(Enum):
    """Where an execution stands; the last four are final."""

    PENDING = "pending"  #: due, held by a guard or waiting for the array's lock
    RUNNING = "running"  #: its worker is at work, or paused
    COMPLETED = "completed"  #: ended by itself; what was left is named
    FAILED = "failed"  #: ended by an error, or its process is lost
    CANCELLED = "cancelled"  #: ended by a person or an emergency stop
    SUSPENDED = "suspended"  #: its schedule was suspended while it ran or waited

    @property
    def is_final(self) -> bool:
        return self not in {ExecutionStatus.PENDING, ExecutionStatus.RUNNING}


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """What tells a process from every other one, also after its number was given away and after a reboot."""

    boot_id: str
    pid_namespace: int  # inode of /proc/PID/ns/pid
    pid: int
    start_ticks: int  # field 22 of /proc/PID/stat, in clock ticks since boot
    token: str  # carried in the process's environment


@dataclass(frozen=True, slots=True)
class LeftFile:
    """Something the execution left where it was, and why; ``path`` is relative to the disk."""

    disk: str
    path: str
    reason: str
    path_base64: str = ""


@dataclass(frozen=True, slots=True)
class DiskFill:
    """How full a disk was, in bytes."""

    name: str
    path: str
    size_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleExecution:
    """One run of a schedule, or of `run` by hand (``schedule_id`` is ``manual``).

    Times are seconds since 1970 (UTC), durations are seconds, sizes are bytes.
    The fields up to ``pid`` are those of the specification; the others follow them.
    """

    execution_id: str
    schedule_id: str
    start_time: float
    end_time: float | None = None
    status: ExecutionStatus = ExecutionStatus.PENDING
    exit_code: int | None = None
    error_message: str = ""
    operation_id: str = ""
    files_moved: int = 0
    bytes_moved: int = 0
    duration_seconds: float = 0.0
    pid: int | None = None
    cause: str = ""  # one word for why it ended as it did: "done", "left", "cancelled", "error", "lost", "held"
    process: ProcessIdentity | None = None
    moves_planned: int = 0
    moves_done: int = 0
    bytes_planned: int = 0
    files_left: int = 0
    left: tuple[LeftFile, ...] = ()  # at most `LEFT_SHOWN` of them; ``files_left`` counts all
    disks_before: tuple[DiskFill, ...] = ()
    disks_after: tuple[DiskFill, ...] = ()
    log: str = field(default="")  # path of the log in the runtime folder


LEFT_SHOWN = 200
