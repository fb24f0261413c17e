"""Sources, for administrators: where features come from, their columns, and what has changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from starlette.responses import Response

from api.server.deadline import current
from shared.postgres.source_time_outs import (
    CONNECT,
    DEFAULTS,
    LEAST_CONNECT_SECONDS,
    LEAST_SECONDS,
    LOCK,
    MOST_SECONDS,
    STATEMENT,
    time_out,
)
from web.frame.api_calls import ApiRefused, path_part
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.words.api_refusals import told_flaw, told_refusal
from web.words.catalogues import N_

routes = ScreenRoutes()

_SECONDS = 45.0  # a slow table takes its time
_REFUSED = (409, 422, 503)
_TEXTS, _LISTS = ("name", "table", "url_variable"), ("key", "columns", "filters")
# Fields of the form, and of the call: the setting, what it bounds, and the least seconds that it may be.
_TIME_OUTS = {
    "timeout_seconds": (STATEMENT, N_("One reading"), LEAST_SECONDS),
    "lock_timeout_seconds": (LOCK, N_("A lock that somebody holds"), LEAST_SECONDS),
    "connect_timeout_seconds": (CONNECT, N_("A connection"), LEAST_CONNECT_SECONDS),
}


@routes.get("/sources", role="admin")
async def sources(screen: Screen) -> Response:
    """All sources by name."""
    found = await screen.api.get("/v1/sources")
    return await screen.show("sources.html", sources=found["sources"])


@routes.get("/sources/new", role="admin")
async def new_source(screen: Screen) -> Response:
    """The form."""
    return await _form(screen, "")


@routes.post("/sources/new", role="admin", seconds=_SECONDS)
async def add(screen: Screen) -> Response:
    """Have a worker read the catalogue of a table, and keep it as a source."""
    try:
        added = await screen.api.post("/v1/sources", _order(screen))
    except ApiRefused as error:
        if error.status not in _REFUSED:
            raise
        return await _form(screen, told_refusal(screen.language, error.problem))
    return screen.go(f"/sources/{path_part(added['source']['name'])}")


async def _form(screen: Screen, refusal: str) -> Response:
    given = {name: screen.given(name) for name in (*_TEXTS, *_LISTS, *_TIME_OUTS, "unchecked")}
    limits = {
        field: {"title": title, "least": least, "most": MOST_SECONDS[setting], "usual": DEFAULTS[setting]}
        for field, (setting, title, least) in _TIME_OUTS.items()
    }
    status = 422 if refusal else 200
    return await screen.show("source_new.html", status=status, given=given, limits=limits, refusal=refusal)


def _order(screen: Screen) -> dict[str, Any]:
    """The body of the call; what is no number goes as it was typed, and is refused."""
    order: dict[str, Any] = {name: screen.given(name) for name in _TEXTS if screen.given(name)}
    order |= {name: [line.strip() for line in screen.given(name).splitlines() if line.strip()] for name in _LISTS}
    order |= {name: _seconds(screen.given(name)) for name in _TIME_OUTS if screen.given(name)}
    return {"name": "", "table": "", **order, "unchecked": bool(screen.given("unchecked"))}


def _seconds(text: str) -> float | int | str:
    try:
        seconds = float(text.replace(",", "."))
    except ValueError:
        return text
    if not math.isfinite(seconds):  # which JSON cannot write
        return text
    return int(seconds) if seconds.is_integer() else seconds


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
        time_outs=[
            (title, time_out(found["settings"], setting), setting in found["settings"])
            for setting, title, _ in _TIME_OUTS.values()
        ],
    )


def _told_changes(screen: Screen, one: Mapping[str, Any]) -> list[Markup]:
    """What a check has found; in English what a check of an earlier release has kept as a sentence alone."""
    told = one.get("told") or [{"detail": change} for change in one["changes"]]
    return [told_flaw(screen.language, change) for change in told]
