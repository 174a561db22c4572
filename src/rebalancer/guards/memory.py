"""Holds work while the machine is short of memory."""

import re
from dataclasses import dataclass
from pathlib import Path

from rebalancer.guards import kernel
from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold
from rebalancer.quantities import format_size

_AVAILABLE = re.compile(r"^MemAvailable:\s*(\d+) kB$", re.MULTILINE)  # proc_meminfo(5); kB are 1024 bytes there
_SOME = re.compile(r"^some avg10=(\d+(?:\.\d+)?) ", re.MULTILINE)  # Documentation/accounting/psi.rst
_GAP = 1.1  # of the minimum; so much must be available again


@dataclass(slots=True)
class MemoryGuard:
    """Holds while less than ``minimum`` bytes of memory are available."""

    minimum: int | None  # None: not looked at
    name: str = "memory"
    _hold: Hold | None = None  # told in the same words until it lets go

    def look(self, moment: Moment) -> Hold | None:
        if self.minimum is None:
            return None
        found = _AVAILABLE.search(kernel.text(moment.root, "meminfo") or "")
        if found is None:
            return Hold(guard=self.name, reason="how much memory is available cannot be told from /proc/meminfo")
        available = int(found[1]) * 1024
        if available >= self.minimum * (1 if self._hold is None else _GAP):
            self._hold = None
        elif self._hold is None:
            figures = f"{format_size(available)} of memory are available (at least {format_size(self.minimum)})"
            self._hold = Hold(guard=self.name, reason=figures + _pressure(moment.root))
        return self._hold


def _pressure(root: Path) -> str:
    """Return how much others wait for memory, where the kernel measures it (since Linux 4.20, not on every host)."""
    found = _SOME.search(kernel.text(root, "pressure/memory") or "")
    return f"; tasks waited for it {float(found[1]):.0f} % of the last 10 s" if found else ""
