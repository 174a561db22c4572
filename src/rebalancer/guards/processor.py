"""Holds work while others use the processors."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rebalancer.guards import kernel
from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold
from rebalancer.guards.level import Readings, is_over


@dataclass(frozen=True, slots=True)
class _Reading:
    busy: int  # clock ticks of all processors since boot, as the next are
    total: int
    own: dict[int, int]  # by process


@dataclass(slots=True)
class ProcessorGuard:
    """Holds while others use more than ``max_percent`` of all processors, over the last 15 seconds.

    What the kernel's own threads do (parity, encryption, writing back) counts as others' use, also where they do it
    for us: nothing tells whom they work for. Time that a host takes from a virtual machine is nobody's use here.
    """

    max_percent: float | None  # None: not looked at
    rest: Callable[[float], None] = time.sleep
    name: str = "processor"
    _readings: Readings[_Reading] = field(init=False)
    _hold: Hold | None = None  # told in the same words until it lets go

    def __post_init__(self) -> None:
        self._readings = Readings(self.rest)

    def look(self, moment: Moment) -> Hold | None:
        """Return a hold while others use too much; the first look of all takes half a second."""
        if self.max_percent is None:
            return None
        readings = self._readings.add(moment.at, lambda: _read(moment))
        if readings is None:
            return Hold(guard=self.name, reason="how busy the processors are cannot be told: /proc/stat is unreadable")
        seconds, before, now = readings
        percent = _percent_of_others(before, now)
        if not is_over(percent, self.max_percent, is_held=self._hold is not None):
            self._hold = None
        elif self._hold is None:
            figures = f"others use {percent:.0f} % of the processors (at most {self.max_percent:g} %)"
            self._hold = Hold(guard=self.name, reason=f"{figures}, taken over {seconds:.1f} s")
        return self._hold


def _read(moment: Moment) -> _Reading | None:
    return _parse(kernel.text(moment.root, "stat"), kernel.ticks_of(moment.own))


def _parse(stat: str | None, own: dict[int, int]) -> _Reading | None:
    """Return the first line of proc_stat(5): user nice system idle iowait irq softirq steal, of which guests are part."""
    try:
        label, *counts = (stat or "").split("\n", 1)[0].split()
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, counts[:8])
    except ValueError:
        return None
    if label != "cpu":
        return None
    busy = user + nice + system + irq + softirq
    return _Reading(busy=busy, total=busy + idle + iowait + steal, own=own)


def _percent_of_others(before: _Reading, now: _Reading) -> float:
    own = sum(max(0, ticks - before.own.get(process, 0)) for process, ticks in now.own.items())
    others = (now.busy - before.busy) - own
    return max(0.0, min(100.0, 100 * others / max(1, now.total - before.total)))
