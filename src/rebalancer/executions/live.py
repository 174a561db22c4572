"""What is known of an execution while it waits or works, in the runtime folder: nothing of it is durable."""

from contextlib import suppress
from pathlib import Path

from rebalancer import records
from rebalancer.errors import RebalancerError, RefusedError
from rebalancer.executions.execution import Event
from rebalancer.state import StateFolders, ensure
from rebalancer.transfer.messages import Progress


class Live(Progress, frozen=True, kw_only=True, tag="progress", omit_defaults=True):
    """The progress of all operations of an execution together, and what has happened to it so far."""

    timeline: tuple[Event, ...] = ()
    operation_id: str = ""  # the plan that is being carried out; empty while there is none


NOTHING_DONE = Progress(
    moves_done=0, moves_total=0, files_moved=0, files_total=0, bytes_moved=0, bytes_copied=0, bytes_total=0
)


def show(path: Path, progress: Progress, timeline: tuple[Event, ...], *, operation_id: str = "") -> None:
    """Let other processes see where an execution stands; that nobody can watch is no reason to stop."""
    values = {name: getattr(progress, name) for name in Progress.__struct_fields__}
    with suppress(OSError, RefusedError):
        ensure(path.parent)
        records.write(path, Live(**values, timeline=timeline, operation_id=operation_id), durable=False)


def told_by(folders: StateFolders, execution_id: str) -> Live | None:
    """Return what an execution last told of itself; None when it told nothing that can be believed."""
    try:
        return records.read(folders.progress / f"{execution_id}.json", Live)
    except RebalancerError:
        return None
