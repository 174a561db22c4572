"""``/api/v1/schedules``: looking at schedules, making them, changing them."""

from typing import Annotated

from litestar import Response, delete, get, patch, post
from litestar.params import Body, Parameter
from msgspec import Struct, structs

from rebalancer.engine import Engine
from rebalancer.errors import UsageError
from rebalancer.executions.health import ScheduleHealth
from rebalancer.executions.verdict import Verdict
from rebalancer.schedules import validation
from rebalancer.schedules.document import ScheduleDocument, document
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.templates import template
from rebalancer.schedules.upcoming import upcoming
from rebalancer.web.api.answers import ScheduleId, refusals
from rebalancer.web.api.wanted import NewSchedule, WantedSchedule
from rebalancer.web.overview import Firing
from rebalancer.web.site import Asking, Site, site_of

MOST_FIRINGS = 1000
TAGS = ["schedules"]


class SavedSchedule(ScheduleDocument, frozen=True, kw_only=True, omit_defaults=False):
    """A schedule that was just changed, with what speaks against it."""

    warnings: tuple[str, ...]  # sentences: what cron could not be told, or does differently from what the schedule says


class ControlledSchedule(SavedSchedule, frozen=True, kw_only=True, omit_defaults=False):
    """A schedule that was just suspended or resumed, with what became of its executions."""

    executions: tuple[Verdict, ...]


class Deleted(Struct, frozen=True, kw_only=True):
    schedule_id: str
    deleted: bool
    warnings: tuple[str, ...]


@get("/schedules", tags=TAGS, responses=refusals(), summary="All schedules", sync_to_thread=True)
def list_schedules(request: Asking) -> list[ScheduleDocument]:
    """Every schedule that can be read, by id, with its state and its next three slots."""
    site = site_of(request)
    engine = site.open_engine()
    return [document_of(site, engine, schedule) for schedule in engine.schedules.list()]


@post("/schedules", tags=TAGS, responses=refusals(409, changes=True), summary="Make a schedule", sync_to_thread=True)
def create(request: Asking, data: Annotated[NewSchedule, Body()]) -> Response[SavedSchedule]:
    """Save a new schedule and tell cron; 409 when its id is taken."""
    site = site_of(request)
    engine = site.open_engine()
    schedule = engine.schedules.create(_new(engine, data), now=site.clock())
    saved = conclude(site, engine, schedule, "the schedule is saved")
    return Response(saved, headers={"location": f"/api/v1/schedules/{schedule.schedule_id}"})


@get("/schedules/health", tags=TAGS, responses=refusals(), summary="How schedules fare", sync_to_thread=True)
def health(request: Asking) -> list[ScheduleHealth]:
    """Last success, next run, missed runs and what holds it, of every schedule."""
    site = site_of(request)
    engine = site.open_engine()
    return engine.health(engine.schedules.list(), now=site.clock())


@get("/schedules/{schedule_id:str}", tags=TAGS, responses=refusals(404), summary="A schedule", sync_to_thread=True)
def show(request: Asking, schedule_id: ScheduleId) -> ScheduleDocument:
    """Every field of one schedule, its state and its next three slots."""
    site = site_of(request)
    engine = site.open_engine()
    return document_of(site, engine, engine.schedules.get(schedule_id))


@patch(
    "/schedules/{schedule_id:str}",
    tags=TAGS,
    responses=refusals(404, 409, changes=True),
    summary="Change a schedule",
    sync_to_thread=True,
)
def change(request: Asking, schedule_id: ScheduleId, data: Annotated[WantedSchedule, Body()]) -> SavedSchedule:
    """Change the fields that are named, those of selection and guards one by one; cron is told."""
    site = site_of(request)
    engine = site.open_engine()
    schedule = engine.schedules.change(schedule_id, data.applied_to, now=site.clock())
    return conclude(site, engine, schedule, "the schedule is saved")


@delete(
    "/schedules/{schedule_id:str}",
    status_code=200,
    tags=TAGS,
    responses=refusals(404, 409, changes=True),
    summary="Remove a schedule",
    sync_to_thread=True,
)
def remove(request: Asking, schedule_id: ScheduleId) -> Deleted:
    """Remove a schedule; what runs of it goes on, and the records of its executions stay."""
    engine = site_of(request).open_engine()
    engine.schedules.delete(schedule_id)
    return Deleted(schedule_id=schedule_id, deleted=True, warnings=tuple(engine.tell_cron("the schedule is removed")))


@get(
    "/schedules/{schedule_id:str}/next",
    tags=TAGS,
    responses=refusals(404),
    summary="When a schedule fires next",
    sync_to_thread=True,
)
def next_firings(
    request: Asking,
    schedule_id: ScheduleId,
    count: Annotated[int, Parameter(ge=1, le=MOST_FIRINGS, description="How many firings.")] = 5,
) -> list[Firing]:
    """The next firings as the schedule stands now: none while it is disabled or suspended for good."""
    site = site_of(request)
    engine = site.open_engine()
    schedule = engine.schedules.get(schedule_id)
    slots = upcoming(schedule, now=site.clock(), count=count, machine_timezone=engine.timezone)
    return [Firing(schedule_id=schedule_id, name=schedule.name, at=slot.at, local=slot.local) for slot in slots]


def document_of(site: Site, engine: Engine, schedule: Schedule) -> ScheduleDocument:
    return document(schedule, now=site.clock(), machine_timezone=engine.timezone)


def conclude(site: Site, engine: Engine, schedule: Schedule, done: str) -> SavedSchedule:
    """Tell cron; returns the schedule as it stands now, with what speaks against it."""
    warnings = [*engine.tell_cron(done), *engine.objections(schedule, now=site.clock())]
    return SavedSchedule(**structs.asdict(document_of(site, engine, schedule)), warnings=tuple(warnings))


def _new(engine: Engine, wanted: NewSchedule) -> Schedule:
    """Return the schedule that is asked for, not checked yet; raises UsageError when nothing says when it runs."""
    values = template(wanted.template).values if wanted.template else {}
    schedule = wanted.applied_to(Schedule(**{"schedule_id": "", "cron": "", **values}))
    if not schedule.cron:
        raise UsageError("cron: say when it runs, such as 15 4 * * *, or name a template")
    return structs.replace(schedule, schedule_id=wanted.schedule_id or _free_id(engine, schedule, wanted.template))


def _free_id(engine: Engine, schedule: Schedule, template_name: str) -> str:
    taken = {one.schedule_id for one in engine.schedules.list()}
    try:
        return validation.free_id(schedule.name or template_name or "schedule", taken)
    except UsageError as error:
        raise UsageError("schedule_id: no id can be made of the name; give one") from error


HANDLERS = [list_schedules, create, health, show, change, remove, next_firings]
