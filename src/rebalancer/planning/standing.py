"""Whether a plan that was made earlier still keeps the rules: settings may have changed since."""

from collections.abc import Iterable

from rebalancer.inventory.unit import Unit
from rebalancer.names import display
from rebalancer.planning.constraints import Places, rules_of_the_array
from rebalancer.planning.limits import Constraints
from rebalancer.planning.plan import Move
from rebalancer.planning.reach import holds


def objection_to(moves: Iterable[Move], constraints: Constraints) -> str:
    """Return the first reason why a move is not allowed any more, as a sentence; empty when all are.

    Only what a move says itself is judged: whether a folder has meanwhile been split is for a new plan to see.
    """
    rules = tuple(rules_of_the_array(constraints, Places()))
    shares = {rule.share: rule for rule in constraints.shares}
    for move in moves:
        unit = Unit(
            disk=move.source, share=move.share, path=move.path, also=move.also, size_bytes=move.size_bytes, files=0
        )
        if reason := next((found for rule in rules if (found := rule.reason(unit))), ""):
            return f"{display(move.path)} may not move now: {reason}"
        for share in dict.fromkeys(member.path.partition("/")[0] for member in move.members):
            if share in shares and not holds(shares[share], move.destination):
                to = f"{display(move.destination)} now by the rules of the share {display(share)}"
                return f"{display(move.path)} may not go to {to}"
    return ""
