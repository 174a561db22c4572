"""Even: every disk that takes part ends within the tolerance of every other."""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from rebalancer.planning.board import Board, Receivers
from rebalancer.planning.bounds import Band, Span, band_of, least_bytes_for_spread, least_spread, spans_of
from rebalancer.planning.order import cut_to_best, group_pairs
from rebalancer.planning.situation import Situation, Step, spread_of
from rebalancer.planning.strategies.approach import Approach
from rebalancer.planning.strategies.exchange import Limits, exchange
from rebalancer.planning.strategies.largest_first import Walk

AIM = 0.5  # of the tolerance: file systems add metadata of their own, so a plan ends inside it
_MARGIN = 0.9  # of the tolerance: how far a disk may end from the band without being corrected
_SMALL = 20_000  # units: up to here the coarser variants are tried too when the first misses the tolerance
_LARGEST_SHARES = (0.6, 0.35, 0.2)  # of what a disk gives: the largest single unit in the variants


class _Variant(NamedTuple):
    aim: float  # of the tolerance
    largest_share: float


def draw(situation: Situation) -> list[Step]:
    """Bring the disks within the tolerance; minimise the bytes moved, then the number of moves.

    1. Find the band of half the tolerance (or of the least spread there can be, if that is more) that moves the
       fewest bytes. Disks above it give, disks below it receive, no more than that: nothing leaves the range
       the disks were in, so every prefix is at least as even as the start, in any order.
    2. Meet each surplus with the largest units that fit, the fullest disk first, always to the emptiest.
    3. Where units are too coarse for that, exchange: single moves beyond the band, or a big unit for a smaller one.
    4. Still not even: the same with smaller units first, and the best of all is kept.
    """
    if len(situation.disks) < 2 or is_reached(situation, situation.used()):
        return []
    spans = spans_of(situation)
    steps = _attempt(situation, spans, _Variant(AIM, 1.0))
    if sum(len(stock.units) for stock in situation.stocks) <= _SMALL and _score(situation, steps)[0] > 0:
        variants = [_Variant(aim, share) for aim in (AIM, 1.0) for share in (1.0, *_LARGEST_SHARES)]
        tried = [steps, *(_attempt(situation, spans, variant) for variant in variants[1:])]
        steps = min(tried, key=lambda attempt: _score(situation, attempt))
    if _score(situation, steps)[0] > 0:
        steps = cut_to_best(situation, steps, lambda used: spread_of(situation.disks, used))
    return steps


def is_reached(situation: Situation, used: Sequence[int]) -> bool:
    return spread_of(situation.disks, used) <= situation.selection.tolerance


def measure(situation: Situation, used: Sequence[int]) -> float:
    return spread_of(situation.disks, used)


def ceilings(situation: Situation, used: Sequence[int]) -> list[int]:
    """Return what half the tolerance above the mean is on each disk, or the tolerance above the emptiest.

    The latter where no disk is above the former: then it is the emptiest that the others could not reach.
    """
    tolerance = situation.selection.tolerance / 100
    levels = [amount / disk.size for disk, amount in zip(situation.disks, used, strict=True)]
    top = sum(used) / sum(disk.size for disk in situation.disks) + tolerance / 2
    if max(levels) <= top:
        top = min(levels) + tolerance
    return [int(top * disk.size) for disk in situation.disks]


def least_bytes(situation: Situation, used: Sequence[int]) -> int:
    """Return the least bytes for the spread reached, or for the tolerance where the plan is better than asked."""
    return least_bytes_for_spread(situation, max(spread_of(situation.disks, used), situation.selection.tolerance))


def _attempt(situation: Situation, spans: Sequence[Span], variant: _Variant) -> list[Step]:
    width = max(situation.selection.tolerance / 100 * variant.aim, least_spread(spans))
    band = band_of(spans, width)
    board = Board(situation)
    _fill(board, spans, band, variant.largest_share)
    group_pairs(board)
    exchange(board, _limits(situation, spans, band))
    return board.steps


def _fill(board: Board, spans: Sequence[Span], band: Band, largest_share: float) -> None:
    """Let the fullest disk give its largest unit that fits to the emptiest, until nothing fits any more."""
    gives = [int(span.used - max(span.floor, band.give_to * span.size)) for span in spans]
    takes = [int(min(span.ceiling, band.fill_to * span.size) - span.used) for span in spans]
    receivers = Receivers(board, takes)
    walks = {
        disk: Walk(board.situation.stocks[disk].sizes, int(surplus * largest_share))
        for disk, surplus in enumerate(gives)
        if surplus > 0
    }
    donors = [(-board.level(disk), disk) for disk in walks]
    heapify(donors)
    while donors:
        _, disk = heappop(donors)
        index = walks[disk].next(min(gives[disk], receivers.widest()))
        if index is None:
            continue
        if receivers.place(disk, index):
            gives[disk] -= board.situation.stocks[disk].sizes[index]
        heappush(donors, (-board.level(disk), disk))


def _limits(situation: Situation, spans: Sequence[Span], band: Band) -> Limits:
    """Return the used bytes between which a disk is good enough to be left as it is."""
    middle = (band.top + band.bottom) / 2
    half = max(band.top - band.bottom, situation.selection.tolerance / 100 * _MARGIN) / 2
    return Limits(
        lowest=[int(min(span.ceiling, (middle - half) * span.size)) for span in spans],
        highest=[int(max(span.floor, (middle + half) * span.size)) + 1 for span in spans],
    )


def _score(situation: Situation, steps: Sequence[Step]) -> tuple[float, int, int]:
    used = situation.used()
    moved = 0
    for source, unit, destination in steps:
        size = situation.stocks[source].sizes[unit]
        used[source] -= size
        used[destination] += size
        moved += size
    missed = max(0.0, spread_of(situation.disks, used) - situation.selection.tolerance)
    return missed, moved, len(steps)


EVEN = Approach(draw=draw, measure=measure, is_reached=is_reached, ceilings=ceilings, least_bytes=least_bytes)
