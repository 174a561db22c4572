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

    def fits(self, step: Step) -> bool:
        """Say whether the destination has room for the unit now, above every reserve and floor."""
        return self.situation.need(*step) <= self.room[step.destination]

    def allows(self, step: Step) -> bool:
        """Say whether the destination can take the unit now, may hold it, and keeps its reserve.

        A part of a split folder becomes one with the part that is there. So none leaves where another arrives: both
        would go.
        """
        situation = self.situation
        if not situation.disks[step.destination].receives or not self.fits(step):
            return False
        if not situation.stocks[step.source].reaches(step.unit, step.destination):
            return False
        parts = situation.parts_of(step.source, step.unit) if situation.holders else []
        return not any(self._arrived[path, step.source] or self._left[path, step.destination] for path in parts)

    def take(self, step: Step) -> None:
        self._shift(step, 1)
        self.steps.append(step)

    def undo(self) -> None:
        """Take the last step back."""
        self._shift(self.steps.pop(), -1)

    def _shift(self, step: Step, sign: int) -> None:
        source, unit, destination = step
        size = self.situation.stocks[source].sizes[unit]
        cost = cost_of(self.situation.stocks[source].units[unit])
        self.used[source] -= sign * size
        self.used[destination] += sign * size
        self.room[source] += sign * size
        self.room[destination] -= sign * cost
        if self.situation.holders:
            for path in self.situation.parts_of(source, unit):
                self._arrived[path, destination] += sign
                self._left[path, source] += sign


class Receivers:
    """Disks that still want bytes, the emptiest first; ``quota`` is what each may yet be given."""

    __slots__ = ("_board", "_heap", "_quota", "_widest")

    def __init__(self, board: Board, quota: list[int]) -> None:
        self._board = board
        self._quota = quota
        self._heap = [(board.level(disk), disk) for disk, wanted in enumerate(quota) if wanted > 0]
        self._heap.sort()
        self._widest: dict[int, int] = {}  # by mask; forgotten at every placement

    def widest(self, mask: int = -1) -> int:
        """Return the size of the largest unit that could still be placed on one of the disks of a mask."""
        if mask not in self._widest:
            self._widest[mask] = max(
                (min(self._quota[disk], self._board.room[disk]) for _, disk in self._heap if mask >> disk & 1),
                default=-1,
            )
        return self._widest[mask]

    def place(self, source: int, index: int) -> bool:
        """Move a unit to a disk that holds a part of it already, else to the emptiest that has quota and room."""
        stock = self._board.situation.stocks[source]
        if stock.masks is not None and stock.sizes[index] > self.widest(stock.masks[index]):
            return False
        size = stock.sizes[index]
        parts = self._board.situation.holders.get(stock.units[index].path, ())
        chosen = next((disk for disk in sorted(parts) if self._takes(Step(source, index, disk), size)), None)
        if chosen is None:
            chosen = self._emptiest(source, index, size)
        if chosen is None:
            return False
        self._quota[chosen] -= size
        self._board.take(Step(source, index, chosen))
        self._widest.clear()
        heappush(self._heap, (self._board.level(chosen), chosen))
        return True

    def _takes(self, step: Step, size: int) -> bool:
        return step.destination != step.source and size <= self._quota[step.destination] and self._board.allows(step)

    def _emptiest(self, source: int, index: int, size: int) -> int | None:
        passed_over: list[tuple[float, int]] = []
        chosen = None
        while self._heap and chosen is None:
            level, disk = heappop(self._heap)
            if level != self._board.level(disk):
                continue  # it was given something since; its newer entry stands
            if self._takes(Step(source, index, disk), size):
                chosen = disk
            elif self._quota[disk] > 0:
                passed_over.append((level, disk))
        for entry in passed_over:
            heappush(self._heap, entry)
        return chosen
