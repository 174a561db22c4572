"""``/api/v1/schedules/{id}/run`` and beside it: a schedule's turn, its rest, and whether it fires at all."""

from typing import Annotated

from litestar import Response, post
from litestar.openapi import ResponseSpec
from litestar.params import Body
from msgspec import Struct, structs

from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.verdict import Verdict
from rebalancer.schedules import validation
from rebalancer.web.api.answers import ScheduleId, refusals
from rebalancer.web.api.schedules import TAGS, ControlledSchedule, SavedSchedule, conclude
from rebalancer.web.site import Asking, caller_of, site_of

_STARTED = {
    201: ResponseSpec(ScheduleExecution, generate_examples=False, description="It runs, or waits."),
    202: ResponseSpec(type(None), generate_examples=False, description="It ended before it was seen."),
}


class Suspending(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a schedule is to rest, and until when."""

    reason: str = ""
    until: float | None = None  # seconds since 1970 (UTC); null: until somebody resumes it


@post(
    "/schedules/{schedule_id:str}/run",
    tags=TAGS,
    responses={**refusals(404, 409, changes=True), **_STARTED},
    summary="Run a schedule now",
    sync_to_thread=True,
)
def run(request: Asking, schedule_id: ScheduleId) -> Response[ScheduleExecution | None]:
    """Start an execution and return it; 409 when the schedule runs already."""
    site = site_of(request)
    site.open_engine().schedules.get(schedule_id)
    execution = site.starts.schedule(schedule_id)
    return Response(execution, status_code=202 if execution is None else 201)


@post(
    "/schedules/{schedule_id:str}/suspend",
    status_code=200,
    tags=TAGS,
    responses=refusals(404, 409, changes=True),
    summary="Let a schedule rest",
    sync_to_thread=True,
)
def suspend(
    request: Asking, schedule_id: ScheduleId, data: Annotated[Suspending | None, Body()] = None
) -> ControlledSchedule:
    """Stop what it runs now and keep it from firing until it is resumed, or until a time to come."""
    wanted = data or Suspending()
    validation.check_text("reason", wanted.reason)
    control = site_of(request).control(caller_of(request))
    verdicts = control.suspend(schedule_id, reason=wanted.reason, until=wanted.until)
    return _controlled(request, schedule_id, verdicts, "the schedule is suspended")


@post(
    "/schedules/{schedule_id:str}/resume",
    status_code=200,
    tags=TAGS,
    responses=refusals(404, 409, changes=True),
    summary="End a schedule's rest",
    sync_to_thread=True,
)
def resume(request: Asking, schedule_id: ScheduleId) -> ControlledSchedule:
    """Let it fire again; nothing happens when it was not suspended."""
    site_of(request).control(caller_of(request)).resume(schedule_id)
    return _controlled(request, schedule_id, [], "the schedule is resumed")


@post(
    "/schedules/{schedule_id:str}/enable",
    status_code=200,
    tags=TAGS,
    responses=refusals(404, 409, changes=True),
    summary="Let a schedule fire",
    sync_to_thread=True,
)
def enable(request: Asking, schedule_id: ScheduleId) -> SavedSchedule:
    """Let it fire; the same again only tells cron again."""
    return _set_enabled(request, schedule_id, enabled=True)


@post(
    "/schedules/{schedule_id:str}/disable",
    status_code=200,
    tags=TAGS,
    responses=refusals(404, 409, changes=True),
    summary="Keep a schedule without firing it",
    sync_to_thread=True,
)
def disable(request: Asking, schedule_id: ScheduleId) -> SavedSchedule:
    """Keep it without firing it; what runs goes on, and it can still be run by hand."""
    return _set_enabled(request, schedule_id, enabled=False)


def _set_enabled(request: Asking, schedule_id: ScheduleId, *, enabled: bool) -> SavedSchedule:
    site = site_of(request)
    engine = site.open_engine()
    schedule = engine.schedules.set_enabled(schedule_id, enabled=enabled, now=site.clock())
    return conclude(site, engine, schedule, "the schedule is saved")


def _controlled(request: Asking, schedule_id: ScheduleId, verdicts: list[Verdict], done: str) -> ControlledSchedule:
    site = site_of(request)
    engine = site.open_engine()
    saved = conclude(site, engine, engine.schedules.get(schedule_id), done)
    return ControlledSchedule(**structs.asdict(saved), executions=tuple(verdicts))


HANDLERS = [run, suspend, resume, enable, disable]
