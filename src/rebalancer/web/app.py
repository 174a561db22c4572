"""The application behind the gate: which address is answered by what, and how an error is told."""

import logging
from typing import Any

from litestar import Litestar, Response, Router
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from rebalancer import names
from rebalancer.errors import DamagedRecordError, NotFoundError, NotNowError, RebalancerError, RefusedError, UsageError
from rebalancer.version import VERSION
from rebalancer.web.api import overview as api_overview
from rebalancer.web.health import healthz
from rebalancer.web.pages import access, executions, keeping_up, overview, statistics
from rebalancer.web.rules import LARGEST_BODY, RefusalError
from rebalancer.web.site import Asking, Site, page

_log = logging.getLogger("rebalancer.web")
_STATUS: dict[type[RebalancerError], int] = {
    UsageError: 400,
    NotFoundError: 404,
    RefusedError: 403,
    NotNowError: 409,
    DamagedRecordError: 500,
}


def application(site: Site) -> Litestar:
    """Return the dashboard of a site, without the gate that has to stand before it."""
    app = Litestar(
        # in one router: litestar wraps a handler twice when it registers another one for the same path after it
        route_handlers=[
            Router(
                path="/",
                route_handlers=[
                    healthz,
                    *access.HANDLERS,
                    *executions.HANDLERS,
                    *keeping_up.HANDLERS,
                    *overview.HANDLERS,
                    *statistics.HANDLERS,
                ],
            ),
            Router(path="/api/v1", route_handlers=[*api_overview.HANDLERS], security=[{"token": []}]),
        ],
        exception_handlers={
            RefusalError: _refused,
            RebalancerError: _explained,
            HTTPException: _by_status,
            Exception: _unexpected,
        },
        openapi_config=OpenAPIConfig(
            title="Unraid Rebalancer",
            version=VERSION,
            path="/api/v1/openapi",
            render_plugins=[],
            use_handler_docstrings=True,
            components=Components(
                security_schemes={
                    "token": SecurityScheme(type="http", scheme="bearer"),
                }
            ),
        ),
        logging_config=None,
        request_max_body_size=LARGEST_BODY,
    )
    app.state.site = site
    return app


def _refused(request: Asking, error: RefusalError) -> Response[Any]:
    return _told(request, error.status, error.sentence)


def _explained(request: Asking, error: RebalancerError) -> Response[Any]:
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    return _told(request, status, names.display(str(error)))


def _by_status(request: Asking, error: HTTPException) -> Response[Any]:
    sentences = {404: "there is nothing at that address", 405: "that method is not answered here"}
    sentence = sentences.get(error.status_code, error.detail or "that cannot be answered")
    return _told(request, error.status_code, f"{sentence[:1].lower()}{sentence[1:]}")


def _unexpected(request: Asking, error: Exception) -> Response[Any]:
    _log.error("unexpected error path=%s", request.url.path, exc_info=error)
    return _told(request, 500, f"unexpected error: {type(error).__name__}; the server's log says more")


def _told(request: Asking, status: int, sentence: str) -> Response[Any]:
    if request.url.path.startswith("/api/") or request.url.path in {"/metrics", "/healthz"}:
        return Response(content={"error": sentence}, media_type=MediaType.JSON, status_code=status)
    return page(request, "error.html", status=status, sentence=sentence, code=status)
