"""What a record must say to be believed: types are checked by the decoder, ranges and relations here."""

import re
from operator import attrgetter

from rebalancer import records
from rebalancer.errors import DamagedRecordError
from rebalancer.executions.execution import ProcessIdentity, ScheduleExecution

LARGEST = 2**60  # bytes or files; more than any array holds, and sums of thousands of them stay exact
LARGEST_PID = 2**22  # proc(5), /proc/sys/kernel/pid_max
LATEST = 253_402_214_400.0  # a day before the year 10000, so that it can be written as a date in every time zone

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,150}", re.ASCII)
_counts = attrgetter(
    "files_moved", "bytes_moved", "moves_planned", "moves_done", "bytes_planned", "files_left", "attempt"
)
_durations = attrgetter("duration_seconds", "held_seconds")


def is_id(text: str) -> bool:
    """Return whether a name may be one of an execution or a schedule: one path component, never hidden."""
    return _ID.fullmatch(text) is not None


def decode(data: bytes, *, execution_id: str, path: str) -> ScheduleExecution:
    """Return a record that can be believed; raises DamagedRecordError with what is wrong."""
    execution = records.decode(data, ScheduleExecution, path=path)
    if execution.execution_id != execution_id:
        raise DamagedRecordError(path, "it holds the record of another execution")
    if wrong := _wrong(execution):
        raise DamagedRecordError(path, wrong)
    return execution


def _wrong(execution: ScheduleExecution) -> str:
    """Return what cannot be true of a record; nothing when all may be."""
    if not is_id(execution.schedule_id):
        return "schedule_id: not the name of a schedule"
    if execution.status.is_final and execution.end_time is None:
        return f"end_time: missing, although it is {execution.status.value}"
    if not 0 <= execution.start_time <= LATEST or not 0 <= (execution.end_time or 0.0) <= LATEST:
        return "start_time or end_time: not a time"
    return _wrong_figures(execution) or _wrong_processes(execution)


def _wrong_figures(execution: ScheduleExecution) -> str:
    counts = _counts(execution)
    if min(counts) < 0 or max(counts) > LARGEST:
        return "a count is negative or too large"
    durations = _durations(execution)
    if min(durations) < 0 or max(durations) > LATEST:
        return "a duration is negative or too large"
    if execution.exit_code is not None and not -(2**31) <= execution.exit_code < 2**31:
        return "exit_code: not an exit code"
    if any(not 0 <= event.at <= LATEST for event in execution.timeline):
        return "timeline: not a time"
    fills = (*execution.disks_before, *execution.disks_after)
    if any(not (0 <= fill.size_bytes <= LARGEST and 0 <= fill.used_bytes <= LARGEST) for fill in fills):
        return "a disk's size is negative or too large"
    return ""


def _wrong_processes(execution: ScheduleExecution) -> str:
    if execution.pid is not None and not 1 < execution.pid <= LARGEST_PID:
        return "pid: not the number of a process that this program could have started"
    if any(_is_wrong(identity) for identity in (execution.process, execution.worker) if identity is not None):
        return "process or worker: not a process that this program could have started"
    return ""


def _is_wrong(identity: ProcessIdentity) -> bool:
    if not 1 < identity.pid <= LARGEST_PID or not 0 <= identity.start_ticks < 2**63:
        return True
    return not (0 <= identity.pid_namespace < 2**64 and 0 <= identity.pidfd_inode < 2**64)
