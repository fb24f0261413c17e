"""The application: routes, the middleware around them, and collaborators that live as long as it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from api.http import openapi
from api.http.direct_route import DirectRoute
from api.http.problems import Problem, problem_of
from api.routes import (
    files,
    health,
    models,
    pages,
    predict,
    predictions,
    problems,
    sign_in_links,
    source_rows,
    sources,
    watching,
    workers,
)
from api.routes.admin import audit, keys, pauses
from api.routes.jobs import again as jobs_again
from api.routes.jobs import bulk, events, exports, results
from api.routes.jobs import by_filter as jobs_by_filter
from api.routes.jobs import listing as jobs
from api.routes.jobs import status as job_status
from api.routes.jobs import summary as job_summary
from api.routes.stored import clients, erasures, holds, retention
from api.server.deadline import current
from api.server.middleware import Middleware, error_response
from api.server.services import running_services
from api.server.wire.connections import Connections
from shared.config import Settings
from shared.errors import PredictqError
from web.frame.refusals import show_unserved
from web.site import add_screens, is_for_people

_MODULES = (
    predict,
    bulk,
    job_status,
    job_summary,
    jobs,
    jobs_again,
    jobs_by_filter,
    events,
    exports,
    results,
    predictions,
    models,
    source_rows,
    sources,
    files,
    retention,
    holds,
    erasures,
    clients,
    sign_in_links,
    keys,
    pauses,
    audit,
    workers,
    watching,
    health,
    problems,
    pages,
)

_DESCRIPTION = """
POST work, get a job at once, fetch the answer when it is ready. A 202 means that the job is stored and will be done.
To try it here, press *Authorize* and paste an API key. Every error is `application/problem+json`; every answer bears
`X-Request-ID`, taken from the call if it brings one.
"""


class Gateway(FastAPI):
    """FastAPI with the middleware outermost, so that even an answer 500 passes through it."""

    public_root = ""  # the path under which a proxy shows it
    api_hosts: frozenset[str] = frozenset()  # the names that the API is called by; empty: any
    _document: asyncio.Future[bytes] | None = None

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made when it is first asked for."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi.openapi(self)
        return self.openapi_schema

    async def document(self) -> bytes:
        """The same as JSON. Made once, in a thread: it takes a third of a second."""
        if self._document is None:
            self._document = asyncio.ensure_future(asyncio.to_thread(lambda: orjson.dumps(self.openapi())))
        with current().paused():
            return await asyncio.shield(self._document)

    def build_middleware_stack(self) -> ASGIApp:
        """FastAPI's own layers inside ours."""
        routes = [*predict.router.routes, *job_status.router.routes]
        direct = {
            (method, route.path): route.get_route_handler()
            for route in routes
            if isinstance(route, DirectRoute)
            for method in route.methods or ()
        }
        return Middleware(super().build_middleware_stack(), direct, self.public_root, self.api_hosts)


def create_app(settings: Settings, connections: Connections | None = None) -> FastAPI:
    """The gateway. Its collaborators are built when it starts, and are in `app.state.services` until it stops.

    `connections` are those of the server that it runs in, for the metrics.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running_services(
            settings, Connections(settings) if connections is None else connections
        ) as services:
            app.state.services = services
            yield

    app = Gateway(
        title="predictq",
        summary="Asynchronous, traceable predictions",
        description=_DESCRIPTION,
        version="1",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # ours, which needs no internet
        openapi_url=None,  # ours, which is not for everybody
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # asked for anew at every call otherwise
    )
    app.public_root = settings.root_path
    app.api_hosts = settings.api_host_names
    for kind in (Exception, PredictqError, Problem, HTTPException):
        app.add_exception_handler(kind, _answer_error)
    for module in _MODULES:
        # `include_router` would build each route once more, at the first call that passes it on its way: 180 ms in all
        # for which the event loop stood still, and five times the search at each call after it.
        app.router.routes.extend(module.router.routes)
    app.mount(pages.ASSETS, pages.assets())
    add_screens(app)
    return app


async def _answer_error(request: Request, error: Exception) -> Response:
    if _is_405(request, error):
        error = HTTPException(405, headers={"Allow": ", ".join(_allowed(request))})
    if isinstance(error, HTTPException) and error.status_code in (404, 405) and is_for_people(request):
        page = await show_unserved(request, error.status_code)
        page.headers.update(error.headers or {})
        return page
    return error_response(request, error)


def _is_405(request: Request, error: Exception) -> bool:
    """Whether the path is there and does not take the method; also where it was taken for the id of something."""
    if isinstance(error, HTTPException):
        return error.status_code == 405
    problem = problem_of(error)
    if problem is None or problem.kind.status != 404:
        return False
    routes = [route for module in _MODULES for route in module.router.routes if isinstance(route, Route)]
    methods = [route.methods or set() for route in routes if route.path == request.scope["path"]]
    return bool(methods) and not any(request.method in one for one in methods)


def _allowed(request: Request) -> list[str]:
    """The methods of a path: the router names only those of the first route that has it, and none of a mount's."""
    routes = [*request.app.routes, *(route for module in _MODULES for route in module.router.routes)]
    path = request.scope["path"]
    matching = [route for route in routes if isinstance(route, Route) and route.path_regex.match(path)]
    # /v1/jobs/count is no job.
    matching = [route for route in matching if route.path == path] or matching
    methods = {method for route in matching for method in route.methods or ()}
    return sorted(methods | {"GET", "HEAD"} if "GET" in methods or not matching else methods)
