"""What a program may say of a schedule: each field typed, and whatever it leaves out told apart from null."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from rebalancer.planning.selection import Strategy, Verification
from rebalancer.schedules.schedule import Missed, Overlap, Schedule

Texts = tuple[str, ...]


def _is(description: str) -> Meta:
    return Meta(description=description)


class WantedSelection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is moved, and within which limits; what is left out stays as it is, or as the default."""

    strategy: Strategy | UnsetType = UNSET
    target_percent: Annotated[float, _is("For the strategy target: no disk above it, 1 to 100.")] | UnsetType = UNSET
    tolerance: Annotated[float, _is("Percentage points between the fullest and the emptiest disk.")] | UnsetType = UNSET
    from_disks: Annotated[Texts, _is("Disks that may give, by name or path; empty: all.")] | UnsetType = UNSET
    to_disks: Annotated[Texts, _is("Disks that may receive; empty: all.")] | UnsetType = UNSET
    paths: Annotated[Texts, _is("For gather: folders relative to the disks' roots.")] | UnsetType = UNSET
    shares: Annotated[Texts, _is("Only these shares; empty: all.")] | UnsetType = UNSET
    exclude_shares: Annotated[Texts, _is("Shares that stay as they are.")] | UnsetType = UNSET
    exclude: Annotated[Texts, _is("Globs over the path from the disk's root, and over its last name.")] | UnsetType = (
        UNSET
    )
    unit_depth: Annotated[int, _is("Folders below the share that stay together, 0 to 64.")] | UnsetType = UNSET
    min_unit_size: Annotated[int, _is("Bytes.")] | UnsetType = UNSET
    max_unit_size: Annotated[int | None, _is("Bytes; null: no limit.")] | UnsetType = UNSET
    min_age: Annotated[int, _is("Seconds since a file was last changed.")] | UnsetType = UNSET
    reserve: (
        Annotated[str | None, _is("Room that every disk keeps: a size such as 10GiB, or a percentage such as 5%.")]
        | UnsetType
    ) = UNSET
    max_bytes: Annotated[int | None, _is("Bytes that one run moves at most; null: no limit.")] | UnsetType = UNSET
    max_runtime: Annotated[int | None, _is("Seconds that one run takes at most; null: no limit.")] | UnsetType = UNSET
    bandwidth_limit: Annotated[int | None, _is("Bytes per second, of all moves together.")] | UnsetType = UNSET
    moves_at_once: Annotated[int | None, _is("1 to 16; null: what disks and processors take.")] | UnsetType = UNSET
    verify: Verification | UnsetType = UNSET


class WantedGuards(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which guards look, and from which value on they hold; null for what is not looked at."""

    ignored: Annotated[Texts, _is("Names of guards that are not asked.")] | UnsetType = UNSET
    max_temperature: Annotated[int | None, _is("Degrees Celsius; null: the host's own limits.")] | UnsetType = UNSET
    cool_down: Annotated[int, _is("Degrees below the limit at which work goes on.")] | UnsetType = UNSET
    max_cpu: Annotated[float | None, _is("Percent of all processors that others use.")] | UnsetType = UNSET
    min_memory: Annotated[int | None, _is("Bytes that must be available.")] | UnsetType = UNSET
    max_disk_activity: Annotated[int | None, _is("Bytes per second of others on one of the disks.")] | UnsetType = UNSET
    max_streams: Annotated[int | None, _is("Files of the disks that others have open.")] | UnsetType = UNSET


class WantedSchedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change in a schedule; what is left out stays as it is."""

    cron: Annotated[str, _is("Five fields, in the schedule's own time zone: 15 4 * * *")] | UnsetType = UNSET
    name: Annotated[str, _is("For people.")] | UnsetType = UNSET
    timezone: Annotated[str, _is("IANA name such as Europe/Berlin; empty: the machine's.")] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    disks: Annotated[Texts, _is("Paths; empty: discovered at each run.")] | UnsetType = UNSET
    selection: WantedSelection | UnsetType = UNSET
    active_hours: Annotated[str, _is("Such as 22:00-06:00 or mon-fri 01:00-07:00; empty: always.")] | UnsetType = UNSET
    above_percent: Annotated[float | None, _is("Run only when a disk is fuller than this.")] | UnsetType = UNSET
    only_when_idle: Annotated[bool, _is("Wait until the machine has nothing else to do.")] | UnsetType = UNSET
    guards: WantedGuards | UnsetType = UNSET
    max_wait: Annotated[int, _is("Seconds that a due execution waits for what holds it.")] | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    missed: Missed | UnsetType = UNSET
    catch_up_window: Annotated[int, _is("Seconds; slots older than that are not made up for.")] | UnsetType = UNSET
    jitter: Annotated[int, _is("Seconds, of which each firing waits a stable part.")] | UnsetType = UNSET
    retries: Annotated[int, _is("How often a failed run is tried again, 0 to 10.")] | UnsetType = UNSET
    retry_delay: Annotated[int, _is("Seconds before the first retry; doubled for each further one.")] | UnsetType = (
        UNSET
    )
    suspend_after_failures: Annotated[int, _is("In a row, of the same cause; 0: never.")] | UnsetType = UNSET
    keep_days: Annotated[int, _is("Days after which a run's record may go.")] | UnsetType = UNSET
    keep_failed_days: Annotated[int, _is("The same for failed runs.")] | UnsetType = UNSET
    keep_at_least: Annotated[int, _is("Records that stay, whatever their age.")] | UnsetType = UNSET

    def applied_to(self, schedule: Schedule) -> Schedule:
        """Return the schedule with what was said; a selection or guards are changed field by field."""
        values = _said(self)
        for part in ("selection", "guards"):
            if part in values:
                values[part] = structs.replace(getattr(schedule, part), **_said(values[part]))
        fields = {name: value for name, value in values.items() if name in Schedule.__struct_fields__}
        return structs.replace(schedule, **fields)


class NewSchedule(WantedSchedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule to be made: ``cron`` or a ``template`` says when; what else is left out has its default."""

    schedule_id: Annotated[str, _is("Up to 41 of a-z, 0-9 and '-'; left out: made of the name or the template.")] = ""
    template: Annotated[str, _is("What to begin from: see GET /api/v1/templates.")] = ""


def _said(wanted: Struct) -> dict[str, Any]:
    values = ((name, getattr(wanted, name)) for name in wanted.__struct_fields__)
    return {name: value for name, value in values if value is not UNSET}
