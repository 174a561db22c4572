"""The first page: are the disks even, what runs, what comes, what was, and the red button."""

from litestar import get

from rebalancer.web.site import Asking, Page, page, site_of


@get("/", include_in_schema=False, sync_to_thread=True)
def overview(request: Asking) -> Page:
    """Show everything at one moment; the pieces that change follow through the stream."""
    return page(request, "overview.html", overview=site_of(request).overview.look(), with_figures=True)


HANDLERS = [overview]
