"""Target: no disk that gives stays above a percentage."""

import math
from bisect import bisect_left
from collections.abc import Callable, Container, Sequence

from rebalancer.planning.board import Board, Receivers
from rebalancer.planning.layout import Layout
from rebalancer.planning.order import arrange
from rebalancer.planning.situation import Situation, Step
from rebalancer.planning.strategies.approach import Approach
from rebalancer.planning.strategies.exchange import Limits, save
from rebalancer.planning.strategies.largest_first import Walk


def draw(situation: Situation, is_over: Callable[[], bool]) -> list[Step]:
    """Bring every giving disk down to the target; minimise the bytes moved, then the number of moves.

    Only the surplus above the target moves, the fullest disk first, always to the emptiest disk that stays at or
    below the target. A surplus is met by the largest units that fit into it and one last unit that
    covers the rest; the point at which that last unit overshoots least is kept. In the end, units are exchanged for
    smaller ones as long as the surplus stays met.
    """
    board = Board(situation)
    tops = ceilings(situation, board.used)
    above = [disk for disk, top in enumerate(tops) if situation.disks[disk].gives and board.used[disk] > top]
    for disk in sorted(above, key=lambda disk: (-board.level(disk), disk)):
        _relieve(board, disk, tops)
    return _trimmed(board, tops, is_over)


def ceilings(situation: Situation, _used: Sequence[int]) -> list[int]:
    return [math.floor(disk.size * situation.selection.target_percent / 100) for disk in situation.disks]


def measure(situation: Situation, used: Sequence[int]) -> int:
    """Return the bytes above the target on the disks that may give."""
    tops = ceilings(situation, used)
    return sum(
        max(0, amount - top) for disk, amount, top in zip(situation.disks, used, tops, strict=True) if disk.gives
    )


def is_reached(situation: Situation, used: Sequence[int]) -> bool:
    return measure(situation, used) == 0


def least_bytes(situation: Situation, used: Sequence[int]) -> int:
    """Return the sum of the surpluses, less what the plan could not bring under the target."""
    return max(0, measure(situation, situation.used()) - measure(situation, used))


def _relieve(board: Board, disk: int, tops: Sequence[int]) -> None:
    """Walk down from the largest unit that fits into the surplus, and finish where the overshoot is least."""
    sizes = board.situation.stocks[disk].sizes
    walk = Walk(sizes, board.used[disk])
    receivers = _receivers(board, tops)
    gone: set[int] = set()
    best: tuple[int, int, int] | None = None  # overshoot, steps before the last unit, the last unit
    while (surplus := board.used[disk] - tops[disk]) > 0:
        widest = receivers.widest()
        last = _smallest_cover(sizes, surplus, gone)
        if last is not None and sizes[last] <= widest:
            finish = (sizes[last] - surplus, len(board.steps), last)
            best = finish if best is None else min(best, finish)
        index = walk.next(min(surplus, widest))
        if index is None:
            break
        if receivers.place(disk, index):
            gone.add(index)
    if best is not None and board.used[disk] > tops[disk]:
        _finish(board, disk, tops, best)


def _trimmed(board: Board, tops: Sequence[int], is_over: Callable[[], bool]) -> list[Step]:
    """Return the steps with less overshoot, where that is feasible."""
    layout = Layout(board.situation, board.steps)
    highest = [max(top, used) for top, used in zip(tops, board.used, strict=True)]
    save(layout, Limits(lowest=[0] * len(tops), highest=highest), is_over)
    if layout.moved == sum(board.unit(step).size_bytes for step in board.steps):
        return board.steps
    wanted = layout.steps()
    steps = arrange(board.situation, wanted, keeps_spread=False)
    return steps if len(steps) == len(wanted) else board.steps


def _finish(board: Board, disk: int, tops: Sequence[int], best: tuple[int, int, int]) -> None:
    _, before, last = best
    undone = []
    while len(board.steps) > before:
        undone.append(board.steps[-1])
        board.undo()
    if not _receivers(board, tops).place(disk, last):  # its metadata did not fit either: keep what did
        for step in reversed(undone):
            board.take(step)


def _receivers(board: Board, tops: Sequence[int]) -> Receivers:
    disks = board.situation.disks
    return Receivers(
        board,
        [top - used if disk.receives else 0 for disk, used, top in zip(disks, board.used, tops, strict=True)],
    )


def _smallest_cover(sizes: Sequence[int], surplus: int, gone: Container[int]) -> int | None:
    """Return the smallest unit still there that is at least as large as the surplus."""
    return next((index for index in range(bisect_left(sizes, surplus), len(sizes)) if index not in gone), None)


TARGET = Approach(
    draw=draw,
    measure=measure,
    is_reached=lambda board: is_reached(board.situation, board.used),
    ceilings=lambda board: ceilings(board.situation, board.used),
    least_bytes=lambda board: least_bytes(board.situation, board.used),
)
