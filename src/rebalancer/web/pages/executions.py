"""What ran: the history with its filters, and one page for each execution."""

from litestar import get
from litestar.params import FromPath
from litestar.response import Stream

from rebalancer.errors import DamagedRecordError
from rebalancer.executions.execution import ExecutionStatus
from rebalancer.web.detail import account_of
from rebalancer.web.history import Typed, listing, parts_of_table
from rebalancer.web.site import Asking, Page, page, site_of


@get("/executions", include_in_schema=False, sync_to_thread=True)
def history(request: Asking) -> Page:
    """List what runs and what ran; a filter that cannot be is shown again with what is wrong."""
    site = site_of(request)
    found = listing(site.monitor, Typed.of(request.query_params), timezone=site.open_engine().timezone)
    return page(
        request, "executions.html", status=400 if found.problem else 200, listing=found, statuses=list(ExecutionStatus)
    )


@get("/executions.csv", include_in_schema=False, sync_to_thread=True)
def table(request: Asking) -> Stream:
    """Send the same as comma-separated values, 10,000 executions at most."""
    site = site_of(request)
    wanted = Typed.of(request.query_params).filter(site.open_engine().timezone)
    return Stream(
        parts_of_table(site.monitor, wanted),
        media_type="text/csv",
        headers={"content-disposition": 'attachment; filename="executions.csv"'},
    )


@get("/executions/{execution_id:str}", include_in_schema=False, sync_to_thread=True)
def execution(request: Asking, execution_id: FromPath[str]) -> Page:
    """Tell everything of one execution; while it runs, its figures follow by themselves."""
    site = site_of(request)
    try:
        found = site.monitor.get_execution(execution_id)
    except DamagedRecordError as error:
        return page(request, "execution_damaged.html", status=500, execution_id=execution_id, problem=str(error))
    account = account_of(site.monitor, found, timezone=site.open_engine().timezone)
    running = () if found.status.is_final else site.overview.look().running
    run = next((one for one in running if one.execution_id == execution_id), None)
    return page(request, "execution.html", account=account, execution=found, run=run)


HANDLERS = [history, table, execution]
