"""How each kind of guard is made, and those that one execution has."""

from collections.abc import Callable

from rebalancer.guards.array_state import ArrayStateGuard
from rebalancer.guards.backups import BackupsGuard
from rebalancer.guards.disk_errors import DiskErrorsGuard
from rebalancer.guards.guard import Guard
from rebalancer.guards.idle import IdleGuard
from rebalancer.guards.mover import MoverGuard
from rebalancer.guards.options import GuardOptions
from rebalancer.guards.other_movers import OtherMoversGuard
from rebalancer.guards.parity import ParityGuard
from rebalancer.guards.temperature import TemperatureGuard

Factory = Callable[[GuardOptions], Guard | None]  # None: these options give it nothing to look at

#: name -> how it is made, in the order of `options.NAMES`
KINDS: dict[str, Factory] = {
    "array-state": lambda _: ArrayStateGuard(),
    "disk-errors": lambda _: DiskErrorsGuard(),
    "parity": lambda _: ParityGuard(),
    "mover": lambda _: MoverGuard(),
    "other-movers": lambda _: OtherMoversGuard(),
    "backups": lambda _: BackupsGuard(),
    "temperature": lambda options: TemperatureGuard(maximum=options.max_temperature, cool_down=options.cool_down),
    # processor, memory, disk-activity, streams: None while the option that is its threshold is None
}
_IDLE = "idle"  # chosen by the schedule, not by its guard options


def guards_for(options: GuardOptions, *, only_when_idle: bool = False) -> list[Guard]:
    """Return fresh guards for one execution, without those that it ignores."""
    made = [factory(options) for name, factory in KINDS.items() if name not in options.ignored]
    guards = [guard for guard in made if guard is not None]
    if only_when_idle and _IDLE not in options.ignored:
        guards.append(IdleGuard())
    return guards
