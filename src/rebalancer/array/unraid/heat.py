"""How the array's disks fare by Unraid's own measure: their temperature, its limits, their status and errors."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rebalancer.array.disk import Disk
from rebalancer.array.unraid.ini import CONFIG, STATE, Sections, parse, read
from rebalancer.array.unraid.values import is_empty_slot, number

_DISK_KEYS = frozenset(
    {"name", "type", "device", "id", "temp", "spundown", "rotational", "status", "color", "numErrors"}
)
_OVERRIDES = f"{CONFIG}/smart-one.cfg"  # sections are disk ids (webgui, CustomMerge.php)
_CHOSEN = f"{CONFIG}/plugins/dynamix/dynamix.cfg"
_SHIPPED = "usr/local/emhttp/plugins/dynamix/default.cfg"
_DISPLAY_KEYS = frozenset({"hot", "max", "hotssd", "maxssd"})
_FACTORY = {"hot": 45, "max": 55, "hotssd": 60, "maxssd": 70}  # degrees Celsius
_HOTTEST = 120  # a sensor that says more says nothing (webgui, monitor)
_ARRAY_TYPES = frozenset({"Data", "Parity"})


@dataclass(frozen=True, slots=True)
class DiskHealth:
    """One data or parity disk. Temperatures in degrees Celsius; None for what is unknown or has no limit."""

    name: str
    is_parity: bool
    temperature: int | None  # None also for a disk that sleeps: Unraid does not wake it to ask
    is_asleep: bool
    hot: int | None  # above this Unraid warns
    maximum: int | None  # above this it raises the alarm
    status: str
    color: str
    errors: int | None  # since boot, or since somebody cleared them

    @property
    def limit(self) -> int | None:
        """The lowest limit that is in force."""
        return self.hot if self.hot is not None else self.maximum

    @property
    def is_well(self) -> bool:
        return self.status == "DISK_OK" and self.color.startswith("green")


def array_disks(root: Path) -> dict[str, DiskHealth]:
    """Return the data and parity disks of the array by name, without touching a disk; empty slots are left out.

    Nothing is returned when disks.ini cannot be read.
    """
    overrides, display = _configuration(root / _OVERRIDES, {"hotTemp", "maxTemp"}), _display(root)
    found: dict[str, DiskHealth] = {}
    for section, values in read(root / STATE / "disks.ini", _DISK_KEYS).items():
        if values.get("type") in _ARRAY_TYPES and not is_empty_slot(values):
            name = values.get("name", section)
            found[name] = _health(name, values, overrides.get(values.get("id", ""), {}), display)
    return found


def has_parity(disks: Iterable[Disk], root: Path) -> bool:
    """Return whether one of the disks is a data disk of an array with parity, where every write is one of parity too."""
    array = array_disks(root)
    is_protected = any(disk.is_parity for disk in array.values())
    return is_protected and any(root / "mnt" / disk.name == Path(disk.path) for disk in disks if disk.name in array)


def _health(name: str, values: dict[str, str], override: dict[str, str], display: dict[str, int]) -> DiskHealth:
    kind = "ssd" if values.get("rotational") == "0" else ""
    return DiskHealth(
        name=name,
        is_parity=values.get("type") == "Parity",
        temperature=_temperature(values.get("temp", "")),
        is_asleep=values.get("spundown") == "1",
        hot=_limit(override.get("hotTemp", ""), display[f"hot{kind}"]),
        maximum=_limit(override.get("maxTemp", ""), display[f"max{kind}"]),
        status=values.get("status", ""),
        color=values.get("color", ""),
        errors=number(values.get("numErrors", "")),
    )


def _limit(own: str, general: int) -> int | None:
    """Return a disk's own limit, else the general one; 0 switches a limit off."""
    limit = number(own)
    return (general if limit is None else limit) or None


def _temperature(text: str) -> int | None:
    """Return what the sensor says; ``*`` is unknown, and so is what no disk would survive."""
    degrees = number(text)
    return degrees if degrees is not None and 0 < degrees <= _HOTTEST else None


def _display(root: Path) -> dict[str, int]:
    """Return the general limits: those chosen, else those shipped, else the factory's."""
    limits = dict(_FACTORY)
    for path in (_SHIPPED, _CHOSEN):
        for key, text in _configuration(root / path, _DISPLAY_KEYS).get("display", {}).items():
            limit = number(text)
            limits[key] = limits[key] if limit is None else limit
    return limits


def _configuration(path: Path, wanted: frozenset[str] | set[str]) -> Sections:
    """Read a file that a person saves now and then; a missing one says nothing."""
    try:
        return parse(path.read_bytes().decode("utf-8", "replace"), frozenset(wanted))
    except OSError:
        return {}
