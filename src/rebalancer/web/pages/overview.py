"""The first page: are the disks even, what runs, what comes, what was, and the red button."""

from typing import Any

from litestar import get

from rebalancer.web.site import Asking, Page, page, site_of


@get("/", include_in_schema=False, sync_to_thread=True)
def overview(request: Asking) -> Page:
    values: dict[str, Any] = {"overview": site_of(request).overview.look()}
    return page(request, "overview.html", **values)


HANDLERS = [overview]
