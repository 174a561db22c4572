"""How schedules fare: their figures, and charts of their last executions."""

from collections.abc import Mapping

from litestar import get
from litestar.params import FromPath

from rebalancer.errors import UsageError
from rebalancer.web.site import Asking, Page, page, site_of
from rebalancer.web.trends import trends_of

LASTS = (30, 100, 365)  # executions


@get("/statistics", include_in_schema=False, sync_to_thread=True)
def every_schedule(request: Asking) -> Page:
    site, last = site_of(request), _last(request.query_params)
    monitor = site.monitor
    figures = [monitor.get_schedule_statistics(schedule_id) for schedule_id in monitor.index.schedule_ids()]
    trends = trends_of(monitor.index.history(limit=last), timezone=site.open_engine().timezone)
    return page(request, "statistics.html", schedules=figures, trends=trends, last=last, lasts=LASTS)


@get("/statistics/{schedule_id:str}", include_in_schema=False, sync_to_thread=True)
def one_schedule(request: Asking, schedule_id: FromPath[str]) -> Page:
    site, last = site_of(request), _last(request.query_params)
    monitor = site.monitor
    monitor.demand_schedule(schedule_id)
    figures = monitor.get_schedule_statistics(schedule_id)
    found = monitor.index.history(schedule_id=schedule_id, limit=last)
    trends = trends_of(found, timezone=site.open_engine().timezone)
    return page(request, "statistics_schedule.html", figures=figures, trends=trends, last=last, lasts=LASTS)


def _last(query: Mapping[str, str]) -> int:
    """Return how many executions the charts show."""
    text = query.get("last", "") or str(LASTS[0])
    if text not in map(str, LASTS):
        raise UsageError(f"last: the charts show {', '.join(map(str, LASTS[:-1]))} or {LASTS[-1]} executions")
    return int(text)


HANDLERS = [every_schedule, one_schedule]
