"""Even: every disk that takes part ends within the tolerance of every other."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from rebalancer.planning.board import Board, Receivers
from rebalancer.planning.bounds import Band, Span, band_of, least_bytes_for_spread, least_spread, spans_of
from rebalancer.planning.capacity import uncertainty
from rebalancer.planning.layout import Layout
from rebalancer.planning.order import arrange, cut_to_best
from rebalancer.planning.situation import Situation, Step, spread_of
from rebalancer.planning.strategies.approach import Approach
from rebalancer.planning.strategies.covering import tighten
from rebalancer.planning.strategies.exact import Outcome, enumerate_ends, is_small
from rebalancer.planning.strategies.exchange import Limits, Patience, correct, save
from rebalancer.planning.strategies.largest_first import Walk
from rebalancer.planning.strategies.shaking import Ground, shake

_SMALL = 20_000  # units: up to here coarser variants are tried when the first misses the tolerance
_LARGEST_SHARES = (0.6, 0.35, 0.2)  # of what a disk gives: the largest single unit in the variants
_NARROWER = (0.85, 0.6, 0.3)  # of the spread reached: bands that are tried when the tolerance is out of reach
_LEAST_GAIN = 0.02  # of what is above the tolerance: for less no plan that misses it moves anything
_NEAR = 1.005  # times the bound: the variants are not needed
_ENOUGH = 1.002  # times the bound: nearer than this no search goes


@dataclass(frozen=True, slots=True)
class _Task:
    """``goal`` is the width of the band to end in, as levels: the tolerance less what is uncertain about sizes elsewhere."""

    situation: Situation
    spans: Sequence[Span]
    goal: float
    is_over: Patience

    def band(self, width: float) -> Band:
        return band_of(self.spans, max(width, least_spread(self.spans)))

    def limits(self, width: float, shift: float = 0.0) -> Limits:
        """Return the used bytes between which a disk is good enough; the band moved up by a part of its width."""
        band = self.band(width)
        bottom, top = band.bottom + shift * width, band.top + shift * width
        return Limits(
            lowest=[int(min(span.ceiling, bottom * span.size)) + 1 for span in self.spans],
            highest=[int(max(span.floor, top * span.size)) for span in self.spans],
        )


@dataclass(frozen=True, slots=True)
class _Found:
    layout: Layout
    missed: float  # points that the spread is above the goal
    moved: int

    @property
    def score(self) -> tuple[float, int]:
        return self.missed, self.moved


def draw(situation: Situation, is_over: Patience) -> list[Step]:
    """Bring the disks within the tolerance; minimise the bytes moved, then the number of moves.

    1. Find the band as wide as the tolerance (or as the least spread there can be, if that is more) that moves the
       fewest bytes, a little narrower for what file systems make of many small files. Disks above it give, disks below it receive.
    2. Meet each surplus with the largest units that fit, the fullest disk first, always to the emptiest.
    3. Where that leaves a disk outside the band, exchange: other units, other destinations, a big unit for a smaller.
    4. Still not even: the same with smaller units first and with narrower bands, and the best of all is kept.
    5. A dozen units: find the best end there is to which an order of steps leads.
    6. Above the bound by more than a trace: shake, settle again, and keep what is better, for a bounded time.
    """
    if len(situation.disks) < 2 or is_reached(situation, situation.used()):
        return []
    spans = spans_of(situation)
    task = _Task(
        situation, spans, max(0.0, situation.selection.tolerance / 100 - _uncertainty(situation, spans)), is_over
    )
    found = _search(task)
    steps = feasible(found.layout)
    if is_small(situation):
        better = enumerate_ends(situation, Outcome(*_score(situation, steps)))
        steps = _gain_first(situation, better) if better else steps
    return steps if _is_worth_it(situation, steps) else []


def _gain_first(situation: Situation, steps: list[Step]) -> list[Step]:
    """Return the steps in the usual order; in the one they came in, where the usual one leaves some out."""
    arranged = arrange(situation, steps)
    return arranged if len(arranged) == len(steps) else steps


def _is_worth_it(situation: Situation, steps: Sequence[Step]) -> bool:
    """Say whether the steps reach the tolerance, or at least take a little off what is missing."""
    before = spread_of(situation.disks, situation.used()) - situation.selection.tolerance
    missed, _ = _score(situation, steps)
    return missed <= before * (1 - _LEAST_GAIN)


def feasible(layout: Layout) -> list[Step]:
    """Return the steps to a layout in order; where some cannot be taken or it is not even, up to the best moment."""
    situation = layout.situation
    wanted = layout.steps()
    steps = arrange(situation, wanted)
    if len(steps) < len(wanted) or not is_reached(situation, layout.used):
        steps = cut_to_best(situation, steps, lambda used: spread_of(situation.disks, used))
    return steps


def _score(situation: Situation, steps: Sequence[Step]) -> tuple[float, int]:
    layout = Layout(situation, steps)
    missed = spread_of(situation.disks, layout.used) - situation.selection.tolerance
    return max(0.0, missed), layout.moved


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


def _uncertainty(situation: Situation, spans: Sequence[Span]) -> float:
    """Return how far, as a difference of levels, the disks may end from where the sizes of what moves put them."""
    band = band_of(spans, max(situation.selection.tolerance / 100, least_spread(spans)))
    gives = [band.given_by(span) for span in spans]
    unsure = [
        given * uncertainty(stock.units, stock.total) for given, stock in zip(gives, situation.stocks, strict=True)
    ]
    part = sum(unsure) / (sum(gives) or 1.0)
    return max(amount / span.size for amount, span in zip(unsure, spans, strict=True)) + max(
        part * band.taken_by(span) / span.size for span in spans
    )


def _search(task: _Task) -> _Found:
    found = _attempt(task, task.goal, 1.0)
    if sum(len(stock.units) for stock in task.situation.stocks) > _SMALL:
        return found
    if found.missed > 0 or found.moved > task.band(task.goal).bytes * _NEAR:
        tried = (_attempt(task, task.goal, share) for share in _LARGEST_SHARES)
        found = min(found, *tried, key=lambda one: one.score)
    for factor in _NARROWER:
        if found.missed > 0 and not task.is_over():
            width = task.goal + found.missed / 100
            found = min(found, _attempt(task, width * factor, 1.0), key=lambda one: one.score)
    return found if is_small(task.situation) else _shaken(task, found)


def _shaken(task: _Task, found: _Found) -> _Found:
    width = task.goal + found.missed / 100
    bound = task.band(width).bytes
    if found.moved <= bound * _ENOUGH:
        return found
    ground = Ground(
        limits=lambda shift: task.limits(width * (1 - 1e-9), shift),
        width=width * 100,
        enough=bound * _ENOUGH,
        is_over=task.is_over,
    )
    layout = shake(found.layout, ground)
    return min(found, _judge(task, layout), key=lambda one: one.score)


def _judge(task: _Task, layout: Layout) -> _Found:
    missed = spread_of(task.situation.disks, layout.used) - 100 * task.goal
    return _Found(layout, max(0.0, missed), layout.moved)


def _attempt(task: _Task, width: float, largest_share: float) -> _Found:
    board = Board(task.situation)
    _fill(board, task.spans, task.band(width), largest_share)
    layout = Layout(task.situation, board.steps)
    limits = task.limits(width * (1 - 1e-9))
    correct(layout, limits, (3, 30), task.is_over)
    save(layout, limits, task.is_over)
    correct(layout, limits, (10**6,), task.is_over)
    tighten(layout, limits, task.is_over)
    return _judge(task, layout)


def _fill(board: Board, spans: Sequence[Span], band: Band, largest_share: float) -> None:
    """Let the fullest disk give its largest unit that fits to the emptiest, until nothing fits any more."""
    gives = [int(band.given_by(span)) for span in spans]
    takes = [int(band.taken_by(span)) for span in spans]
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


EVEN = Approach(
    draw=draw,
    measure=measure,
    is_reached=lambda board: is_reached(board.situation, board.used),
    ceilings=lambda board: ceilings(board.situation, board.used),
    least_bytes=lambda board: least_bytes(board.situation, board.used),
)
