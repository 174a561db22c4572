"""The array while a plan is being drawn: every step taken here could be taken on the disks, in this order."""

from collections import Counter
from heapq import heappop, heappush

from rebalancer.inventory.unit import Unit
from rebalancer.planning.capacity import cost_of
from rebalancer.planning.situation import Situation, Step


class Board:
    """Used bytes and room per disk after the steps taken so far.

    A step takes its cost from the destination's room and only then gives the unit's size back to the source,
    as both copies exist while a unit is on its way.
    """

    __slots__ = ("_arrived", "_left", "room", "situation", "steps", "used")

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.used = situation.used()
        self.room = [disk.room for disk in situation.disks]
        self.steps: list[Step] = []
        self._arrived: Counter[tuple[str, int]] = Counter()  # parts of split folders, by path and disk
        self._left: Counter[tuple[str, int]] = Counter()

    def unit(self, step: Step) -> Unit:
        return self.situation.stocks[step.source].units[step.unit]

    def level(self, disk: int) -> float:
        return self.used[disk] / self.situation.disks[disk].size

    def allows(self, step: Step) -> bool:
        """Say whether the destination can take the unit now and keep its reserve.

        A part of a split folder becomes one with the part that is there. So none leaves where another arrives: both
        would go.
        """
        if cost_of(self.unit(step)) > self.room[step.destination]:
            return False
        parts = self._parts(step)
        return not any(self._arrived[path, step.source] or self._left[path, step.destination] for path in parts)

    def take(self, step: Step) -> None:
        unit = self.unit(step)
        self.used[step.source] -= unit.size_bytes
        self.used[step.destination] += unit.size_bytes
        self.room[step.source] += unit.size_bytes
        self.room[step.destination] -= cost_of(unit)
        self.steps.append(step)
        self._count(step, 1)

    def undo(self) -> None:
        """Take the last step back."""
        step = self.steps.pop()
        unit = self.unit(step)
        self.used[step.source] += unit.size_bytes
        self.used[step.destination] -= unit.size_bytes
        self.room[step.source] -= unit.size_bytes
        self.room[step.destination] += cost_of(unit)
        self._count(step, -1)

    def _count(self, step: Step, change: int) -> None:
        for path in self._parts(step):
            self._arrived[path, step.destination] += change
            self._left[path, step.source] += change

    def _parts(self, step: Step) -> list[str]:
        """Return the paths of the unit that other disks have too."""
        holders = self.situation.holders
        if not holders:
            return []
        unit = self.unit(step)
        return [member.path for member in (unit.members if unit.also else (unit,)) if member.path in holders]


class Receivers:
    """Disks that still want bytes, the emptiest first; ``quota`` is what each may yet be given."""

    __slots__ = ("_board", "_heap", "_quota")

    def __init__(self, board: Board, quota: list[int]) -> None:
        self._board = board
        self._quota = quota
        self._heap = [(board.level(disk), disk) for disk, wanted in enumerate(quota) if wanted > 0]
        self._heap.sort()

    def widest(self) -> int:
        """Return the size of the largest unit that could still be placed."""
        return max((min(self._quota[disk], self._board.room[disk]) for _, disk in self._heap), default=-1)

    def place(self, source: int, index: int) -> bool:
        """Move a unit to a disk that holds a part of it already, else to the emptiest that has quota and room."""
        stock = self._board.situation.stocks[source]
        size, cost = stock.sizes[index], cost_of(stock.units[index])
        parts = self._board.situation.holders.get(stock.units[index].path, ())
        chosen = next((disk for disk in sorted(parts) if disk != source and self._takes(disk, size, cost)), None)
        if chosen is None:
            chosen = self._emptiest(source, size, cost)
        if chosen is None:
            return False
        self._quota[chosen] -= size
        self._board.take(Step(source, index, chosen))
        heappush(self._heap, (self._board.level(chosen), chosen))
        return True

    def _takes(self, disk: int, size: int, cost: int) -> bool:
        return size <= self._quota[disk] and cost <= self._board.room[disk]

    def _emptiest(self, source: int, size: int, cost: int) -> int | None:
        passed_over: list[tuple[float, int]] = []
        chosen = None
        while self._heap and chosen is None:
            level, disk = heappop(self._heap)
            if level != self._board.level(disk):
                continue  # it was given something since; its newer entry stands
            if disk != source and self._takes(disk, size, cost):
                chosen = disk
            elif self._quota[disk] > 0:
                passed_over.append((level, disk))
        for entry in passed_over:
            heappush(self._heap, entry)
        return chosen
