"""What a program may say of a schedule: each field typed, and whatever it leaves out told apart from null."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from rebalancer.planning.selection import Strategy, Verification
from rebalancer.schedules.schedule import Missed, Overlap, Schedule
from rebalancer.schedules.validation import GUARD_RANGES, SCHEDULE_RANGES, SELECTION_RANGES

Whole = int | UnsetType
WholeOrNone = int | None | UnsetType
Number = float | UnsetType
NumberOrNone = float | None | UnsetType
Text = str | UnsetType
TextOrNone = str | None | UnsetType
Texts = tuple[str, ...] | UnsetType
YesOrNo = bool | UnsetType
_RANGES = SCHEDULE_RANGES | SELECTION_RANGES | GUARD_RANGES


def _is(description: str, *examples: str) -> Meta:
    return Meta(description=description, examples=list(examples) or None)


def _number(field: str, description: str) -> Meta:
    """Say what is allowed; it is `validation` that refuses the rest, in its own words."""
    allowed = _RANGES[field]
    return Meta(
        description=description,
        extra_json_schema={"extra": {"minimum": allowed.lowest, "maximum": allowed.highest}},
    )


class WantedSelection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is moved, and within which limits; what is left out stays as it is, or as the default."""

    strategy: Strategy | UnsetType = UNSET
    target_percent: Annotated[
        Number, _number("target_percent", "For the strategy target: no disk above it, 1 to 100.")
    ] = UNSET
    tolerance: Annotated[
        Number, _number("tolerance", "Percentage points between the fullest and the emptiest disk.")
    ] = UNSET
    from_disks: Annotated[Texts, _is("Disks that may give, by name or path; empty: all.")] = UNSET
    to_disks: Annotated[Texts, _is("Disks that may receive; empty: all.")] = UNSET
    paths: Annotated[Texts, _is("For gather: folders relative to the disks' roots.")] = UNSET
    shares: Annotated[Texts, _is("Only these shares; empty: all.")] = UNSET
    exclude_shares: Annotated[Texts, _is("Shares that stay as they are.")] = UNSET
    exclude: Annotated[Texts, _is("Globs over the path from the disk's root, and over its last name.")] = UNSET
    unit_depth: Annotated[Whole, _number("unit_depth", "Folders below the share that stay together, 0 to 64.")] = UNSET
    min_unit_size: Annotated[Whole, _number("min_unit_size", "Bytes.")] = UNSET
    max_unit_size: Annotated[WholeOrNone, _number("max_unit_size", "Bytes; null: no limit.")] = UNSET
    min_age: Annotated[Whole, _number("min_age", "Seconds since a file was last changed.")] = UNSET
    reserve: Annotated[
        TextOrNone, _is("Room that every disk keeps: a size such as 10GiB, or a percentage such as 5%.")
    ] = UNSET
    max_bytes: Annotated[WholeOrNone, _number("max_bytes", "Bytes that one run moves at most; null: no limit.")] = UNSET
    max_runtime: Annotated[
        WholeOrNone, _number("max_runtime", "Seconds that one run takes at most; null: no limit.")
    ] = UNSET
    bandwidth_limit: Annotated[WholeOrNone, _number("bandwidth_limit", "Bytes per second, of all moves together.")] = (
        UNSET
    )
    moves_at_once: Annotated[
        WholeOrNone, _number("moves_at_once", "1 to 16; null: what disks and processors take.")
    ] = UNSET
    verify: Verification | UnsetType = UNSET


class WantedGuards(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which guards look, and from which value on they hold; null for what is not looked at."""

    ignored: Annotated[Texts, _is("Names of guards that are not asked.")] = UNSET
    max_temperature: Annotated[
        WholeOrNone, _number("max_temperature", "Degrees Celsius; null: the host's own limits.")
    ] = UNSET
    cool_down: Annotated[Whole, _number("cool_down", "Degrees below the limit at which work goes on.")] = UNSET
    max_cpu: Annotated[NumberOrNone, _number("max_cpu", "Percent of all processors that others use.")] = UNSET
    min_memory: Annotated[WholeOrNone, _number("min_memory", "Bytes that must be available.")] = UNSET
    max_disk_activity: Annotated[
        WholeOrNone, _number("max_disk_activity", "Bytes per second of others on one of the disks.")
    ] = UNSET
    max_streams: Annotated[WholeOrNone, _number("max_streams", "Files of the disks that others have open.")] = UNSET


class WantedSchedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change in a schedule; what is left out stays as it is."""

    cron: Annotated[Text, _is("Five fields, in the schedule's own time zone.", "15 4 * * *")] = UNSET
    name: Annotated[Text, _is("For people.")] = UNSET
    timezone: Annotated[Text, _is("IANA name; empty: the machine's.", "Europe/Berlin")] = UNSET
    enabled: bool | UnsetType = UNSET
    disks: Annotated[Texts, _is("Paths; empty: discovered at each run.")] = UNSET
    selection: WantedSelection | UnsetType = UNSET
    active_hours: Annotated[Text, _is("Hours of work; empty: always.", "22:00-06:00", "mon-fri 01:00-07:00")] = UNSET
    above_percent: Annotated[NumberOrNone, _number("above_percent", "Run only when a disk is fuller than this.")] = (
        UNSET
    )
    only_when_idle: Annotated[YesOrNo, _is("Wait until the machine has nothing else to do.")] = UNSET
    guards: WantedGuards | UnsetType = UNSET
    max_wait: Annotated[Whole, _number("max_wait", "Seconds that a due execution waits for what holds it.")] = UNSET
    overlap: Overlap | UnsetType = UNSET
    missed: Missed | UnsetType = UNSET
    catch_up_window: Annotated[
        Whole, _number("catch_up_window", "Seconds; slots older than that are not made up for.")
    ] = UNSET
    jitter: Annotated[Whole, _number("jitter", "Seconds, of which each firing waits a stable part.")] = UNSET
    retries: Annotated[Whole, _number("retries", "How often a failed run is tried again, 0 to 10.")] = UNSET
    retry_delay: Annotated[
        Whole, _number("retry_delay", "Seconds before the first retry; doubled for each further one.")
    ] = UNSET
    suspend_after_failures: Annotated[
        Whole, _number("suspend_after_failures", "In a row, of the same cause; 0: never.")
    ] = UNSET
    keep_days: Annotated[Whole, _number("keep_days", "Days after which a run's record may go.")] = UNSET
    keep_failed_days: Annotated[Whole, _number("keep_failed_days", "The same for failed runs.")] = UNSET
    keep_at_least: Annotated[Whole, _number("keep_at_least", "Records that stay, whatever their age.")] = UNSET

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
