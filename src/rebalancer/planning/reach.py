"""To which disks the rules of its share, and what was begun, let a unit go."""

from collections.abc import Sequence

from rebalancer.inventory.unit import Unit
from rebalancer.names import display
from rebalancer.planning.binding import Binding
from rebalancer.planning.limits import Constraints, ShareRule
from rebalancer.planning.roles import Participant


class Reach:
    """Answers with masks: a bit for each disk, by position. ``is_free`` when every unit may go everywhere."""

    def __init__(self, disks: Sequence[Participant], constraints: Constraints, binding: Binding) -> None:
        self._everywhere = sum(1 << index for index, disk in enumerate(disks) if disk.receives)
        self._bits = {disk.name: 1 << index for index, disk in enumerate(disks)}
        self._shares = {rule.share: self._mask(rule, disks) for rule in constraints.shares}
        self._rules = {rule.share: rule for rule in constraints.shares}
        self._begun = {(one.source, one.path): self._bits.get(one.destination, 0) for one in constraints.begun}
        self._binding = binding
        self._homes = {tie: sum(self._bits.get(name, 0) for name in names) for tie, names in binding.homes.items()}
        is_limited = any(mask != self._everywhere for mask in self._shares.values())
        self.is_free = not (is_limited or self._begun or self._homes)

    def of(self, unit: Unit) -> int:
        """Return the disks a unit may go to; a folder that is split already goes where a part of it is."""
        mask = self._by_share(unit) & self._homes.get(self._binding.tie_of(unit), -1) & self._by_begun(unit)
        return mask & ~self._bits.get(unit.disk, 0)

    def is_at_home(self, unit: Unit) -> bool:
        """Say whether the rules of its shares let a unit be where it is, and nothing had begun to move it."""
        shares = {unit.share, *(member.path.partition("/")[0] for member in unit.also)}
        rules = (self._rules.get(share) for share in shares)
        return all(rule is None or holds(rule, unit.disk) for rule in rules) and self._by_begun(unit) == -1

    def why_not(self, unit: Unit) -> str:
        """Say why a unit may go nowhere."""
        elsewhere = ~self._bits.get(unit.disk, 0)
        if not self._by_share(unit) & elsewhere:
            return f"the rules of the share {display(unit.share)} allow no other disk that may receive"
        if not self._by_begun(unit) & elsewhere & self._everywhere:
            return "an unfinished operation was moving it to a disk that may not receive it now"
        tie = self._binding.tie_of(unit)
        return f"it may only join the other parts of {display(tie)}, and none is on a disk that may receive it"

    def _by_share(self, unit: Unit) -> int:
        mask = self._shares.get(unit.share, self._everywhere)
        for member in unit.also:
            mask &= self._shares.get(member.path.partition("/")[0], self._everywhere)
        return mask

    def _by_begun(self, unit: Unit) -> int:
        mask = -1
        if self._begun:
            for member in unit.members:
                mask &= self._begun.get((unit.disk, member.path), -1)
        return mask

    def _mask(self, rule: ShareRule, disks: Sequence[Participant]) -> int:
        return sum(1 << index for index, disk in enumerate(disks) if disk.receives and holds(rule, disk.name))


def holds(rule: ShareRule, disk: str) -> bool:
    """Say whether a share may live on a disk: included, and not excluded again."""
    return (not rule.include or disk in rule.include) and disk not in rule.exclude
