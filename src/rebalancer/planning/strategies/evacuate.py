"""Evacuate: the disks named as givers end empty, for removal or another file system."""

from collections.abc import Callable, Sequence

from rebalancer.planning.board import Board
from rebalancer.planning.situation import Situation, Step
from rebalancer.planning.strategies.approach import Approach
from rebalancer.planning.strategies.placing import emptiest, in_order, place_all, take_back, tightest


def draw(situation: Situation, _is_over: Callable[[], bool]) -> list[Step]:
    """Empty the disks that give; minimise the bytes that stay behind, then those moved, then the number of moves.

    Every unit moves once, so bytes and moves are the least there can be as soon as all find room. The largest go first,
    to the emptiest disk; where that leaves some behind, to the one with the least room that holds them.
    """
    board = Board(situation)
    givers = [disk for disk, one in enumerate(situation.disks) if one.gives]
    others = [disk for disk, one in enumerate(situation.disks) if one.receives and disk not in givers]
    units = [(disk, unit) for disk in givers for unit in range(len(situation.stocks[disk].units))]
    if place_all(board, units, others, emptiest):
        return in_order(board)
    steps, left = in_order(board), measure(situation, board.used)
    take_back(board, 0)
    place_all(board, units, others, tightest)
    return in_order(board) if measure(situation, board.used) < left else steps


def measure(situation: Situation, used: Sequence[int]) -> float:
    """Return the bytes that could leave the giving disks and have not."""
    return sum(used[disk] - rest for disk, rest in _rests(situation).items())


def _is_reached(board: Board) -> bool:
    left = {step[:2] for step in board.steps}
    return all(
        not stock.fixed and sum(source == disk for source, _ in left) == len(stock.units)
        for disk, stock in enumerate(board.situation.stocks)
        if board.situation.disks[disk].gives
    )


def _ceilings(board: Board) -> list[int]:
    rests = _rests(board.situation)
    return [rests.get(disk, one.used + max(0, one.room)) for disk, one in enumerate(board.situation.disks)]


def _least_bytes(board: Board) -> int:
    """Return all that could leave, less what this plan could not take away."""
    situation = board.situation
    return int(measure(situation, situation.used()) - measure(situation, board.used))


def _rests(situation: Situation) -> dict[int, int]:
    """Return what the giving disks hold beside the units that may leave."""
    return {
        disk: one.used - stock.total
        for disk, (one, stock) in enumerate(zip(situation.disks, situation.stocks, strict=True))
        if one.gives
    }


EVACUATE = Approach(draw=draw, measure=measure, is_reached=_is_reached, ceilings=_ceilings, least_bytes=_least_bytes)
