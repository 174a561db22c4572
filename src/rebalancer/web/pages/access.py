"""Logging in and out: what a person gets without a session, and how he gets one."""

from urllib.parse import quote

import anyio
from litestar import Response, get, post
from litestar.enums import MediaType

from rebalancer.errors import RebalancerError
from rebalancer.web.asked import COOKIE, fields_of
from rebalancer.web.sessions import LONGEST
from rebalancer.web.site import Asking, Page, caller_of, page, send_to, site_of

_AFTER_WRONG = 0.2  # seconds


@get("/login", include_in_schema=False, sync_to_thread=True)
def form(request: Asking) -> Page:
    """Ask for the password; who is logged in already goes on."""
    if caller_of(request).can_write:
        return send_to(request, "/")
    return page(request, "login.html", problem="", target=_target(request.query_params.get("next", "")))


@post("/login", include_in_schema=False)
async def log_in(request: Asking) -> Page:
    """Open a session for the right password; the sixth wrong one from one address has to wait."""
    site, peer = site_of(request), caller_of(request).peer
    try:
        fields = fields_of(await request.body())
    except ValueError:
        fields = {}
    target = _target(fields.get("next", [""])[0])
    if wait := site.attempts.begin(peer):
        answer = page(
            request, "login.html", status=429, problem=f"too many wrong passwords; wait {wait} seconds", target=target
        )
        answer.headers["retry-after"] = str(wait)
        return answer
    try:
        era = site.credentials.load().era
        is_right = await anyio.to_thread.run_sync(site.credentials.is_password, fields.get("password", [""])[0])
    except RebalancerError as error:
        site.attempts.undo(peer)
        return page(request, "login.html", status=500, problem=str(error), target=target)
    if is_right is None:
        site.attempts.undo(peer)
        return page(request, "login.html", status=503, problem="others are logging in; try again", target=target)
    if not is_right:
        await anyio.sleep(_AFTER_WRONG)
        return page(request, "login.html", status=401, problem="that is not the password", target=target)
    site.attempts.succeeded(peer)
    secret, _session = await anyio.to_thread.run_sync(site.sessions.open, era)
    answer = Response(content="", media_type=MediaType.TEXT, status_code=303, headers={"location": target})
    answer.set_cookie(
        COOKIE, secret, httponly=True, samesite="strict", secure=site.settings.https, path="/", max_age=int(LONGEST)
    )
    return answer


@post("/logout", include_in_schema=False, sync_to_thread=True)
def log_out(request: Asking) -> Page:
    caller = caller_of(request)
    if caller.session is not None:
        site_of(request).sessions.close(caller.session)
    answer = send_to(request, "/login")
    answer.delete_cookie(COOKIE, path="/")
    return answer


def _target(text: str) -> str:
    """Return where to go after the login: a page of ours, never another site."""
    is_ours = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return quote(text, safe="/?&=%+-_.~:,") if is_ours else "/"


HANDLERS = [form, log_in, log_out]
