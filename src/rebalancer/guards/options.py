"""What may hold an execution, as chosen for it."""

from msgspec import Struct

#: what --ignore-guard takes, in the order in which holds are shown; `kinds` says how each is made
NAMES = (
    "array-state",
    "disk-errors",
    "parity",
    "mover",
    "other-movers",
    "backups",
    "temperature",
    # processor, memory, disk-activity, streams
    "idle",
)


class GuardOptions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which guards look, and from which value on they hold. Temperatures in degrees Celsius, percents from 0 to 100."""

    ignored: tuple[str, ...] = ()  # names of guards that are not asked
    max_temperature: int | None = None  # of a disk; None: the host's own limits
    cool_down: int = 3  # degrees below the limit at which work goes on
    max_cpu: float | None = None  # percent of all processors that others use; None: not looked at
    min_memory: int | None = None  # bytes that must be available; None: not looked at
    max_disk_activity: int | None = None  # bytes per second of others on one of the disks; None: not looked at
    max_streams: int | None = None  # files of the disks that others have open; None: not looked at


EVERY_GUARD = GuardOptions()  # none ignored, no thresholds but the host's own
NO_GUARD = GuardOptions(ignored=NAMES)
