"""Stopping: one execution, or everything at once, each behind a page that says what will happen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litestar import get, post
from litestar.params import FromPath, RawBody

from rebalancer.errors import RebalancerError
from rebalancer.executions.active import Active
from rebalancer.executions.background import Background
from rebalancer.executions.control import Control
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.executions.story import holding_of
from rebalancer.executions.verdict import Ending, Verdict
from rebalancer.quantities import format_duration
from rebalancer.web.asked import fields_of
from rebalancer.web.site import Asking, Page, caller_of, page, send_to, site_of

LONGEST_REASON = 500  # characters
_LISTING_LIMIT = 1.0  # seconds for the records to say what runs
_KINDS = {Ending.STOPPED: "ok", Ending.WAS_NOT_RUNNING: "quiet", Ending.KILL_PENDING: "warn", Ending.REFUSED: "bad"}


@get("/executions/{execution_id:str}/cancel", include_in_schema=False, sync_to_thread=True)
def ask_to_cancel(request: Asking, execution_id: FromPath[str]) -> Page:
    """Say what cancelling will do, before it is done."""
    execution = site_of(request).monitor.get_execution(execution_id)
    ended = _has_ended(execution) if execution.status.is_final else ""
    return page(request, "cancel.html", execution=execution, holding=holding_of(execution), ended=ended)


@post("/executions/{execution_id:str}/cancel", include_in_schema=False, sync_to_thread=True)
def cancel(request: Asking, execution_id: FromPath[str], body: RawBody) -> Page:
    """Stop one execution and say on its page what came of it; one that has ended is left as it is."""
    execution = site_of(request).monitor.get_execution(execution_id)
    if execution.status.is_final:
        return send_to(request, f"/executions/{execution_id}", note=_has_ended(execution))
    verdict = _control(request).cancel(execution_id, reason=_reason_in(_fields_of(body)))
    return send_to(request, f"/executions/{execution_id}", note=_in_words(verdict))


@post("/executions/{execution_id:str}/pause", include_in_schema=False, sync_to_thread=True)
def pause(request: Asking, execution_id: FromPath[str], body: RawBody) -> Page:
    """Let an execution wait until it may go on."""
    _control(request).pause(execution_id, reason=_reason_in(_fields_of(body)))
    return send_to(request, f"/executions/{execution_id}", note="It pauses after the chunk it is in, within seconds.")


@post("/executions/{execution_id:str}/continue", include_in_schema=False, sync_to_thread=True)
def go_on(request: Asking, execution_id: FromPath[str]) -> Page:
    """Let an execution that was paused by hand go on."""
    was_paused = _control(request).go_on(execution_id)
    note = "It goes on within seconds." if was_paused else "It was not paused by hand."
    return send_to(request, f"/executions/{execution_id}", note=note)


@get("/emergency-stop", include_in_schema=False, sync_to_thread=True)
def ask_to_stop(request: Asking) -> Page:
    """Say what an emergency stop would stop right now."""
    return page(request, "emergency.html", **_standing(request))


@post("/emergency-stop", include_in_schema=False, sync_to_thread=True)
def stop(request: Asking, body: RawBody) -> Page:
    """Stop everything; the page that answers has a verdict for each execution."""
    fields, control = _fields_of(body), _control(request)
    verdicts, problem = list[Verdict](), ""
    try:
        verdicts = control.emergency_stop(hold_reason=_reason_in(fields) if "hold" in fields else None)
    except RebalancerError as error:  # everything was stopped; that nothing new starts could not be written down
        problem = str(error)
    return page(
        request, "emergency_stopped.html", verdicts=verdicts, kinds=_KINDS, problem=problem, **_standing(request)
    )


@post("/emergency-stop/release", include_in_schema=False, sync_to_thread=True)
def release(request: Asking) -> Page:
    """Let executions start again."""
    was_held = _control(request).release()
    return send_to(request, "/", note="Executions may start again." if was_held else "Nothing was held.")


# -- what these have in common ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AtWork:
    """What a stop would meet: a record, or of one that cannot be read the lock that its supervisor holds."""

    execution_id: str
    schedule_id: str
    standing: str


def _control(request: Asking) -> Control:
    return site_of(request).control(caller_of(request))


def _standing(request: Asking) -> dict[str, Any]:
    """Return what runs and what holds, or why that cannot be told; a stop depends on none of it."""
    site, unknown = site_of(request), ""
    running: list[ScheduleExecution] = []
    try:
        listed = Background(site.monitor.get_running_executions).result_within(_LISTING_LIMIT)
        running, unknown = listed or [], "" if listed is not None else "the records do not answer"
    except RebalancerError as error:
        unknown = str(error)
    found = [AtWork(one.execution_id, one.schedule_id, holding_of(one) or one.status.value) for one in running]
    known = {one.execution_id for one in running}
    locked = sorted(Active(site.folders, site.clock).supervisors().keys() - known)
    found += [AtWork(name, "", "at work; its record cannot be read") for name in locked]
    return {"running": found, "unknown": unknown, "is_held": site.folders.hold.exists()}


def _fields_of(body: bytes) -> dict[str, str]:
    """Return the fields of a form, each once; none of one that cannot be read: it must not keep a stop from being one."""
    try:
        return {name: values[0] for name, values in fields_of(body).items()}
    except ValueError:
        return {}


def _reason_in(fields: Mapping[str, str]) -> str:
    """Return why, in one line, cut where it is longer than a record should carry: a stop is never refused for it."""
    return " ".join(fields.get("reason", "").split())[:LONGEST_REASON]


def _has_ended(execution: ScheduleExecution) -> str:
    return f"It has ended already ({execution.status.value}); nothing was done."


def _in_words(verdict: Verdict) -> str:
    """Return what a stop came to, as a sentence."""
    words = f"Cancel: {verdict.verdict.value}, after {format_duration(verdict.seconds)}"
    return f"{words}: {verdict.detail}" if verdict.detail else f"{words}."


HANDLERS = [ask_to_cancel, cancel, pause, go_on, ask_to_stop, stop, release]
