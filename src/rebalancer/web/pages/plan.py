"""The plan pages: choose what should move, see the plan, carry it out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anyio
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import File

from rebalancer.array.disk import Disk
from rebalancer.errors import NotNowError, RebalancerError, UsageError
from rebalancer.planning.selection import Selection
from rebalancer.web.asked import fields_of
from rebalancer.web.plan_form import LABELS, OF_A_RUN, RARE, STRATEGIES, Form, form_of, read_plan, read_run
from rebalancer.web.plan_view import command_line, view_of
from rebalancer.web.plans import PlanJob, PlanState
from rebalancer.web.site import Asking, Page, Site, caller_of, page, send_to, site_of

_LOOKS_AGAIN = "2"  # seconds until the page of a plan that is being made loads itself again
_OLD = 3600.0  # seconds; an older plan says its age
_JSON = ".json"


@dataclass(frozen=True, slots=True)
class Choice:
    """A disk that can be ticked; one that takes no part says why."""

    name: str
    used_percent: float = 0.0
    why_not: str = ""
    is_here: bool = True


@get("/plan", include_in_schema=False, sync_to_thread=True)
def choose(request: Asking) -> Page:
    """Show the form, filled in like the plan that the query names."""
    like = request.query_params.get("like", "")
    selection = site_of(request).plans.get(like).selection if like else Selection()
    return _form_page(request, form_of(selection))


@post("/plan", include_in_schema=False)
async def begin(request: Asking) -> Page:
    """Have the plan made that the form asks for."""
    return await anyio.to_thread.run_sync(_begin, request, await _fields(request))


@post("/plan/schedules/{schedule_id:str}", include_in_schema=False, sync_to_thread=True)
def begin_for_schedule(request: Asking, schedule_id: FromPath[str]) -> Page:
    """Have the plan made that a schedule would carry out if it fired now."""
    site = site_of(request)
    job = site.plans.of_schedule(site.open_engine().schedules.get(schedule_id), actor=caller_of(request).actor)
    return send_to(request, f"/plan/{job.plan_id}")


@get("/plan/{plan_id:str}", include_in_schema=False, sync_to_thread=True)
def show(request: Asking, plan_id: FromPath[str]) -> Response[Any]:
    """Show a plan, or how far it is; with ``.json`` behind its id, give its file."""
    plans = site_of(request).plans
    if plan_id.endswith(_JSON):
        bare = plan_id.removesuffix(_JSON)
        return File(plans.file(bare), filename=f"plan-{bare}.json", media_type="application/json")
    job = plans.get(plan_id)
    if job.state is PlanState.DONE:
        return _plan_page(request, job)
    return _making_page(request, job)


@get("/plan/{plan_id:str}/run", include_in_schema=False, sync_to_thread=True)
def confirm(request: Asking, plan_id: FromPath[str]) -> Page:
    """Say what carrying the plan out will do, and ask for its limits."""
    job = site_of(request).plans.get(plan_id)
    return _run_page(request, job, form_of(job.selection))


@post("/plan/{plan_id:str}/run", include_in_schema=False)
async def run(request: Asking, plan_id: FromPath[str]) -> Page:
    """Carry a plan out; what the program says against it is shown with the form."""
    return await anyio.to_thread.run_sync(_run, request, plan_id, await _fields(request))


@post("/plan/{plan_id:str}/cancel", include_in_schema=False, sync_to_thread=True)
def cancel(request: Asking, plan_id: FromPath[str]) -> Page:
    job = site_of(request).plans.cancel(plan_id, actor=caller_of(request).actor)
    note = "The plan was made before it could be cancelled." if job.state is PlanState.DONE else ""
    return send_to(request, f"/plan/{job.plan_id}", note=note)


@post("/plan/{plan_id:str}/remove", include_in_schema=False, sync_to_thread=True)
def remove(request: Asking, plan_id: FromPath[str]) -> Page:
    site_of(request).plans.remove(plan_id)
    return send_to(request, "/plan", note="The plan is removed; nothing on the disks has changed.")


def _begin(request: Asking, fields: dict[str, list[str]]) -> Page:
    form, selection = read_plan(fields)
    if selection is None:
        return _form_page(request, form, status=400)
    try:
        job = site_of(request).plans.begin(selection, actor=caller_of(request).actor)
    except NotNowError as error:
        return _form_page(request, form, status=409, problem=str(error))
    return send_to(request, f"/plan/{job.plan_id}")


def _run(request: Asking, plan_id: str, fields: dict[str, list[str]]) -> Page:
    plans = site_of(request).plans
    job = plans.get(plan_id)
    form, limits = read_run(fields)
    if limits is None:
        return _run_page(request, job, form, status=400)
    try:
        execution = plans.run(plan_id, limits)
    except RebalancerError as error:
        return _run_page(request, job, form, status=409, problem=str(error))
    if execution is None:
        return send_to(request, "/executions", note="The run is being started; it appears here when it has begun.")
    return send_to(request, f"/executions/{execution.execution_id}", note="The plan is being carried out.")


def _form_page(request: Asking, form: Form, *, status: int = 200, problem: str = "") -> Page:
    site = site_of(request)
    return page(
        request,
        "plan.html",
        status=status,
        form=form,
        problem=problem,
        strategies=STRATEGIES,
        labels=LABELS,
        rare_is_open=form.has_any(sorted(RARE)),
        disks=_choices(site, form),
        jobs=site.plans.kept(),
    )


def _making_page(request: Asking, job: PlanJob) -> Page:
    """Show a plan that is not there: how far it is, or why there is none."""
    site = site_of(request)
    is_running = job.state is PlanState.RUNNING
    disks = replace(site.open_engine(), named_disks=job.disks).disks() if is_running else ()
    reading = site.plans.reading(job.plan_id, disks)
    answer = page(request, "plan_making.html", job=job, reading=reading, **_asked(job))
    if is_running:
        answer.headers["refresh"] = _LOOKS_AGAIN
    return answer


def _plan_page(request: Asking, job: PlanJob) -> Page:
    site = site_of(request)
    view = view_of(site.plans.plan(job.plan_id))
    age = site.clock() - job.requested_at
    return page(
        request,
        "plan_shown.html",
        job=job,
        view=view,
        is_old=age > _OLD,
        **_asked(job),
    )


def _run_page(request: Asking, job: PlanJob, form: Form, *, status: int = 200, problem: str = "") -> Page:
    site = site_of(request)
    return page(
        request,
        "plan_run.html",
        status=status,
        job=job,
        view=view_of(site.plans.plan(job.plan_id)),
        form=form,
        labels=LABELS,
        problem=problem,
        is_old=site.clock() - job.requested_at > _OLD,
    )


def _asked(job: PlanJob) -> dict[str, Any]:
    """Return what a page needs to say what a plan was asked to do."""
    return {
        "made_by": form_of(job.selection),
        "command": command_line(job.selection, disks=job.disks),
        "labels": {name: label for name, label in LABELS.items() if name not in OF_A_RUN},
    }


def _choices(site: Site, form: Form) -> Sequence[Choice]:
    """Return every disk, and those that the form names though they are not there any more."""
    disks: Iterable[Disk] = site.open_engine().disks()
    found = [Choice(disk.name, disk.used_percent, disk.reason) for disk in disks]
    known = {one.name for one in found} | {disk.path for disk in disks}
    ticked = dict.fromkeys((*form.typed.get("from_disks", ()), *form.typed.get("to_disks", ())))
    return [*found, *(Choice(name, is_here=False) for name in ticked if name not in known)]


async def _fields(request: Asking) -> dict[str, list[str]]:
    try:
        return fields_of(await request.body())
    except ValueError as error:
        raise UsageError("that form cannot be read") from error


HANDLERS = [choose, begin, begin_for_schedule, show, confirm, run, cancel, remove]
