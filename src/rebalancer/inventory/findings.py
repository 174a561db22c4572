"""What was found on a disk, or on a part of it: plain data that one reader hands to another."""

from dataclasses import dataclass

from msgspec import Struct, field

from rebalancer import names
from rebalancer.inventory.links import Links
from rebalancer.inventory.tally import Tally
from rebalancer.inventory.unit import LeftAlone, Unit, UnitKind


@dataclass(slots=True)
class DiskContent:
    units: list[Unit]
    left_alone: list[LeftAlone]


class Findings(Struct, array_like=True):
    """Sums per unit, and what was left alone; nothing per file but for names of files that have several."""

    tallies: dict[bytes, Tally] = field(default_factory=dict)  # by the path of the unit
    links: Links = field(default_factory=Links)
    left_alone: list[tuple[bytes, str]] = field(default_factory=list)
    unchangeable: list[tuple[bytes, str]] = field(default_factory=list)  # folders above units, their flag

    def tally(self, path: bytes, kind: UnitKind) -> Tally:
        """Return the tally of a unit, a new one when nothing of it was found before."""
        found = self.tallies.get(path)
        if found is None:
            found = self.tallies[path] = Tally(path, kind)
        return found

    def absorb(self, other: "Findings") -> None:
        """Take over what another reader found on the same disk; each name was found by one of them only."""
        for path, tally in other.tallies.items():
            self.tally(path, tally.kind).absorb(tally)
        self.links.absorb(other.links, self.tallies)
        self.left_alone += other.left_alone
        self.unchangeable += other.unchangeable

    def content(self, disk: str) -> DiskContent:
        """Return the finished units of a disk that was read to its end."""
        self.links.leave_incomplete_alone(self.tallies)
        for folder, reason in self.unchangeable:
            for tally in self.tallies.values():
                if tally.path.startswith(folder + b"/"):
                    tally.leave_alone(folder, reason)
        return DiskContent(units=self._units(disk), left_alone=self._reported(disk))

    def _units(self, disk: str) -> list[Unit]:
        units = []
        for first, *others in self.links.tied(self.tallies):
            for other in others:
                first.kind = UnitKind.LINKS
                first.absorb(other)
            units.append(first.unit(disk, others))
        return units

    def _reported(self, disk: str) -> list[LeftAlone]:
        reported = []
        for path, reason in sorted(self.left_alone):
            text, exact = names.encode(path)
            reported.append(LeftAlone(disk=disk, path=text, path_base64=exact, reason=reason))
        return reported
