"""In which order the steps are taken, and where to stop: early gain first, and never in a worse place than before."""

from collections.abc import Callable, Sequence

from rebalancer.planning.board import Board
from rebalancer.planning.situation import Situation, Step

_STRETCHES = 20

Measure = Callable[[Sequence[int]], float]


def group_pairs(board: Board) -> None:
    """Let steps of one source and destination follow each other, so that few disks are awake at once.

    Only within each twentieth of the bytes: the gain stays early. Every order must be feasible, as it is when
    disks only give or only receive.
    """
    total = sum(board.unit(step).size_bytes for step in board.steps)
    stretches: list[dict[tuple[int, int], list[Step]]] = [{}]
    passed = 0
    for step in board.steps:
        if passed * _STRETCHES >= total * len(stretches):
            stretches.append({})
        stretches[-1].setdefault((step.source, step.destination), []).append(step)
        passed += board.unit(step).size_bytes
    board.steps[:] = [step for stretch in stretches for pair in stretch.values() for step in pair]


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


def _without_worse_tail(board: Board, measure: Measure) -> list[Step]:
    """Drop the first half of a swap whose second half did not fit the limit."""
    steps = list(board.steps)
    reached = measure(board.used)
    if steps:
        board.undo()
        if measure(board.used) < reached - 1e-9:
            steps.pop()
    return steps
