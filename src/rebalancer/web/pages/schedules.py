"""The pages of schedules: how they fare, when they fire, what they say; made, changed, run, suspended and removed."""

import platform
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import anyio
from litestar import get, post
from litestar.params import FromPath
from msgspec import structs

from rebalancer.engine import Engine
from rebalancer.errors import DamagedRecordError, NotFoundError, NotNowError, RebalancerError, RefusedError, UsageError
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.health import ScheduleHealth
from rebalancer.executions.monitor import ScheduleMonitor
from rebalancer.schedules import validation
from rebalancer.schedules.hours import DAYS
from rebalancer.schedules.moments import distance, parse_moment
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.templates import TEMPLATES, template
from rebalancer.schedules.upcoming import upcoming
from rebalancer.schedules.zones import zone
from rebalancer.web import calendar, schedule_form, schedule_words
from rebalancer.web.asked import fields_of
from rebalancer.web.schedule_fields import GROUPS, every_field
from rebalancer.web.schedule_form import NEW, Form, Typed, fill
from rebalancer.web.schedule_words import Clock
from rebalancer.web.site import Asking, Page, caller_of, page, send_to, site_of

_FIRINGS = 10
_LAST = 10  # executions
_MOST_IN_A_MONTH = 2000  # executions
_LABELS = {field.name: field.label for field in every_field()} | {
    "schedule_id": "Id", "when": "When", "at": "Time of day", "weekdays": "Days of the week",
    "dates": "Days of the month", "cron": "Cron expression",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One schedule of the list, in words."""

    schedule: Schedule
    health: ScheduleHealth
    badge: str
    when: str
    last_success: str
    next_run: str
    next_distance: str
    remarks: list[str]


# -- looking ----------------------------------------------------------------------------------------------------------


@get("/schedules", include_in_schema=False, sync_to_thread=True)
def listed(request: Asking) -> Page:
    """Show all schedules and how they fare."""
    engine, clock = _engine_and_clock(request)
    schedules = engine.schedules.list()
    healths = engine.health(schedules, now=clock.now)
    rows = [_row(schedule, health, clock) for schedule, health in zip(schedules, healths, strict=True)]
    damaged = engine.schedules.damaged()
    return page(request, "schedules.html", rows=rows, damaged=damaged, templates=TEMPLATES, timezone=clock.timezone)


def _row(schedule: Schedule, health: ScheduleHealth, clock: Clock) -> Row:
    coming, succeeded = health.next_run, health.last_success_time
    return Row(
        schedule=schedule,
        health=health,
        badge=schedule_words.condition_badge(health.condition),
        when=schedule_words.when(schedule),
        last_success="" if succeeded is None else clock.local(succeeded, schedule),
        next_run="" if coming is None else clock.local(coming.at, schedule),
        next_distance="" if coming is None else distance(coming.at, now=clock.now),
        remarks=schedule_words.remarks(health, schedule, clock),
    )


@get("/schedules/{schedule_id:str}", include_in_schema=False, sync_to_thread=True)
def shown(request: Asking, schedule_id: FromPath[str]) -> Page:
    """Show one schedule: health, firings, a month, what it says, and what ran."""
    return _shown(request, schedule_id)


def _shown(request: Asking, schedule_id: str, *, problem: str = "", status: int = 200) -> Page:
    engine, clock = _engine_and_clock(request)
    schedule = engine.schedules.get(schedule_id)
    (health,) = engine.health([schedule], now=clock.now)
    slots = upcoming(schedule, now=clock.now, count=_FIRINGS, machine_timezone=clock.timezone)
    monitor = site_of(request).monitor
    return page(
        request,
        "schedule.html",
        status=status,
        problem=problem,
        schedule=schedule,
        row=_row(schedule, health, clock),
        timezone=clock.zone_of(schedule),
        coming=schedule_words.coming(slots, schedule, clock),
        jitter=schedule_words.jitter_in_words(schedule, machine=platform.node()),
        running=_running(monitor, schedule_id),
        last=[_told(one, schedule, clock) for one in monitor.get_execution_history(schedule_id, _LAST)],
        options=schedule_words.options(schedule),
        command=schedule_words.command_line(schedule),
        **_month(request, schedule, monitor, clock),
    )


def _month(request: Asking, schedule: Schedule, monitor: ScheduleMonitor, clock: Clock) -> dict[str, Any]:
    """Return what the calendar shows: the month that was asked for."""
    here = zone(clock.zone_of(schedule))
    first = calendar.month_of(
        request.query_params.get("month", ""), today=datetime.fromtimestamp(clock.now, here).date()
    )
    begin, end = calendar.span_of(first, here)
    found: list[ScheduleExecution] = []
    if begin <= clock.now:
        found = monitor.get_execution_history(schedule.schedule_id, _MOST_IN_A_MONTH, since=begin)
    ran = [one for one in found if one.start_time < end]
    return {
        "month": calendar.month(schedule, ran, first=first, now=clock.now, machine_timezone=clock.timezone),
        "is_cut_short": len(found) == _MOST_IN_A_MONTH,
        "legend": schedule_words.LEGEND,
        "status_badge": schedule_words.status_badge,
        "status_sign": schedule_words.status_sign,
    }


def _told(one: ScheduleExecution, schedule: Schedule, clock: Clock) -> dict[str, Any]:
    return {
        "execution": one,
        "badge": schedule_words.status_badge(one.status),
        "began": clock.local(one.start_time, schedule),
        "took": schedule_words.took(one),
    }


def _running(monitor: ScheduleMonitor, schedule_id: str) -> list[ScheduleExecution]:
    return [one for one in monitor.get_running_executions() if one.schedule_id == schedule_id]


# -- making and changing ------------------------------------------------------------------------------------------------


@get("/schedules/new", include_in_schema=False, sync_to_thread=True)
def new(request: Asking) -> Page:
    """Show an empty form, or one begun by a template (``?template=``), a schedule (``?from=``) or a plan (``?plan=``)."""
    engine, _clock = _engine_and_clock(request)
    start = _beginning(
        engine, begun_by=request.query_params.get("template", ""), source=request.query_params.get("from", "")
    )
    if plan_id := request.query_params.get("plan", ""):
        asked = site_of(request).plans.get(plan_id)
        start = structs.replace(start, selection=asked.selection, disks=asked.disks)
    return _form(request, engine, Form(fill(start)), before=start)


def _beginning(engine: Engine, *, begun_by: str, source: str) -> Schedule:
    if begun_by:
        return structs.replace(NEW, **template(begun_by).values)
    if not source:
        return NEW
    copied = engine.schedules.get(source)
    name = f"{copied.name or copied.schedule_id} (copy)"[: validation.LONGEST_TEXT]
    return structs.replace(copied, name=name, suspension=None)


@post("/schedules/new", include_in_schema=False)
async def create(request: Asking) -> Page:
    """Make the schedule of a form."""
    typed = await _typed(request)
    return await anyio.to_thread.run_sync(partial(_create, request, typed))


def _create(request: Asking, typed: Typed) -> Page:
    engine, clock = _engine_and_clock(request)
    form = Form(typed)
    before = _copied(engine, form.text("from"))
    taken = {schedule.schedule_id for schedule in engine.schedules.list()}
    reading = schedule_form.read_new(typed, taken=taken, before=before)
    if reading.wrong:
        return _form(request, engine, replace(form, wrong=reading.wrong), before=before, status=400)
    try:
        schedule = engine.schedules.create(reading.schedule, now=clock.now)
    except (NotNowError, RefusedError) as error:  # also an id taken meanwhile, or by a file that cannot be believed
        return _refused(request, engine, form, error, before=before)
    return _concluded(request, engine, schedule, "is created")


def _copied(engine: Engine, source: str) -> Schedule:
    """Return the schedule that a form was copied from: it holds what no line of a form can."""
    try:
        return structs.replace(engine.schedules.get(source), suspension=None) if source else NEW
    except (NotFoundError, DamagedRecordError):
        return NEW


@get("/schedules/{schedule_id:str}/edit", include_in_schema=False, sync_to_thread=True)
def edit(request: Asking, schedule_id: FromPath[str]) -> Page:
    """Show the form with what the schedule says now."""
    engine, _clock = _engine_and_clock(request)
    schedule = engine.schedules.get(schedule_id)
    return _form(request, engine, Form(fill(schedule)), before=schedule)


@post("/schedules/{schedule_id:str}/edit", include_in_schema=False)
async def change(request: Asking, schedule_id: FromPath[str]) -> Page:
    """Save the form, unless somebody else changed the schedule since it was shown."""
    typed = await _typed(request)
    return await anyio.to_thread.run_sync(partial(_change, request, schedule_id, typed))


def _change(request: Asking, schedule_id: str, typed: Typed) -> Page:
    engine, clock = _engine_and_clock(request)
    form, seen = Form(typed), _version(typed)
    stored = engine.schedules.get(schedule_id)
    reading = schedule_form.read(typed, before=stored)
    if reading.wrong:
        before = structs.replace(stored, updated_at=seen)
        return _form(request, engine, replace(form, wrong=reading.wrong), before=before, status=400)
    try:
        schedule = engine.schedules.edit(structs.replace(reading.schedule, updated_at=seen), now=clock.now)
    except (NotNowError, RefusedError) as error:
        if (stored := engine.schedules.get(schedule_id)).updated_at != seen:
            return _overtaken(request, engine, form, stored)
        return _refused(request, engine, form, error, before=stored)
    return _concluded(request, engine, schedule, "is changed")


def _overtaken(request: Asking, engine: Engine, form: Form, stored: Schedule) -> Page:
    """Show the form again with what was typed; saving it once more puts it in the place of what is stored now."""
    fields = ", ".join(schedule_form.differing(form.typed, stored))
    sentence = (
        "somebody else changed this schedule while you were editing it. Nothing is saved yet, and what you typed "
        f"is kept. It differs from what is stored now in: {fields or 'nothing'}. "
        "Save again to put yours in its place."
    )
    return _form(request, engine, replace(form, wrong={schedule_form.ALL: sentence}), before=stored, status=409)


def _refused(request: Asking, engine: Engine, form: Form, error: RebalancerError, *, before: Schedule) -> Page:
    """Show the form again with what was typed: it may be saved another time, or under another id."""
    wrong = {schedule_form.ALL: str(error)}
    status = 409 if isinstance(error, NotNowError) else 403
    return _form(request, engine, replace(form, wrong=wrong), before=before, status=status)


def _form(request: Asking, engine: Engine, form: Form, *, before: Schedule, status: int = 200) -> Page:
    """Return the page with a form; ``before`` is the schedule that it changes or was copied from."""
    is_new = request.url.path == "/schedules/new"
    disks, problem = _disks(engine, before)
    return page(
        request,
        "schedule_form.html",
        status=status,
        form=replace(form, disks=disks),
        problem=problem,
        common={group.name: group for group in GROUPS if group.is_common},
        groups=[group for group in GROUPS if not group.is_common],
        labels=_LABELS,
        weekdays=DAYS,
        is_new=is_new,
        source=before.schedule_id if is_new and before.created_at else "",
        schedule=before,
        updated_at=repr(before.updated_at),
        templates=TEMPLATES,
        chosen=request.query_params.get("template", ""),
    )


def _disks(engine: Engine, schedule: Schedule) -> tuple[Any, str]:
    """Return the disks that can be chosen, those that the schedule names first; and why there are none to see."""
    try:
        named = replace(engine, named_disks=schedule.disks).disks() if schedule.disks else ()
        known = {disk.path for disk in named}
        return (*named, *(disk for disk in engine.disks() if disk.path not in known)), ""
    except RebalancerError as error:
        return (), f"the disks cannot be listed: {error}"


def _version(typed: Typed) -> float:
    """Return which state of the schedule the form was filled with; one that never was when that is unknown."""
    try:
        return float(next(iter(typed.get("updated_at", ())), ""))
    except ValueError:
        return -1.0


def _concluded(request: Asking, engine: Engine, schedule: Schedule, done: str) -> Page:
    """Tell cron, say what speaks against the schedule, and go to its page."""
    notes = [
        f"{schedule.name or schedule.schedule_id} {done}",
        *engine.tell_cron("the schedule is saved"),
        *engine.objections(schedule, now=site_of(request).clock()),
    ]
    return _sent(request, schedule.schedule_id, *notes)


# -- its turn and its rest ------------------------------------------------------------------------------------------------


@post("/schedules/{schedule_id:str}/run", include_in_schema=False, sync_to_thread=True)
def run(request: Asking, schedule_id: FromPath[str]) -> Page:
    """Run the schedule now, and go to its execution."""
    site = site_of(request)
    site.open_engine().schedules.get(schedule_id)
    try:
        execution = site.starts.schedule(schedule_id)
    except NotNowError as error:
        return _shown(request, schedule_id, problem=str(error), status=409)
    if execution is None:
        return _sent(request, schedule_id, "It ended at once; its execution below says how")
    return send_to(request, f"/executions/{execution.execution_id}", note=f"{schedule_id} was started")


@get("/schedules/{schedule_id:str}/suspend", include_in_schema=False, sync_to_thread=True)
def ask_to_suspend(request: Asking, schedule_id: FromPath[str]) -> Page:
    """Say what suspending does, and ask for the reason."""
    return _ask_to_suspend(request, schedule_id, {})


def _ask_to_suspend(request: Asking, schedule_id: str, typed: Typed, *, problem: tuple[str, str] = ("", "")) -> Page:
    engine, clock = _engine_and_clock(request)
    schedule = engine.schedules.get(schedule_id)
    return page(
        request,
        "schedule_suspend.html",
        status=400 if problem[1] else 200,
        schedule=schedule,
        running=_running(site_of(request).monitor, schedule_id),
        form=Form(typed),
        wrong=problem[0],
        sentence=problem[1],
        timezone=clock.zone_of(schedule),
    )


@post("/schedules/{schedule_id:str}/suspend", include_in_schema=False)
async def suspend(request: Asking, schedule_id: FromPath[str]) -> Page:
    """Suspend the schedule and stop what runs of it; the verdicts are told."""
    typed = await _typed(request)
    return await anyio.to_thread.run_sync(partial(_suspend, request, schedule_id, typed))


def _suspend(request: Asking, schedule_id: str, typed: Typed) -> Page:
    engine, clock = _engine_and_clock(request)
    schedule, form = engine.schedules.get(schedule_id), Form(typed)
    reason, until = form.text("reason").strip(), form.text("until").strip()
    try:
        validation.check_text("reason", reason)
        end = parse_moment(until, field="until", now=clock.now, timezone=clock.zone_of(schedule)) if until else None
    except UsageError as error:
        field, _, sentence = str(error).partition(": ")
        return _ask_to_suspend(request, schedule_id, typed, problem=(field, sentence))
    verdicts = site_of(request).control(caller_of(request)).suspend(schedule_id, reason=reason, until=end)
    notes = [f"{schedule_id} is suspended", *map(schedule_words.verdict_in_words, verdicts)]
    return _sent(request, schedule_id, *notes, *engine.tell_cron("the schedule is suspended"))


@post("/schedules/{schedule_id:str}/resume", include_in_schema=False, sync_to_thread=True)
def resume(request: Asking, schedule_id: FromPath[str]) -> Page:
    """End a suspension; nothing happens when there is none."""
    engine = site_of(request).open_engine()
    engine.schedules.get(schedule_id)
    site_of(request).control(caller_of(request)).resume(schedule_id)
    return _sent(request, schedule_id, f"{schedule_id} is resumed", *engine.tell_cron("the schedule is resumed"))


@post("/schedules/{schedule_id:str}/enable", include_in_schema=False, sync_to_thread=True)
def enable(request: Asking, schedule_id: FromPath[str]) -> Page:
    """Let the schedule fire by itself."""
    engine, clock = _engine_and_clock(request)
    schedule = engine.schedules.set_enabled(schedule_id, enabled=True, now=clock.now)
    return _concluded(request, engine, schedule, "is enabled")


@post("/schedules/{schedule_id:str}/disable", include_in_schema=False, sync_to_thread=True)
def disable(request: Asking, schedule_id: FromPath[str]) -> Page:
    """Keep the schedule without firing it; what runs goes on."""
    engine, clock = _engine_and_clock(request)
    engine.schedules.set_enabled(schedule_id, enabled=False, now=clock.now)
    notes = engine.tell_cron("the schedule is saved")
    return _sent(request, schedule_id, f"{schedule_id} is disabled; it runs by hand only", *notes)


@get("/schedules/{schedule_id:str}/delete", include_in_schema=False, sync_to_thread=True)
def ask_to_delete(request: Asking, schedule_id: FromPath[str]) -> Page:
    """Say what removing the schedule does; one whose file cannot be believed can be removed too."""
    damage = ""
    try:
        site_of(request).open_engine().schedules.get(schedule_id)
    except DamagedRecordError as error:
        damage = str(error)
    running = _running(site_of(request).monitor, schedule_id)
    return page(request, "schedule_delete.html", schedule_id=schedule_id, damage=damage, running=running)


@post("/schedules/{schedule_id:str}/delete", include_in_schema=False, sync_to_thread=True)
def delete(request: Asking, schedule_id: FromPath[str]) -> Page:
    """Remove the schedule; what is recorded of its executions stays."""
    engine = site_of(request).open_engine()
    engine.schedules.delete(schedule_id)
    return _sent(request, "", f"{schedule_id} is removed", *engine.tell_cron("the schedule is removed"))


# -- for all of them --------------------------------------------------------------------------------------------------------


def _engine_and_clock(request: Asking) -> tuple[Engine, Clock]:
    site = site_of(request)
    engine = site.open_engine()
    return engine, Clock(site.clock(), engine.timezone)


async def _typed(request: Asking) -> Typed:
    try:
        return fields_of(await request.body())
    except ValueError as error:
        raise UsageError("the form cannot be read; load its page again") from error


def _sent(request: Asking, schedule_id: str, *notes: str) -> Page:
    """Go to the page of a schedule, or to all of them, which says these notes first."""
    first, *further = notes
    answer = send_to(request, f"/schedules/{schedule_id}".rstrip("/"), note=first)
    session = caller_of(request).session
    for note in further:
        if session is not None:
            session.tell(note)
    return answer


HANDLERS = [
    listed, shown, new, create, edit, change, run, ask_to_suspend, suspend, resume, enable, disable, ask_to_delete,
    delete,
]  # fmt: skip
