"""Holds work while a disk at work, or a parity disk, is hotter than its limit, until it has cooled down."""

from collections.abc import Iterable
from pathlib import Path

from rebalancer.array.unraid.heat import DiskHealth
from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold


class TemperatureGuard:
    """Holds above the limit and lets go ``cool_down`` degrees below it.

    An unknown temperature neither holds nor lets a hot disk count as cool: a disk that sleeps tells none.
    """

    name = "temperature"

    def __init__(self, *, maximum: int | None, cool_down: int) -> None:
        self.maximum = maximum  # degrees Celsius; None: the host's own limits
        self.cool_down = cool_down
        self._hot: set[str] = set()

    def look(self, moment: Moment) -> Hold | None:
        if not moment.is_unraid:
            return None
        at_work = {Path(disk.path) for disk in moment.disks}
        looked_at = [
            disk for disk in moment.array_disks.values() if disk.is_parity or moment.root / "mnt" / disk.name in at_work
        ]
        hot = {disk.name: said for disk in looked_at if (said := self._judge(disk))}
        return Hold(guard=self.name, reason="; ".join(hot.values()), about=_listed(hot)) if hot else None

    def _judge(self, disk: DiskHealth) -> str:
        """Return what holds the disk; empty when nothing does."""
        limit = self.maximum if self.maximum is not None else disk.limit
        if limit is None or disk.temperature is None:
            return ""
        cool = limit - self.cool_down
        if disk.temperature > limit:
            self._hot.add(disk.name)
        elif disk.temperature <= cool:
            self._hot.discard(disk.name)
        if disk.name not in self._hot:
            return ""
        return f"{disk.name} is at {disk.temperature} °C, its limit is {limit} °C; work goes on at {cool} °C"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
