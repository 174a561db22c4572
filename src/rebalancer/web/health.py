"""Whether the dashboard answers at all: for watchdogs, without a login and without a word about what is on the disks."""

from litestar import get
from msgspec import Struct

from rebalancer.version import VERSION


class Health(Struct, frozen=True, kw_only=True):
    status: str  # "ok"
    version: str


@get("/healthz", tags=["monitoring"], summary="Whether the server answers", sync_to_thread=False)
def healthz() -> Health:
    """Say that the server answers; nobody has to log in for that."""
    return Health(status="ok", version=VERSION)
