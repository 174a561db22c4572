"""In which order the steps are taken: each feasible, early gain first, few disks awake, and where to stop."""

from collections.abc import Callable, Sequence
from heapq import nsmallest

from rebalancer.planning.board import Board
from rebalancer.planning.situation import Situation, Step

_STRETCHES = 20
_ERROR = 1e-12  # of the floats
_TRIES = 32  # first halves of a swap that are tried

Measure = Callable[[Sequence[int]], float]


def arrange(situation: Situation, steps: Sequence[Step], *, keeps_spread: bool = True) -> list[Step]:
    """Return the steps in an order in which each fits when those before it are done.

    The pair of disks that is farthest apart goes first, its largest units first, for about a twentieth of the bytes at
    a time: the gain is early and few disks are awake. No disk is ever fuller than the fullest or emptier than the
    emptiest was at the start, so the spread is never worse than before; only between the two halves of a swap of
    units that are too large for that it may be, and where ``keeps_spread`` is off. Steps that never find room, and such
    halves without the other, are left out.
    """
    board = Board(situation)
    queues = _queues(situation, steps)
    stretch = 1 + sum(situation.stocks[step.source].sizes[step.unit] for step in steps) // _STRETCHES
    bounds = _Bounds(board) if keeps_spread else None
    while queues:
        pairs = sorted(queues, key=lambda pair: (board.level(pair[1]) - board.level(pair[0]), pair))
        first = 1 + len(pairs) // _STRETCHES
        if sum(_drain(board, queues, pair, bounds, stretch) for pair in pairs[:first]):
            continue
        if any(_drain(board, queues, pair, bounds, stretch) for pair in pairs[first:]):
            continue
        detour = _detour(board, queues, bounds) if bounds is not None else ()
        if bounds is None or not detour:
            break
        for step in detour:
            board.take(step)
            _remove(queues, step)
        bounds.follow(board)
    return board.steps


class _Bounds:
    """Levels between which the disks stay, as far apart as they were at the start."""

    __slots__ = ("bottom", "spread", "top")

    def __init__(self, board: Board) -> None:
        levels = _levels(board)
        self.top, self.bottom = max(levels, default=0.0), min(levels, default=0.0)
        self.spread = self.top - self.bottom

    def follow(self, board: Board) -> None:
        """Shift the bounds to where the disks are."""
        levels = _levels(board)
        if min(levels) < self.bottom:
            self.bottom = min(levels)
            self.top = self.bottom + self.spread
        elif max(levels) > self.top:
            self.top = max(levels)
            self.bottom = self.top - self.spread

    def excess(self, board: Board, step: Step) -> float:
        """Return by how many bytes a step pushes its disks out of the bounds."""
        size = board.unit(step).size_bytes
        disks = board.situation.disks
        above = board.used[step.destination] + size - self.top * disks[step.destination].size
        below = self.bottom * disks[step.source].size - (board.used[step.source] - size)
        return max(0.0, min(above, size)) + max(0.0, min(below, size))

    def allow(self, board: Board, step: Step) -> bool:
        return self.excess(board, step) <= _ERROR * board.situation.disks[step.destination].size

    def hold(self, board: Board) -> bool:
        levels = _levels(board)
        return max(levels) - min(levels) <= self.spread + _ERROR


def _levels(board: Board) -> list[float]:
    return [board.level(disk) for disk in range(len(board.used))]


def _queues(situation: Situation, steps: Sequence[Step]) -> dict[tuple[int, int], list[Step]]:
    """Return the steps of each pair of disks, the largest last, to be taken from the end."""
    queues: dict[tuple[int, int], list[Step]] = {}
    for step in sorted(steps, key=lambda step: (situation.stocks[step.source].sizes[step.unit], step)):
        queues.setdefault((step.source, step.destination), []).append(step)
    return queues


def _detour(board: Board, queues: dict[tuple[int, int], list[Step]], bounds: _Bounds) -> Sequence[Step]:
    """Return a step out of the bounds that leaves the spread no worse, or two of which the second makes good the first.

    The least harm is tried first.
    """
    waiting = [step for queue in queues.values() for step in queue]
    harms = ((bounds.excess(board, step), step) for step in waiting if board.allows(step))
    for _, first in nsmallest(_TRIES, harms):
        board.take(first)
        found = next((rest for rest in ((), *((step,) for step in waiting)) if _holds(board, bounds, rest)), None)
        board.undo()
        if found is not None:
            return first, *found
    return ()


def _holds(board: Board, bounds: _Bounds, rest: Sequence[Step]) -> bool:
    """Say whether the rest, one step or none, can be taken and leaves the spread no worse than it was at the start."""
    if any(step in board.steps[-1:] or not board.allows(step) for step in rest):
        return False
    for step in rest:
        board.take(step)
    is_held = bounds.hold(board)
    for _ in rest:
        board.undo()
    return is_held


def _remove(queues: dict[tuple[int, int], list[Step]], step: Step) -> None:
    pair = (step.source, step.destination)
    queues[pair].remove(step)
    if not queues[pair]:
        del queues[pair]


def _drain(
    board: Board, queues: dict[tuple[int, int], list[Step]], pair: tuple[int, int], bounds: _Bounds | None, stretch: int
) -> bool:
    """Take what fits of a pair's steps, up to a stretch of bytes; say whether anything was taken."""
    queue, waiting, passed, before = queues[pair], list[Step](), 0, len(board.steps)
    while queue and passed < stretch:
        step = queue.pop()
        if board.allows(step) and (bounds is None or bounds.allow(board, step)):
            board.take(step)
            passed += board.unit(step).size_bytes
        else:
            waiting.append(step)
    queue.extend(reversed(waiting))
    if not queue:
        del queues[pair]
    return len(board.steps) > before


def cut_to_limit(situation: Situation, steps: Sequence[Step], limit: int, measure: Measure) -> list[Step]:
    """Return the longest prefix within a limit of bytes, less a tail that leaves the array worse than without it."""
    board = Board(situation)
    passed = 0
    for step in steps:
        passed += board.unit(step).size_bytes
        if passed > limit:
            break
        board.take(step)
    return _without_worse_tail(board, measure)


def cut_to_best(situation: Situation, steps: Sequence[Step], measure: Measure) -> list[Step]:
    """Return the shortest prefix with the best measure; nothing at all when no prefix is better than the start."""
    board = Board(situation)
    best, length = measure(board.used), 0
    for step in steps:
        board.take(step)
        reached = measure(board.used)
        if reached < best - 1e-9:
            best, length = reached, len(board.steps)
    return list(steps[:length])


def waves_of(pairs: Sequence[tuple[str, str]]) -> list[int]:
    """Number the moves, given as source and destination, so that those of one wave on disjoint disks may run together.

    A wave is a stretch of the order; within it, pairs are equal or share no disk.
    """
    waves: list[int] = []
    wave, partner = 0, dict[str, str]()
    for source, destination in pairs:
        known = partner.get(source) == destination and partner.get(destination) == source
        if not known and (source in partner or destination in partner):
            wave, partner = wave + 1, {}
        partner[source], partner[destination] = destination, source
        waves.append(wave)
    return waves


def _without_worse_tail(board: Board, measure: Measure) -> list[Step]:
    """Drop the first half of a swap whose second half did not fit the limit."""
    steps = list(board.steps)
    reached = measure(board.used)
    if steps:
        board.undo()
        if measure(board.used) < reached - 1e-9:
            steps.pop()
    return steps
