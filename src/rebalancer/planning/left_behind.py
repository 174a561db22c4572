"""What stays and why, in words, with a bound on how many rows a huge array can produce."""

from collections.abc import Iterable
from heapq import nsmallest

from rebalancer.inventory.unit import Unit
from rebalancer.planning.plan import LeftBehind

ROWS_PER_DISK = 1000  # for each disk and each rule; the largest units are named


class Remainder:
    """Collects units that stay. Order of arrival does not show in the rows."""

    def __init__(self) -> None:
        self._units: dict[tuple[str, str], list[tuple[Unit, str]]] = {}
        self._rows: list[LeftBehind] = []
        self._reasons: dict[str, str] = {}  # a million units share few reasons: each is kept once

    def add(self, rule: str, unit: Unit, reason: str) -> None:
        """Note a unit that a rule keeps where it is."""
        self._units.setdefault((unit.disk, rule), []).append((unit, self._reasons.setdefault(reason, reason)))

    def add_row(self, row: LeftBehind) -> None:
        """Note something that is no unit: a whole disk, or what the scan could not make a unit of."""
        self._rows.append(row)

    def rows(self) -> tuple[LeftBehind, ...]:
        """Return a row per unit, the largest first, and for each disk and rule at most `ROWS_PER_DISK`."""
        found = [row for (disk, _), units in sorted(self._units.items()) for row in _named(disk, units)]
        return (*found, *_shortened(self._rows))


def _named(disk: str, units: list[tuple[Unit, str]]) -> Iterable[LeftBehind]:
    for unit, reason in nsmallest(ROWS_PER_DISK, units, key=_largest_first):
        yield LeftBehind(
            disk=disk, path=unit.path, reason=reason, path_base64=unit.path_base64, size_bytes=unit.size_bytes
        )
    if len(units) > ROWS_PER_DISK:
        yield _more(disk, len(units) - ROWS_PER_DISK)


def _shortened(rows: list[LeftBehind]) -> Iterable[LeftBehind]:
    by_disk: dict[str, list[LeftBehind]] = {}
    for row in sorted(rows, key=lambda row: (row.disk, row.path, row.path_base64, row.reason)):
        by_disk.setdefault(row.disk, []).append(row)
    for disk, listed in by_disk.items():
        yield from listed[:ROWS_PER_DISK]
        if len(listed) > ROWS_PER_DISK:
            yield _more(disk, len(listed) - ROWS_PER_DISK)


def _largest_first(entry: tuple[Unit, str]) -> tuple[int, str, str]:
    return -entry[0].size_bytes, entry[0].path, entry[0].path_base64


def _more(disk: str, count: int) -> LeftBehind:
    return LeftBehind(disk=disk, path="", reason=f"{count:,} more stay for reasons like those above")
