"""Holds work while Unraid's array is not started normally, is being stopped, or says nothing of itself."""

from rebalancer.guards.guard import Moment
from rebalancer.guards.hold import Hold


class ArrayStateGuard:
    """Asks var.ini; on other machines there is nothing to ask."""

    name = "array-state"

    def look(self, moment: Moment) -> Hold | None:
        if not moment.is_unraid:
            return None
        state = moment.array
        if state.is_stopping:
            return Hold(guard=self.name, reason="the array is being stopped", about="stopping")
        return Hold(guard=self.name, reason=state.objection) if state.objection else None
