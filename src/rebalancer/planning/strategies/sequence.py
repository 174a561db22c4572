"""Whether a handful of steps can be taken in some order at all: every order is looked at, so a no is a proof."""

from collections.abc import Sequence
from typing import NamedTuple

from rebalancer.planning.capacity import cost_of
from rebalancer.planning.situation import Situation, Step, spread_of

_ERROR = 1e-9  # points


class _Effect(NamedTuple):
    """What a step needs and changes."""

    source: int
    destination: int
    size: int
    cost: int
    need: int


class Sequencer:
    """Looks for orders in which each step fits, and none leaves the disks less even than at the start.

    The one exception is that of every plan: a step may do so when the next one, the other half of a swap, mends it;
    and every step may where ``keeps_spread`` is off. What was done in which order leaves no trace but the steps done,
    so each set of them is looked at once.
    """

    def __init__(self, situation: Situation, steps: Sequence[Step], *, keeps_spread: bool = True) -> None:
        self.dead: set[int] = set()  # sets of steps, as bits, from which the rest cannot be done
        self._worse: dict[int, bool] = {}  # by set of steps: whether the disks are less even than at the start
        self._disks = situation.disks
        self._used = situation.used()
        self._room = [disk.room for disk in situation.disks]
        self._most = spread_of(situation.disks, self._used) + _ERROR if keeps_spread else float("inf")
        stocks = situation.stocks
        self._steps = sorted(steps, key=lambda step: (-stocks[step.source].sizes[step.unit], step))
        self._effects = [
            _Effect(
                step.source,
                step.destination,
                stocks[step.source].sizes[step.unit],
                cost_of(stocks[step.source].units[step.unit]),
                situation.need(*step),
            )
            for step in self._steps
        ]
        self._order: list[int] = []

    def find(self) -> list[Step] | None:
        """Return the steps in an order that can be carried out, or None when there is none."""
        return [self._steps[index] for index in self._order] if self._finish(0, is_worse=False) else None

    def _finish(self, done: int, *, is_worse: bool) -> bool:
        """Do the rest of the steps; where the last one made things worse, the next must mend it."""
        if len(self._order) == len(self._steps):
            return not is_worse
        for index, effect in enumerate(self._effects):
            then = done | 1 << index
            if then == done or then in self.dead or effect.need > self._room[effect.destination]:
                continue
            if is_worse and self._worse.get(then):
                continue
            self._take(effect, 1)
            worse = self._is_worse(then)
            self._order.append(index)
            if not (worse and is_worse) and self._finish(then, is_worse=worse):
                return True
            self._order.pop()
            self._take(effect, -1)
        self.dead.add(done)
        return False

    def _is_worse(self, done: int) -> bool:
        if done not in self._worse:
            self._worse[done] = spread_of(self._disks, self._used) > self._most
        return self._worse[done]

    def _take(self, effect: _Effect, sign: int) -> None:
        source, destination, size, cost, _ = effect
        self._used[source] -= sign * size
        self._used[destination] += sign * size
        self._room[source] += sign * size
        self._room[destination] -= sign * cost
