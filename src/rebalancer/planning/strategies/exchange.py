"""Local improvement: what single units cannot even out, an exchange of a big unit for a smaller one may."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rebalancer.planning.board import Board
from rebalancer.planning.situation import Step

_CANDIDATES = 200  # units of a disk that are considered for an exchange, evenly over its sizes
_ROUNDS_PER_DISK = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """Used bytes per disk between which it is good enough."""

    lowest: Sequence[int]
    highest: Sequence[int]

    def missed(self, disk: int, used: int) -> int:
        """Return how many bytes a disk is outside its limits."""
        return max(0, used - self.highest[disk], self.lowest[disk] - used)


class _Option(NamedTuple):
    """One or two steps in a feasible order; the smallest option is the best."""

    change: int  # of the bytes outside all limits: negative is better
    moved: int
    steps: tuple[Step, ...]


def exchange(board: Board, limits: Limits) -> None:
    """Take single moves and swaps, the best first, as long as one brings a disk nearer to its limits.

    Bytes outside the limits strictly fall with each, so it ends; the number of rounds is bounded as well.
    """
    if not _missing(board, limits):
        return
    stay = _staying(board)
    for _ in range(_ROUNDS_PER_DISK * len(board.used)):
        option = next((best for disk in _missing(board, limits) if (best := _best(board, limits, stay, disk))), None)
        if option is None:
            return
        for step in option.steps:
            board.take(step)
            del stay[step.source][bisect_left(stay[step.source], step.unit)]


def _missing(board: Board, limits: Limits) -> list[int]:
    """Return the disks outside their limits, the farthest first."""
    missed = [(-limits.missed(disk, used), disk) for disk, used in enumerate(board.used)]
    return [disk for miss, disk in sorted(missed) if miss]


def _staying(board: Board) -> list[list[int]]:
    """Return the units of each disk that no step has moved: a unit moves once."""
    gone: list[set[int]] = [set() for _ in board.used]
    for step in board.steps:
        gone[step.source].add(step.unit)
    return [
        [unit for unit in range(len(stock.units)) if unit not in left]
        for stock, left in zip(board.situation.stocks, gone, strict=True)
    ]


def _best(board: Board, limits: Limits, stay: Sequence[list[int]], disk: int) -> _Option | None:
    disks = board.situation.disks
    is_full = board.used[disk] > limits.highest[disk]
    pairs = [(disk, other) if is_full else (other, disk) for other in range(len(disks)) if other != disk]
    found = (
        option
        for giver, taker in pairs
        if disks[giver].gives and disks[taker].receives and board.level(giver) > board.level(taker)
        for option in _options(board, limits, stay, Pair(giver, taker))
    )
    best = min(found, default=None)
    return best if best is not None and best.change < 0 else None


class Pair(NamedTuple):
    giver: int
    taker: int


def _options(board: Board, limits: Limits, stay: Sequence[list[int]], pair: Pair) -> Iterator[_Option]:
    """Yield moves and swaps that shift about as much as the pair needs, and no more than it bears."""
    giver, taker = pair
    bearable = min(board.used[giver] - limits.lowest[giver], limits.highest[taker] - board.used[taker])
    wanted = max(board.used[giver] - limits.highest[giver], limits.lowest[taker] - board.used[taker])
    aim = min(wanted, bearable) if bearable > 0 else wanted
    for unit in _near(board, stay[giver], giver, aim):
        yield from _judged(board, limits, [Step(giver, unit, taker)])
    if not (board.situation.disks[taker].gives and board.situation.disks[giver].receives):
        return
    sizes = board.situation.stocks[giver].sizes
    for unit in _spread_out(stay[giver]):
        if sizes[unit] > aim:
            for back in _near(board, stay[taker], taker, sizes[unit] - aim):
                yield from _judged(board, limits, [Step(giver, unit, taker), Step(taker, back, giver)])


def _judged(board: Board, limits: Limits, steps: list[Step]) -> Iterator[_Option]:
    """Yield the option if it can be carried out in one order or the other."""
    for ordered in (steps, steps[::-1])[: len(steps)]:
        if _is_feasible(board, ordered):
            yield _Option(
                change=_change(board, limits, steps),
                moved=sum(board.unit(step).size_bytes for step in steps),
                steps=tuple(ordered),
            )
            return


def _is_feasible(board: Board, steps: Iterable[Step]) -> bool:
    taken = 0
    for step in steps:
        if not board.allows(step):
            break
        board.take(step)
        taken += 1
    else:
        taken = -taken
    for _ in range(abs(taken)):
        board.undo()
    return taken < 0


def _change(board: Board, limits: Limits, steps: Sequence[Step]) -> int:
    giver, taker = steps[0].source, steps[0].destination
    shifted = sum(
        board.unit(step).size_bytes if step.source == giver else -board.unit(step).size_bytes for step in steps
    )
    before = limits.missed(giver, board.used[giver]) + limits.missed(taker, board.used[taker])
    after = limits.missed(giver, board.used[giver] - shifted) + limits.missed(taker, board.used[taker] + shifted)
    return after - before


def _near(board: Board, stay: Sequence[int], disk: int, size: int) -> Sequence[int]:
    """Return the units on either side of a size."""
    sizes = board.situation.stocks[disk].sizes
    at = bisect_left(stay, size, key=sizes.__getitem__)
    return stay[max(0, at - 1) : at + 1]


def _spread_out(stay: Sequence[int]) -> Sequence[int]:
    return stay[:: max(1, len(stay) // _CANDIDATES)]
