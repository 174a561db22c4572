"""The application behind the gate: which address is answered by what, and how an error is told."""

import logging
from typing import Any

from litestar import Litestar, Response, Router
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag

from rebalancer import names
from rebalancer.errors import (
    DamagedRecordError,
    NotFoundError,
    NotNowError,
    RebalancerError,
    RefusedError,
    TakenError,
    UsageError,
)
from rebalancer.version import VERSION
from rebalancer.web.api import answers, emergency, turns
from rebalancer.web.api import executions as api_executions
from rebalancer.web.api import overview as api_overview
from rebalancer.web.api import plans as api_plans
from rebalancer.web.api import schedules as api_schedules
from rebalancer.web.health import healthz
from rebalancer.web.metrics import Metrics, metrics
from rebalancer.web.pages import access, controls, executions, keeping_up, overview, plan, schedules, statistics
from rebalancer.web.rules import LARGEST_BODY, RefusalError
from rebalancer.web.site import Asking, Site, page

_log = logging.getLogger("rebalancer.web")
_STATUS: dict[type[RebalancerError], int] = {
    UsageError: 400,
    NotFoundError: 404,
    TakenError: 409,
    RefusedError: 403,
    NotNowError: 409,
    DamagedRecordError: 500,
}


_ABOUT = (
    "Everything that the dashboard shows and does. Times are seconds since 1970 (UTC), durations seconds, sizes bytes. "
    'Every error is {"error": "a sentence"}.'
)
_TAGS = {
    "overview": "How everything stands.",
    "schedules": "When to run, and with which options.",
    "executions": "What runs, what ran and how it went.",
    "plans": "What would move, and carrying it out.",
    "emergency stop": "Everything at once.",
    "monitoring": "For watchdogs and Prometheus.",
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
                    metrics,
                    *access.HANDLERS,
                    *controls.HANDLERS,
                    *executions.HANDLERS,
                    *keeping_up.HANDLERS,
                    *overview.HANDLERS,
                    *plan.HANDLERS,
                    *schedules.HANDLERS,
                    *statistics.HANDLERS,
                ],
            ),
            Router(
                path="/api/v1",
                route_handlers=[
                    *api_overview.HANDLERS,
                    *api_schedules.HANDLERS,
                    *turns.HANDLERS,
                    *api_executions.HANDLERS,
                    *api_plans.HANDLERS,
                    *emergency.HANDLERS,
                ],
                security=[{"token": []}],
                request_class=answers.ProgramRequest,
                exception_handlers=answers.EXCEPTION_HANDLERS,
            ),
        ],
        exception_handlers={
            RefusalError: _refused,
            RebalancerError: _explained,
            HTTPException: _by_status,
            Exception: _unexpected,
        },
        openapi_config=_openapi(),
        logging_config=None,
        request_max_body_size=LARGEST_BODY,
    )
    app.state.site = site
    app.state.metrics = Metrics(site)
    return app


def _openapi() -> OpenAPIConfig:
    """Return how the document for programs is made; it is at /api/v1/openapi/openapi.json."""
    return OpenAPIConfig(
        title="Unraid Rebalancer",
        version=VERSION,
        description=_ABOUT,
        path="/api/v1/openapi",
        render_plugins=[JsonRenderPlugin()],
        use_handler_docstrings=True,
        tags=[Tag(name=name, description=words) for name, words in _TAGS.items()],
        components=Components(
            security_schemes={
                "token": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="A token of 'unraid-rebalancer access token create NAME'; with --read-only for GET alone.",
                )
            }
        ),
    )


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
