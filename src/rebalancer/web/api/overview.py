"""``/api/v1/overview``, ``disks`` and ``templates``: how everything stands, and what schedules can begin from."""

from typing import Any

from litestar import get
from msgspec import Struct

from rebalancer.array.disk import DiskDocument, document_of
from rebalancer.errors import NotNowError, RefusedError
from rebalancer.schedules.templates import TEMPLATES
from rebalancer.web.api.answers import refusals
from rebalancer.web.overview import Overview
from rebalancer.web.site import Asking, site_of

TAGS = ["overview"]


class TemplateDocument(Struct, frozen=True, kw_only=True):
    """What a schedule can begin from; ``values`` are fields as POST /api/v1/schedules takes them."""

    name: str
    description: str
    values: dict[str, Any]


@get("/overview", tags=TAGS, responses=refusals(), summary="Everything at one moment", sync_to_thread=True)
def overview(request: Asking) -> Overview:
    """Disks, what runs, what comes, what was, and what holds everything; speeds are measured between two questions."""
    return site_of(request).overview.look()


@get("/disks", tags=TAGS, responses=refusals(409), summary="How full every disk is", sync_to_thread=True)
def disks(request: Asking) -> list[DiskDocument]:
    """Every disk of the array, and why one cannot take part; 409 while the disks do not answer."""
    site = site_of(request)
    try:
        found = site.overview.disks(site.open_engine())
    except RefusedError as error:
        raise NotNowError(str(error)) from error
    return [document_of(disk) for disk in found]


@get(
    "/templates",
    tags=["schedules"],
    responses=refusals(),
    summary="What schedules can begin from",
    sync_to_thread=False,
)
def templates() -> list[TemplateDocument]:
    """The templates of POST /api/v1/schedules."""
    return [TemplateDocument(name=one.name, description=one.description, values=dict(one.values)) for one in TEMPLATES]


HANDLERS = [overview, disks, templates]
