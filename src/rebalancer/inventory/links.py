"""Hard links on one disk: which files have several names, and which units those names tie together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rebalancer.inventory.status import Status
from rebalancer.inventory.tally import Tally


@dataclass(slots=True)
class _Group:
    """The names of one inode found so far."""

    names: int  # how many the inode has
    first: bytes  # the first of those found, by path
    found: int = 0
    tallies: list[Tally] = field(default_factory=list)


class Links:
    """Remembers inodes with several names only, and of those only what is not settled yet."""

    def __init__(self) -> None:
        self._groups: dict[int, _Group] = {}

    def add(self, tally: Tally, status: Status, path: bytes) -> bool:
        """Note a name of a file with several; return whether it is the first name of that file to be seen."""
        group = self._groups.setdefault(status.inode, _Group(status.links, path))
        group.found += 1
        group.first = min(group.first, path)
        if not group.tallies or group.tallies[-1] is not tally:  # one unit is read to its end before the next begins
            group.tallies.append(tally)
        if group.found == group.names and len(group.tallies) == 1:
            del self._groups[status.inode]
        return group.found == 1

    def leave_incomplete_alone(self) -> None:
        """Tell every unit that holds a name of a file whose other names were not found in any unit."""
        for group in self._groups.values():
            if group.found < group.names:
                found = f"{group.found} of {group.names} names found"
                for tally in group.tallies:
                    tally.leave_alone(group.first, "hard link outside its unit", detail=found)

    def tied(self, tallies: Iterable[Tally]) -> Iterator[list[Tally]]:
        """Yield every unit as the list of its members, in byte order of their paths."""
        ordered = sorted(tallies, key=lambda tally: tally.path)
        roots = _Roots()
        for group in self._groups.values():
            for other in group.tallies[1:]:
                roots.join(group.tallies[0], other)
        members: dict[int, list[Tally]] = {}
        for tally in ordered:
            members.setdefault(id(roots.find(tally)), []).append(tally)
        yield from members.values()


class _Roots:
    """A union-find over units; only units that are tied to another one take space."""

    def __init__(self) -> None:
        self._above: dict[int, Tally] = {}

    def find(self, tally: Tally) -> Tally:
        while (above := self._above.get(id(tally))) is not None:
            self._above[id(tally)] = self._above.get(id(above), above)
            tally = above
        return tally

    def join(self, one: Tally, other: Tally) -> None:
        root, child = self.find(one), self.find(other)
        if root is not child:
            self._above[id(child)] = root
