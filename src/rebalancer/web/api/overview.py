"""``/api/v1/overview``: everything at one moment."""

from litestar import get

from rebalancer.web.overview import Overview
from rebalancer.web.site import Asking, site_of


@get("/overview", sync_to_thread=True)
def overview(request: Asking) -> Overview:
    """Return how everything stands now."""
    return site_of(request).overview.look()


HANDLERS = [overview]
