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
    token: str  # carried in the process's environment; empty for a process that somebody else started
    pidfd_inode: int = 0  # inode of its pidfd, unique per boot since Linux 6.9; 0 before that


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an execution: due, held, started, paused, asked to stop, ended."""

    at: float  # seconds since 1970 (UTC)
    what: str
    why: str = ""
    guards: tuple[str, ...] = ()  # the guards that held it; empty when nothing did


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
    cause: str = ""  # why it ended as it did, in a word or two: see `outcome`
    process: ProcessIdentity | None = None  # its supervisor, or the process that `start_execution` was given
    worker: ProcessIdentity | None = None
    slot: str = ""  # the scheduled local time it stands for, with its UTC offset; empty when started by hand
    fired_by: str = "hand"  # "cron", "clock", "catch-up", "retry" or "hand"
    attempt: int = 1
    actor: str = ""  # who cancelled it or suspended its schedule
    held_seconds: float = 0.0  # waiting and pausing, not part of ``duration_seconds``
    timeline: tuple[Event, ...] = ()
    moves_planned: int = 0
    moves_done: int = 0
    bytes_planned: int = 0
    files_left: int = 0
    left: tuple[LeftFile, ...] = ()  # at most `LEFT_SHOWN` of them; ``files_left`` counts all
    disks_before: tuple[DiskFill, ...] = ()
    disks_after: tuple[DiskFill, ...] = ()
    log: str = field(default="")  # path of the log in the runtime folder


LEFT_SHOWN = 200
