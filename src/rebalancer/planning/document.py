"""Whether a plan that came from a file can be believed: judged by its words, before any disk is touched."""

from rebalancer.errors import UsageError
from rebalancer.inventory.unit import Member
from rebalancer.names import decode, display, is_inside
from rebalancer.planning.plan import Move, Plan


def check_plan(plan: Plan) -> None:
    """Raise UsageError, naming the move, for a plan that nobody may carry out."""
    known: set[str] = set()
    for disk in plan.disks:
        if disk.name in known:
            raise UsageError(f"the plan lists the disk {display(disk.name)} twice")
        if disk.size_bytes < 0 or disk.used_bytes < 0 or disk.reserve_bytes < 0:
            raise UsageError(f"the plan gives the disk {display(disk.name)} a negative size")
        known.add(disk.name)
    taken: set[tuple[str, bytes]] = set()
    for number, move in enumerate(plan.moves, start=1):
        if problem := _problem(move, known, taken):
            raise UsageError(f"move {number} of the plan, {display(move.path)}: {problem}")


def _problem(move: Move, known: set[str], taken: set[tuple[str, bytes]]) -> str:
    for disk in (move.source, move.destination):
        if disk not in known:
            return f"the plan does not list the disk {display(disk)}"
    if move.source == move.destination:
        return f"its source and its destination are both {display(move.source)}"
    if move.size_bytes < 0 or move.files < 0:
        return "its size and its number of files cannot be negative"
    return next((wrong for member in move.members if (wrong := _path_problem(move.source, member, taken))), "")


def _path_problem(source: str, member: Member, taken: set[tuple[str, bytes]]) -> str:
    try:
        raw = decode(member.path, member.path_base64)
    except UsageError as error:
        return str(error)
    if not is_inside(raw):
        return f"the path {display(raw)} does not stay inside the disk"
    if (source, raw) in taken:
        return f"{display(raw)} leaves {display(source)} twice"
    taken.add((source, raw))
    return ""
