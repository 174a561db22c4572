"""Hard links on one disk: which files have several names, and which units those names tie together."""

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from rebalancer.inventory.status import Status
from rebalancer.inventory.tally import Tally


class _Group(Struct, array_like=True):
    """The names of one inode found so far."""

    names: int  # how many the inode has
    first: bytes  # the first of those found, by path
    blocks: int  # of 512 bytes; counted in the first of the units
    length: int
    found: int = 0
    units: list[bytes] = field(default_factory=list)


class Links(Struct, array_like=True):
    """Remembers inodes with several names only, and of those only what is not settled yet."""

    groups: dict[int, _Group] = field(default_factory=dict)

    def add(self, unit: bytes, status: Status, path: bytes) -> bool:
        """Note a name of a file with several; return whether it is the first name of that file to be seen."""
        group = self.groups.get(status.inode)
        if group is None:
            group = self.groups[status.inode] = _Group(status.links, path, status.blocks, status.length)
        group.found += 1
        group.first = min(group.first, path)
        if unit not in group.units[-1:]:  # one unit is nearly always read to its end before the next begins
            group.units.append(unit)
        if group.found == group.names and len(set(group.units)) == 1:
            del self.groups[status.inode]
        return group.found == 1

    def absorb(self, other: "Links", tallies: Mapping[bytes, Tally]) -> None:
        """Take over what another reader of the same disk found; a file that both counted is counted once."""
        for inode, found in other.groups.items():
            group = self.groups.setdefault(inode, found)
            if group is found:
                continue
            counted = tallies[found.units[0]]
            counted.size_bytes -= found.blocks * 512
            counted.apparent_bytes -= found.length
            group.found += found.found
            group.first = min(group.first, found.first)
            group.units += found.units

    def leave_incomplete_alone(self, tallies: Mapping[bytes, Tally]) -> None:
        """Tell every unit that holds a name of a file whose other names were not found in any unit."""
        for group in self.groups.values():
            if group.found < group.names:
                found = f"{group.found} of {group.names} names found"
                for unit in group.units:
                    tallies[unit].leave_alone(group.first, "hard link outside its unit", detail=found)

    def tied(self, tallies: Mapping[bytes, Tally]) -> Iterator[list[Tally]]:
        """Yield every unit as the list of its members, in byte order of their paths."""
        roots = _Roots()
        for group in self.groups.values():
            for other in group.units[1:]:
                roots.join(group.units[0], other)
        members: dict[bytes, list[Tally]] = {}
        for path in sorted(tallies):
            members.setdefault(roots.find(path), []).append(tallies[path])
        yield from members.values()


class _Roots:
    """A union-find over units; only units that are tied to another one take space."""

    def __init__(self) -> None:
        self._above: dict[bytes, bytes] = {}

    def find(self, unit: bytes) -> bytes:
        while (above := self._above.get(unit)) is not None:
            self._above[unit] = self._above.get(above, above)
            unit = above
        return unit

    def join(self, one: bytes, other: bytes) -> None:
        root, child = self.find(one), self.find(other)
        if root != child:
            self._above[child] = root
