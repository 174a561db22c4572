"""Holds work while a check, rebuild, sync or clear of the array runs or is paused, or when nothing tells."""

from rebalancer.array.unraid.state import Activity, ParityOperation
from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold
from rebalancer.quantities import format_size


class ParityGuard:
    """Both would slow each other down, and a rebuild must not meet a disk that changes under it."""

    name = "parity"

    def look(self, moment: Moment) -> Hold | None:
        if not moment.is_unraid:
            return None
        operation = moment.array.parity
        if operation.activity is Activity.NONE:
            return None
        about = f"{operation.action} {operation.activity.value}"
        return Hold(guard=self.name, reason=_sentence(operation), about=about)


def _sentence(operation: ParityOperation) -> str:
    if operation.activity is Activity.UNKNOWN:
        return "whether a parity operation runs cannot be read, neither from mdstat nor from var.ini"
    done = "" if operation.percent is None else f"{operation.percent:.1f} % done"
    if operation.activity is Activity.PAUSED:
        return f"{operation.name} is paused{f', {done}' if done else ''}"
    speed = "" if operation.speed is None else f" at {format_size(operation.speed)}/s"
    return f"{operation.name} runs{f', {done}' if done else ''}{speed}"
