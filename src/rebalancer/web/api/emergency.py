"""``/api/v1/emergency-stop``: everything at once, and the hold that keeps it so."""

from typing import Annotated

from litestar import post
from litestar.params import Body
from msgspec import Struct

from rebalancer.executions.verdict import Verdict
from rebalancer.schedules import validation
from rebalancer.web.api.answers import refusals
from rebalancer.web.site import Asking, caller_of, site_of

TAGS = ["emergency stop"]


class Stopping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With a reason, nothing new starts until it is released; null: what comes may start."""

    hold_reason: str | None = None


class Released(Struct, frozen=True, kw_only=True):
    was_held: bool


@post(
    "/emergency-stop",
    status_code=200,
    tags=TAGS,
    responses=refusals(changes=True),
    summary="Stop everything",
    sync_to_thread=True,
)
def stop(request: Asking, data: Annotated[Stopping | None, Body()] = None) -> list[Verdict]:
    """Stop all executions within 3 seconds, with a verdict for each; every file is complete on one of its disks."""
    reason = data.hold_reason if data is not None else None
    validation.check_text("hold_reason", reason or "")
    return site_of(request).control(caller_of(request)).emergency_stop(hold_reason=reason)


@post(
    "/emergency-stop/release",
    status_code=200,
    tags=TAGS,
    responses=refusals(changes=True),
    summary="Let executions start again",
    sync_to_thread=True,
)
def release(request: Asking) -> Released:
    """End the hold of an emergency stop; nothing happens when there is none."""
    return Released(was_held=site_of(request).control(caller_of(request)).release())


HANDLERS = [stop, release]
