"""All screens, and the one place where the gateway takes them in."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from starlette.requests import Request

from api.http.negotiation import choose
from api.http.problems import Problem
from web.frame import static_files
from web.screens import answer, clients, find, live, models, overview, pauses, preferences, sources, try_it
from web.screens.administration import audit, kept, keys
from web.screens.jobs import acts as job_acts
from web.screens.jobs import exports
from web.screens.jobs import listing as jobs
from web.screens.jobs import new as new_job
from web.screens.jobs import new_of_table as new_table_job
from web.screens.jobs import one_job as job
from web.screens.signing_in import by_key as sign_in
from web.screens.signing_in import by_provider as provider_sign_in

# The first that fits answers: /jobs/new comes before /jobs/{job_id}.
_SCREENS = (
    overview,
    jobs,
    new_job,
    new_table_job,
    exports,
    job,
    job_acts,
    answer,
    clients,
    try_it,
    models,
    sources,
    keys,
    kept,
    audit,
    find,
    live,
    pauses,
    preferences,
    provider_sign_in,
    sign_in,
)


def add_screens(app: FastAPI) -> None:
    """Serve the screens under `/`."""
    app.state.screens = frozenset(path for module in _SCREENS for path in module.routes.paths)
    app.state.drawing = asyncio.Lock()
    for module in _SCREENS:  # and not by `include_router`: see api.server.app
        app.router.routes.extend(module.routes.router.routes)
    app.router.routes.extend(static_files.router.routes)


def is_for_people(request: Request) -> bool:
    """Whether a page answers what nobody serves, or not by this method: a browser asks, and not a path of the API."""
    try:
        likes_pages = (
            choose(request.headers.get("accept", ""), ("application/problem+json", "text/html")) == "text/html"
        )
    except Problem:
        return False
    return likes_pages and request.method in ("GET", "POST") and not request.scope["path"].startswith("/v1/")
