"""Which moves may be under way together: no disk serves two, unless it has no heads to send about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations, islice

from rebalancer.array.medium import Medium
from rebalancer.inventory.unit import UnitKind
from rebalancer.planning.plan import Move

_MOST = 4  # moves at once where nobody asked for more
_SAMPLES = 200  # moves that are compared to find out whether any go together
_AHEAD = 1000  # moves that are looked at for one that need not wait


def moves_at_once(asked: int | None, *, has_parity: bool, processors: int) -> int:
    """Return how many moves may be under way: what was asked for, else one with parity, which every write changes too.

    Else one more than there are processors, at most four: each stands still now and then, for a disk or on purpose.
    """
    if asked is not None:
        return asked
    return 1 if has_parity else min(_MOST, processors + 1)


@dataclass(eq=False)
class Traffic:
    """Gives out the moves of a plan by number. Those that share a disk stay in order, or wait for each other.

    Moves between the same two disks go together only where neither rotates, both are folders, and neither disk is a
    folder with a limit of its own, whose room is counted by one at a time.
    """

    moves: Sequence[Move]
    media: Mapping[str, Medium]  # by disk name
    limited: frozenset[str] = frozenset()  # disks that are folders
    limit: int = 1
    under_way: set[int] = field(default_factory=set)
    _waiting: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._waiting = list(range(len(self.moves)))

    @property
    def is_ever_shared(self) -> bool:
        """Whether two of the moves may be under way together at all, were it not for their order."""
        if self.limit == 1:
            return False
        kinds: dict[tuple[str, str, UnitKind, bool], list[Move]] = {}
        for move in self.moves:
            of_kind = kinds.setdefault((move.source, move.destination, move.kind, bool(move.also)), [])
            if len(of_kind) < 2:  # two of a kind stand for all
                of_kind.append(move)
        samples = islice(chain.from_iterable(kinds.values()), _SAMPLES)
        return any(self._go_together(*two) for two in combinations(samples, 2))

    @property
    def is_waiting(self) -> bool:
        """Whether there are moves that have not begun."""
        return bool(self._waiting)

    def begin(self) -> int | None:
        """Return the next move that may begin now, which counts as begun; None while every other must wait."""
        if len(self.under_way) >= self.limit:
            return None
        passed: set[str] = set()  # disks of those that wait: nobody overtakes them there
        for place, number in enumerate(self._waiting[:_AHEAD]):
            move = self.moves[number]
            if not passed & self._disks(move) and all(self._go_together(move, self.moves[n]) for n in self.under_way):
                del self._waiting[place]
                self.under_way.add(number)
                return number
            passed |= self._disks(move)
        return None

    def end(self, number: int) -> None:
        """Say that a move has ended, however it did."""
        self.under_way.remove(number)

    def _go_together(self, one: Move, other: Move) -> bool:
        if self._spindles(one) & self._spindles(other):
            return False
        if not self._disks(one) & self._disks(other):
            return True
        is_same_way = (one.source, one.destination) == (other.source, other.destination)
        return is_same_way and _are_apart(one, other) and not self._disks(one) & self.limited

    def _disks(self, move: Move) -> set[str]:
        return {move.source, move.destination}

    def _spindles(self, move: Move) -> frozenset[str]:
        source, destination = (self.media.get(name, Medium()) for name in (move.source, move.destination))
        return source.spindles | destination.spindles


def _are_apart(one: Move, other: Move) -> bool:
    """Return whether two moves change no folder both, but those above them, where they only come and go."""
    if any(move.kind is not UnitKind.FOLDER or move.also for move in (one, other)):
        return False
    paths = sorted(move.raw_path + b"/" for move in (one, other))
    return not paths[1].startswith(paths[0])
