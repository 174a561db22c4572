"""Gather: scattered folders come together on one disk each, or on the fewest that hold them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rebalancer.errors import UsageError
from rebalancer.inventory.unit import Inventory, Unit
from rebalancer.names import display
from rebalancer.planning.board import Board
from rebalancer.planning.left_behind import Remainder
from rebalancer.planning.situation import Situation, Step
from rebalancer.planning.strategies.approach import Approach, filled, indifferent
from rebalancer.planning.strategies.placing import in_order, place_all, take_back


@dataclass(slots=True)
class Scattered:
    """What belongs together: the bytes on each disk, the units that may move, and the disks that keep a part anyway."""

    held: dict[int, int] = field(default_factory=dict)
    units: list[tuple[int, int]] = field(default_factory=list)
    anchors: set[int] = field(default_factory=set)

    def add(self, disk: int, unit: int, size: int) -> None:
        self.units.append((disk, unit))
        self.held[disk] = self.held.get(disk, 0) + size

    def anchor(self, disk: int, size: int) -> None:
        self.anchors.add(disk)
        self.held[disk] = self.held.get(disk, 0) + size


def draw(situation: Situation, _is_over: Callable[[], bool]) -> list[Step]:
    """Bring each folder onto the fewest disks; minimise the disks, then the bytes moved, then the number of moves.

    A disk that keeps a part which must stay comes first, then the one that has most already.
    """
    board = Board(situation)
    for path in situation.selection.paths:
        join(board, _scattered(situation, path.strip("/")))
    return in_order(board)


def join(board: Board, scattered: Scattered, barred: Iterable[int] = ()) -> bool:
    """Bring what belongs together onto as few disks as can hold it; say whether a way was found."""
    disks = board.situation.disks
    length = len(board.steps)
    may_hold = [disk for disk, one in enumerate(disks) if (one.receives or disk in scattered.held)]
    candidates = [disk for disk in may_hold if disk not in set(barred)]
    ranked = sorted(candidates, key=lambda disk: _rank(board, scattered, disk))
    for count in range(1, len(ranked) + 1):
        for first in ranked if count == 1 else ranked[:1]:
            chosen = [first, *[disk for disk in ranked if disk != first][: count - 1]]
            away = [(source, unit) for source, unit in scattered.units if source not in chosen]
            if place_all(board, away, chosen, lambda board, disk: -board.room[disk]):
                return True
            take_back(board, length)
    return False


def _rank(board: Board, scattered: Scattered, disk: int) -> tuple[bool, int, int, int]:
    return disk not in scattered.anchors, -scattered.held.get(disk, 0), -board.room[disk], disk


def _scattered(situation: Situation, path: str) -> Scattered:
    """Find the units inside a folder, on the disks that take part."""
    found = Scattered()
    for disk, stock in enumerate(situation.stocks):
        for index, unit in enumerate(stock.units):
            if _is_inside(unit, path):
                found.add(disk, index, unit.size_bytes)
    position = {one.name: disk for disk, one in enumerate(situation.disks)}
    for unit in situation.staying:
        if unit.disk in position and _is_inside(unit, path):
            found.anchor(position[unit.disk], unit.size_bytes)
    return found


def check_paths(inventory: Inventory, paths: Iterable[str]) -> None:
    """Raise UsageError for a folder that no disk has, whether it takes part or not."""
    for path in paths:
        if not any(_is_inside(unit, path.strip("/")) for unit in inventory.units):
            raise UsageError(f"no disk has a unit at or below {display(path)}")


def explain_absent(inventory: Inventory, situation: Situation, remainder: Remainder) -> None:
    """Note what was named and lies on a disk that gives nothing."""
    giving = {disk.name for disk in situation.disks if disk.gives}
    for path in situation.selection.paths:
        for unit in inventory.units:
            if unit.disk not in giving and _is_inside(unit, path.strip("/")):
                remainder.add("absent", unit, f"{display(unit.disk)} may not give, or takes no part")


def _is_inside(unit: Unit, path: str) -> bool:
    paths = [member.path for member in unit.members] if unit.also else [unit.path]
    return any(one == path or one.startswith(path + "/") for one in paths)


def _is_reached(board: Board) -> bool:
    return all(len(_disks_after(board, path.strip("/"))) <= 1 for path in board.situation.selection.paths)


def _disks_after(board: Board, path: str) -> set[int]:
    scattered = _scattered(board.situation, path)
    went = {step[:2]: step.destination for step in board.steps}
    return scattered.anchors | {went.get(one, one[0]) for one in scattered.units}


def _least_bytes(board: Board) -> int:
    """Return, for each folder, what is not on the disks that hold most of it: as many disks as the plan ends with."""
    least = 0
    for path in board.situation.selection.paths:
        held = sorted(_scattered(board.situation, path.strip("/")).held.values(), reverse=True)
        least += sum(held[len(_disks_after(board, path.strip("/"))) :])
    return least


GATHER = Approach(draw=draw, measure=indifferent, is_reached=_is_reached, ceilings=filled, least_bytes=_least_bytes)
