"""What the form of a schedule asks, in which order and in which words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from msgspec import Struct

from rebalancer.guards.options import GuardOptions
from rebalancer.planning.selection import Selection
from rebalancer.schedules import written
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.writing import in_text


class Kind(Enum):
    """What a field is on the page."""

    TEXT = "text"  #: one line; empty stands for the default
    LINES = "lines"  #: one entry a line
    CHOICE = "choice"  #: one of a few
    TICKS = "ticks"  #: any of a few
    DISKS = "disks"  #: any of the disks
    SWITCH = "switch"  #: yes or no


class Part(Enum):
    """Which record a field belongs to, and by which readers its text is read."""

    SCHEDULE = Schedule
    SELECTION = Selection
    GUARDS = GuardOptions

    @property
    def readers(self) -> Mapping[str, written.Reader]:
        return {Part.SCHEDULE: written.SCHEDULE, Part.SELECTION: written.SELECTION, Part.GUARDS: written.GUARD}[self]

    def of(self, schedule: Schedule) -> Struct:
        """Return the record of a schedule that holds the fields of this part."""
        found = {Part.SCHEDULE: schedule, Part.SELECTION: schedule.selection, Part.GUARDS: schedule.guards}
        return found[self]


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to choose; ``hint`` may be empty."""

    value: str
    label: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One option of a schedule, named as the field of its record."""

    name: str
    label: str
    hint: str = ""
    kind: Kind = Kind.TEXT
    part: Part = Part.SCHEDULE
    choices: tuple[Choice, ...] = ()
    none: str = ""  # what the default means where it is no value, such as "no limit"

    @property
    def default(self) -> Any:
        kind = self.part.value
        fields = kind.__struct_fields__[-len(kind.__struct_defaults__) :]  # those without a default stand in front
        return dict(zip(fields, kind.__struct_defaults__, strict=True))[self.name]

    @property
    def default_text(self) -> str:
        """Return what an empty field stands for, in words."""
        return self.none or in_text(self.name, self.default)

    def value_in(self, schedule: Schedule) -> Any:
        return getattr(self.part.of(schedule), self.name)


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that belong together; the common ones are always in sight."""

    name: str
    title: str
    fields: tuple[Field, ...]
    is_common: bool = False


def fits_a_line(entry: str) -> bool:
    """Return whether a browser sends an entry back as it was: line breaks separate entries."""
    return "\n" not in entry and "\r" not in entry


# -- the form -----------------------------------------------------------------------------------------------------

_STRATEGIES = (
    Choice("even", "even", "all disks equally full"),
    Choice("target", "target", "no disk fuller than the target"),
    Choice("evacuate", "evacuate", "the disks that give end empty"),
    Choice("gather", "gather", "scattered folders come together on one disk each"),
    Choice("pack", "pack", "as few disks as possible hold everything"),
    Choice("repair", "repair", "in line with the rules of the shares, and no folder split over disks"),
)
_VERIFY = (
    Choice("full", "full", "both sides are read again from the disks"),
    Choice("fast", "fast", "only the copy is read again"),
)
_OVERLAP = (
    Choice("skip", "skip it", "the new run does not start; a record says so"),
    Choice("queue", "queue it", "the new run waits for the earlier one; at most one waits"),
    Choice("replace", "replace the earlier one", "the earlier run is cancelled first"),
)
_MISSED = (
    Choice("skip", "skip it", "a record says what was missed"),
    Choice("run-once", "run once", "one run makes up for all that were missed"),
)
_GUARDS = (
    Choice("array-state", "Array state", "the array is not started, or is being stopped"),
    Choice("disk-errors", "Disk errors", "a disk reports errors"),
    Choice("parity", "Parity", "parity is being checked or rebuilt"),
    Choice("mover", "Mover", "Unraid's own mover runs"),
    Choice("other-movers", "Other movers", "another program that moves files runs"),
    Choice("backups", "Backups", "a backup runs"),
    Choice("temperature", "Temperature", "a disk is too hot"),
    Choice("processor", "Processor", "others use more of the processors than allowed below"),
    Choice("memory", "Memory", "less memory is available than asked for below"),
    Choice("disk-activity", "Disk activity", "others use the disks more than allowed below"),
    Choice("streams", "Streams", "others have more files open than allowed below"),
    Choice("idle", "Idle", "the machine has other things to do, where the schedule waits for that"),
)


def _selection(name: str, label: str, hint: str, **more: Any) -> Field:
    return Field(name, label, hint, part=Part.SELECTION, **more)


def _guard(name: str, label: str, hint: str, **more: Any) -> Field:
    return Field(name, label, hint, part=Part.GUARDS, **more)


GROUPS: tuple[Group, ...] = (
    Group("name", "Name", (
        Field("name", "Name", "What people call it.", none="none"),
    ), is_common=True),
    Group("clock", "Time zone", (
        Field("timezone", "Time zone", "Such as Europe/Berlin.", none="the machine's"),
    ), is_common=True),
    Group("work", "What it does", (
        _selection("strategy", "Strategy", "", kind=Kind.CHOICE, choices=_STRATEGIES),
        _selection("target_percent", "Target", "With the strategy target: how full a disk may be, such as 80%."),
        _selection("max_runtime", "Stop after", "The file being moved is finished first; the rest waits for the next run. Such as 3h or 1h30m.", none="no limit"),
        Field("above_percent", "Only when a disk is fuller than", "Such as 90%; otherwise a run ends at once.", none="always"),
        Field("active_hours", "Active hours", "Work only then, and pause otherwise: 22:00-06:00, or mon-fri 01:00-07:00, sat 00:00-24:00.", none="always"),
    ), is_common=True),
    Group("disks", "Disks", (
        Field("disks", "Disks of this schedule", "Tick none for all that are found at each run.", kind=Kind.DISKS, none="all that are found"),
        _selection("from_disks", "Disks that may give", "Tick none for all. The strategy evacuate empties these.", kind=Kind.DISKS, none="all"),
        _selection("to_disks", "Disks that may receive", "Tick none for all.", kind=Kind.DISKS, none="all"),
        _selection("reserve", "Leave free on every disk", "A size or a percentage, such as 50GB or 5%.", none="as in the settings"),
        _selection("tolerance", "Good enough", "Percentage points between the fullest and the emptiest disk."),
    )),
    Group("choice", "Shares, folders and files", (
        _selection("shares", "Only these shares", "One a line.", kind=Kind.LINES, none="all"),
        _selection("exclude_shares", "Not these shares", "One a line.", kind=Kind.LINES, none="none"),
        _selection("paths", "Folders to gather", "With the strategy gather: one a line, such as tv/Some Series.", kind=Kind.LINES, none="none"),
        _selection("exclude", "Leave alone what matches", "One pattern a line, for the path or the last name: *.tmp", kind=Kind.LINES, none="nothing"),
        _selection("unit_depth", "Folders that stay together", "How many levels below the share: 0 for the whole share, 1 for its folders."),
        _selection("min_unit_size", "Leave alone what is smaller than", "Such as 100MB.", none="moves all"),
        _selection("max_unit_size", "Leave alone what is larger than", "Such as 200GB.", none="moves all"),
        _selection("min_age", "Leave alone what changed within", "Such as 30m or 2d. Files in use are never moved.", none="moves all"),
    )),
    Group("limits", "Limits and care", (
        _selection("bandwidth_limit", "Copy at most", "All moves together, such as 50MB/s.", none="no limit"),
        _selection("max_bytes", "Move at most", "In one run, such as 500GB.", none="no limit"),
        _selection("moves_at_once", "Moves at the same time", "From 1 to 16. One with parity, else what the processors take.", none="chosen for the machine"),
        _selection("verify", "Verification", "", kind=Kind.CHOICE, choices=_VERIFY),
        Field("only_when_idle", "Wait until the machine has nothing else to do", kind=Kind.SWITCH),
        Field("max_wait", "Wait at most", "How long a run that is due waits for what holds it."),
    )),
    Group("guards", "What may hold it", (
        _guard("ignored", "Do not wait while", "Each of these holds the work unless it is ticked.", kind=Kind.TICKS, choices=_GUARDS, none="none"),
        _guard("max_temperature", "Hottest disk", "Pause while a disk is hotter, such as 45 °C.", none="the host's own limits"),
        _guard("cool_down", "Cool down by", "Go on when it is that much below the limit."),
        _guard("max_cpu", "Others use of the processors", "Pause while they use more, such as 60%.", none="not looked at"),
        _guard("min_memory", "Memory available", "Pause while there is less, such as 2GiB.", none="not looked at"),
        _guard("max_disk_activity", "Others use of a disk", "Pause while they use one more, such as 20MB/s.", none="not looked at"),
        _guard("max_streams", "Files that others have open", "Pause while there are more.", none="not looked at"),
    )),
    Group("trouble", "Late, missed and failed runs", (
        Field("overlap", "When an earlier run still works", kind=Kind.CHOICE, choices=_OVERLAP),
        Field("missed", "When the machine was off", kind=Kind.CHOICE, choices=_MISSED),
        Field("catch_up_window", "Make up for a run within", "Later than that, a missed run stays missed."),
        Field("jitter", "Jitter", "Start up to this much later, always the same on this machine.", none="none"),
        Field("retries", "Retries", "How often a failed run is tried again, from 0 to 10."),
        Field("retry_delay", "Before the first retry", "Doubled for each further one."),
        Field("suspend_after_failures", "Suspend itself after failures", "So many of one cause in a row.", none="never"),
    )),
    Group("records", "How long records are kept", (
        Field("keep_days", "Keep records for days", "Older ones are removed after a run; statistics stay."),
        Field("keep_failed_days", "Keep records of failures for days"),
        Field("keep_at_least", "Keep at least", "So many records, whatever their age."),
    )),
)  # fmt: skip


def every_field() -> Iterator[Field]:
    """Yield the fields of all groups, in their order."""
    for group in GROUPS:
        yield from group.fields
