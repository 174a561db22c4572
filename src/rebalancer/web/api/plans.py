"""``/api/v1/plans``: having plans made, reading them, carrying them out."""

from typing import Annotated, Any

from litestar import Response, delete, get, post
from litestar.params import Body, Parameter
from msgspec import Meta, Struct

from rebalancer.errors import NotNowError
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.planning.plan import Plan
from rebalancer.planning.selection import MOST_MOVES_AT_ONCE, Selection, Strategy, Verification
from rebalancer.schedules.written import DEEPEST_UNIT, SELECTION, selection_of
from rebalancer.web.api.answers import ScheduleId, refusals
from rebalancer.web.plans import PlanJob, PlanState
from rebalancer.web.site import Asking, caller_of, site_of

TAGS = ["plans"]
_TEXTS = frozenset({"from_disks", "to_disks", "paths", "shares", "exclude_shares", "exclude"})
Bytes = Annotated[int, Meta(ge=1, lt=10**15, description="Bytes.")]
Seconds = Annotated[int, Meta(ge=1, lt=10**9, description="Seconds.")]
Rate = Annotated[int, Meta(ge=1, lt=10**15, description="Bytes per second, of all moves together.")]
AtOnce = Annotated[int, Meta(ge=1, le=MOST_MOVES_AT_ONCE, description="Moves on different disks.")]
PlanId = Annotated[str, Parameter(description="The id of a plan.")]
Percent = Annotated[float, Meta(ge=1, le=100)]


class PlanLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a plan is carried out; what is left out, or null, has no limit of its own."""

    max_runtime: Seconds | None = None
    bandwidth_limit: Rate | None = None
    moves_at_once: AtOnce | None = None
    verify: Verification = Verification.FULL


class PlanWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to plan; what is left out is as the command line has it when the option is left out."""

    strategy: Strategy = Strategy.EVEN
    target_percent: Percent | None = None
    tolerance: Annotated[float, Meta(ge=0, le=100, description="Percentage points.")] = 1.0
    from_disks: Annotated[tuple[str, ...], Meta(description="Disks that may give, by name or path; empty: all.")] = ()
    to_disks: Annotated[tuple[str, ...], Meta(description="Disks that may receive; empty: all.")] = ()
    paths: Annotated[tuple[str, ...], Meta(description="For gather: folders from the disks' roots.")] = ()
    shares: Annotated[tuple[str, ...], Meta(description="Only these shares; empty: all.")] = ()
    exclude_shares: tuple[str, ...] = ()
    exclude: Annotated[tuple[str, ...], Meta(description="Globs over the path, and over its last name.")] = ()
    unit_depth: Annotated[int, Meta(ge=0, le=DEEPEST_UNIT, description="Folders below the share.")] = 1
    min_unit_size: Annotated[int, Meta(ge=0, lt=10**15, description="Bytes.")] = 0
    max_unit_size: Bytes | None = None
    min_age: Annotated[int, Meta(ge=0, lt=10**9, description="Seconds since it was last changed.")] = 0
    reserve: Annotated[str, Meta(description="A size such as 10GiB, or a percentage such as 5%.")] | None = None
    max_bytes: Bytes | None = None
    disks: Annotated[
        tuple[str, ...], Meta(description="Instead of discovery, as --disk has them: PATH[,size=SIZE][,name=NAME].")
    ] = ()


class PlanAnswer(Struct, frozen=True, kw_only=True):
    """A plan that was asked for, and the plan itself once it is made."""

    job: PlanJob
    plan: Plan | None


class RemovedPlan(Struct, frozen=True, kw_only=True):
    """A plan that is forgotten."""

    plan_id: str


@get("/plans", tags=TAGS, responses=refusals(), summary="Plans that were asked for", sync_to_thread=True)
def list_plans(request: Asking) -> list[PlanJob]:
    """Return the plans that are kept, the newest first; the oldest make room for new ones."""
    return site_of(request).plans.kept()


@post(
    "/plans",
    tags=TAGS,
    status_code=202,
    responses=refusals(409, changes=True),
    summary="Have a plan made",
    sync_to_thread=True,
)
def begin(request: Asking, data: Annotated[PlanWish, Body()]) -> Response[PlanJob]:
    """Scan the disks and plan, in a process of its own; nothing on the disks is changed. Ask for the plan by its id."""
    selection, disks = _selection_of(data), [SELECTION["from_disks"](disk, field="disks") for disk in data.disks]
    return _accepted(site_of(request).plans.begin(selection, actor=caller_of(request).actor, disks=disks))


@post(
    "/plans/schedules/{schedule_id:str}",
    tags=TAGS,
    status_code=202,
    responses=refusals(404, 409, changes=True),
    summary="Have the plan of a schedule made",
    sync_to_thread=True,
)
def begin_for_schedule(request: Asking, schedule_id: ScheduleId) -> Response[PlanJob]:
    """Make the plan that a schedule would carry out if it fired now."""
    site = site_of(request)
    schedule = site.open_engine().schedules.get(schedule_id)
    return _accepted(site.plans.of_schedule(schedule, actor=caller_of(request).actor))


@get("/plans/{plan_id:str}", tags=TAGS, responses=refusals(404), summary="One plan", sync_to_thread=True)
def show(request: Asking, plan_id: PlanId) -> PlanAnswer:
    """Return how a plan stands, and the plan when it is done."""
    plans = site_of(request).plans
    job = plans.get(plan_id)
    return PlanAnswer(job=job, plan=plans.plan(plan_id) if job.state is PlanState.DONE else None)


@post(
    "/plans/{plan_id:str}/run",
    tags=TAGS,
    status_code=201,
    responses=refusals(404, 409, changes=True),
    summary="Carry a plan out",
    sync_to_thread=True,
)
def run(request: Asking, plan_id: PlanId, data: Annotated[PlanLimits, Body()]) -> Response[ScheduleExecution]:
    """Begin to move, recorded as an execution; everything is checked again first."""
    limits = Selection(
        max_runtime=data.max_runtime,
        bandwidth_limit=data.bandwidth_limit,
        moves_at_once=data.moves_at_once,
        verify=data.verify,
    )
    execution = site_of(request).plans.run(plan_id, limits)
    if execution is None:
        raise NotNowError("it was started and has no record yet; GET /api/v1/overview shows it when it has")
    return Response(execution, headers={"location": f"/api/v1/executions/{execution.execution_id}"})


@post(
    "/plans/{plan_id:str}/cancel",
    tags=TAGS,
    status_code=200,
    responses=refusals(404, changes=True),
    summary="Stop making a plan",
    sync_to_thread=True,
)
def cancel(request: Asking, plan_id: PlanId) -> PlanJob:
    """Ask the process that makes a plan to stop; nothing happens when it has ended. What runs goes on."""
    return site_of(request).plans.cancel(plan_id, actor=caller_of(request).actor)


@delete(
    "/plans/{plan_id:str}",
    tags=TAGS,
    status_code=200,
    responses=refusals(404, 409, changes=True),
    summary="Forget a plan",
    sync_to_thread=True,
)
def remove(request: Asking, plan_id: PlanId) -> RemovedPlan:
    """Remove a plan that is not being made; what carries it out goes on."""
    site_of(request).plans.remove(plan_id)
    return RemovedPlan(plan_id=plan_id)


def _selection_of(wish: PlanWish) -> Selection:
    """Return the selection; texts are read as the command line reads them. Raises UsageError."""
    options: dict[str, Any] = {}
    for name in (name for name in wish.__struct_fields__ if name != "disks"):
        value = getattr(wish, name)
        if name in _TEXTS:
            value = tuple(SELECTION[name](text, field=name) for text in value)
        elif name == "reserve" and value is not None:
            value = SELECTION[name](value, field=name)
        options[name] = value
    return selection_of(options)


def _accepted(job: PlanJob) -> Response[PlanJob]:
    return Response(job, headers={"location": f"/api/v1/plans/{job.plan_id}"})


HANDLERS = [list_plans, begin, begin_for_schedule, show, run, cancel, remove]
