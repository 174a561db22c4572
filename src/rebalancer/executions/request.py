"""Why an execution is asked to stop: written before the signal is sent, read by its supervisor."""

from enum import Enum
from pathlib import Path

from msgspec import Struct

from rebalancer import records
from rebalancer.errors import RebalancerError
from rebalancer.state import StateFolders, ensure


class StopAction(Enum):
    CANCEL = "cancel"
    SUSPEND = "suspend"
    EMERGENCY = "emergency"
    ARRAY_STOP = "array stop"


class StopRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who wants an execution to stop, and why; ``at`` is seconds since 1970 (UTC)."""

    action: StopAction
    reason: str = ""
    actor: str = ""
    at: float = 0.0


def write(folders: StateFolders, execution_id: str, request: StopRequest) -> None:
    """Leave the request where the execution's supervisor looks; it need not survive a reboot."""
    ensure(folders.requests)
    records.write(_path(folders, execution_id), request, durable=False)


def read(folders: StateFolders, execution_id: str) -> StopRequest | None:
    """Return the request for an execution; None when there is none that can be believed."""
    try:
        return records.read(_path(folders, execution_id), StopRequest)
    except RebalancerError:
        return None


def forget(folders: StateFolders, execution_id: str) -> None:
    _path(folders, execution_id).unlink(missing_ok=True)


def _path(folders: StateFolders, execution_id: str) -> Path:
    return folders.requests / f"{execution_id}.json"
