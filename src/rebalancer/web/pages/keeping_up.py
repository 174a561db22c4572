"""The stream that keeps pages up to date, and the files that pages consist of."""

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream

from rebalancer.errors import NotFoundError
from rebalancer.web.site import Asking, caller_of, site_of

_FOREVER = "public, max-age=31536000, immutable"


@get("/live", include_in_schema=False)
async def live(request: Asking) -> Stream:
    """Send what changes as server-sent events."""
    caller, broadcaster = caller_of(request), site_of(request).live
    key = caller.session.digest if caller.session is not None else caller.peer
    events = broadcaster.events(broadcaster.join(key), until=lambda: not site_of(request).still_lets_in(caller))
    return Stream(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


@get("/static/{name:str}", include_in_schema=False, sync_to_thread=False)
def asset(request: Asking, name: FromPath[str]) -> Response[bytes]:
    found = site_of(request).assets.by_name.get(name)
    if found is None:
        raise NotFoundError("there is no such file")
    return Response(content=found.content, media_type=found.media_type, headers={"cache-control": _FOREVER})


HANDLERS = [live, asset]
