"""``/api/v1/executions`` and ``/api/v1/statistics``: what runs, what ran, how it went; cancelling and cleaning up."""

from typing import Annotated

from litestar import get, post
from litestar.enums import MediaType
from litestar.params import Body, Parameter
from msgspec import Struct

from rebalancer.executions import checking
from rebalancer.executions.cleanup import clean_up
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.log import last_of
from rebalancer.executions.statistics import Statistics, in_full
from rebalancer.executions.verdict import Verdict
from rebalancer.schedules import validation
from rebalancer.web.api.answers import ExecutionId, ScheduleId, refusals
from rebalancer.web.site import Asking, caller_of, site_of

MOST = 1000  # executions in one answer
LOG = 64 * 1024  # bytes, from the end
TAGS = ["executions"]


class Why(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str = ""


class WentOn(Struct, frozen=True, kw_only=True):
    was_paused: bool


class Cleanup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records are too old; ages in days, counted from the end of the execution."""

    days: int
    keep_failed_days: int | None = None  # null: as long as the others
    keep_at_least: int = 0  # the newest of each schedule, whatever their age
    dry_run: bool = False  # say what would go; change nothing


class SetAside(Struct, frozen=True, kw_only=True):
    name: str  # of a file in the folder of the records
    reason: str  # why it cannot be believed


class CleanedUp(Struct, frozen=True, kw_only=True):
    """What a cleanup did, or would do; ids of executions, and bytes of file content."""

    removed: tuple[str, ...]
    set_aside: tuple[SetAside, ...]
    bytes_freed: int


@get("/executions", tags=TAGS, responses=refusals(404), summary="What ran", sync_to_thread=True)
def history(
    request: Asking,
    schedule_id: Annotated[str | None, Parameter(description="Only those of one schedule, or of manual.")] = None,
    status: Annotated[ExecutionStatus | None, Parameter(description="Only those that stand so.")] = None,
    since: Annotated[
        float | None,
        Parameter(ge=0, le=checking.LATEST, description="Only those that started since; seconds since 1970 (UTC)."),
    ] = None,
    limit: Annotated[int, Parameter(ge=1, le=MOST, description="How many, from the newest on.")] = 50,
) -> list[ScheduleExecution]:
    """Executions, newest first, each as it stands now."""
    monitor = site_of(request).monitor
    if schedule_id is not None:
        monitor.demand_schedule(schedule_id)
    return monitor.get_execution_history(schedule_id, limit, status=status, since=since)


@get("/executions/running", tags=TAGS, responses=refusals(), summary="What runs", sync_to_thread=True)
def running(request: Asking) -> list[ScheduleExecution]:
    """What runs or waits now, whichever process started it, newest first."""
    return site_of(request).monitor.get_running_executions()


@get("/executions/{execution_id:str}", tags=TAGS, responses=refusals(404), summary="An execution", sync_to_thread=True)
def show(request: Asking, execution_id: ExecutionId) -> ScheduleExecution:
    """One execution as it stands now: how it ended, what it moved, what stayed and why."""
    return site_of(request).monitor.get_execution(execution_id)


@get(
    "/executions/{execution_id:str}/log",
    media_type=MediaType.TEXT,
    tags=TAGS,
    responses=refusals(404),
    summary="The log of an execution",
    sync_to_thread=True,
)
def log(request: Asking, execution_id: ExecutionId) -> str:
    """The last 64 KiB of its log; 404 when it is gone, as after a reboot."""
    site = site_of(request)
    site.monitor.get_execution(execution_id)
    return last_of(site.folders, execution_id, size=LOG)


@post(
    "/executions/{execution_id:str}/cancel",
    status_code=200,
    tags=TAGS,
    responses=refusals(404, changes=True),
    summary="Cancel an execution",
    sync_to_thread=True,
)
def cancel(request: Asking, execution_id: ExecutionId, data: Annotated[Why | None, Body()] = None) -> Verdict:
    """Stop one execution; what was moved stays moved. The verdict says what came of it, also when it had ended."""
    control = site_of(request).control(caller_of(request))
    return control.cancel(execution_id, reason=_reason(data))


@post(
    "/executions/{execution_id:str}/pause",
    status_code=200,
    tags=TAGS,
    responses=refusals(404, changes=True),
    summary="Pause an execution",
    sync_to_thread=True,
)
def pause(request: Asking, execution_id: ExecutionId, data: Annotated[Why | None, Body()] = None) -> ScheduleExecution:
    """Let it wait after the chunk it is in until it may go on; returns it as it stood. 403 when it has ended."""
    return site_of(request).control(caller_of(request)).pause(execution_id, reason=_reason(data))


@post(
    "/executions/{execution_id:str}/continue",
    status_code=200,
    tags=TAGS,
    responses=refusals(404, changes=True),
    summary="Let a paused execution go on",
    sync_to_thread=True,
)
def go_on(request: Asking, execution_id: ExecutionId) -> WentOn:
    """Let it go on; what guards hold, they go on holding. 403 when it has ended."""
    return WentOn(was_paused=site_of(request).control(caller_of(request)).go_on(execution_id))


@post(
    "/executions/cleanup",
    status_code=200,
    tags=TAGS,
    responses=refusals(409, changes=True),
    summary="Remove old records",
    sync_to_thread=True,
)
def cleanup(request: Asking, data: Annotated[Cleanup, Body()]) -> CleanedUp:
    """Remove the records of executions that ended longer ago, set damaged ones aside; statistics keep their figures."""
    site = site_of(request)
    cleaned = clean_up(
        site.folders,
        days=data.days,
        keep_failed_days=data.days if data.keep_failed_days is None else data.keep_failed_days,
        keep_at_least=data.keep_at_least,
        now=site.clock(),
        dry_run=data.dry_run,
    )
    set_aside = tuple(SetAside(name=name, reason=reason) for name, reason in cleaned.set_aside)
    return CleanedUp(removed=cleaned.removed, set_aside=set_aside, bytes_freed=cleaned.bytes_freed)


@get(
    "/statistics/{schedule_id:str}",
    tags=TAGS,
    responses=refusals(404),
    summary="What a schedule's executions amount to",
    sync_to_thread=True,
)
def statistics(request: Asking, schedule_id: ScheduleId) -> Statistics:
    """Figures over all its executions, also those whose records were cleaned up."""
    monitor = site_of(request).monitor
    monitor.demand_schedule(schedule_id)
    return in_full(monitor.get_schedule_statistics(schedule_id))


def _reason(why: Why | None) -> str:
    reason = "" if why is None else why.reason
    validation.check_text("reason", reason)
    return reason


HANDLERS = [history, running, show, log, cancel, pause, go_on, cleanup, statistics]
