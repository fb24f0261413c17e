"""Sources, for administrators: where features come from, their columns, and what has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from starlette.responses import Response

from api.server.deadline import current
from web.frame.api_calls import ApiRefused, path_part
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.words.api_refusals import told_flaw, told_refusal
from web.words.catalogues import N_

routes = ScreenRoutes()


@routes.get("/sources", role="admin")
async def sources(screen: Screen) -> Response:
    """All sources by name."""
    found = await screen.api.get("/v1/sources")
    return await screen.show("sources.html", sources=found["sources"])


@routes.get("/sources/{name}", role="admin")
async def source(screen: Screen) -> Response:
    """One source: its key, its columns, and what its checks have found."""
    return await _show(screen, "")


@routes.post("/sources/{name}/check", role="admin")
async def check(screen: Screen) -> Response:
    """Have a worker read the catalogue again."""
    try:
        with current().paused():  # a slow table takes its time
            await screen.api.post(f"/v1/sources/{path_part(screen.path('name'))}/check", {})
    except ApiRefused as error:
        if error.status not in (422, 503):
            raise
        why = told_refusal(screen.language, error.problem)
        return await _show(screen, screen.say(N_("It could not be checked: %(why)s"), why=why))
    return screen.go(f"/sources/{path_part(screen.path('name'))}")


async def _show(screen: Screen, refusal: str) -> Response:
    found = await screen.api.get(f"/v1/sources/{path_part(screen.path('name'))}")
    models = await screen.api.get("/v1/models")
    readers = [model["name"] for model in models["models"] if model["source"] == found["name"]]
    status = 422 if refusal else 200
    return await screen.show(
        "source.html",
        status=status,
        source=found,
        readers=readers,
        refusal=refusal,
        told_changes=lambda one: _told_changes(screen, one),
    )


def _told_changes(screen: Screen, one: Mapping[str, Any]) -> list[Markup]:
    """What a check has found; in English what a check of an earlier release has kept as a sentence alone."""
    told = one.get("told") or [{"detail": change} for change in one["changes"]]
    return [told_flaw(screen.language, change) for change in told]
