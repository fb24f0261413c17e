"""Jobs: the list, by status, model, text and time, all of which stand in the address."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from web.frame.api_calls import ApiRefused
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.pauses import read_pauses
from web.words.days import start_of
from web.words.statuses import STATES

routes = ScreenRoutes()

FILTERS = ("status", "model", "name", "since", "until")
_DAYS = {"since": 0, "until": 1}  # of days that are given: how many later the API's moment is
_ROWS = 50


@routes.get("/jobs")
async def jobs(screen: Screen) -> Response:
    """The caller's jobs, newest first."""
    wanted = filter_of(screen)
    found = await screen.api.get("/v1/jobs", limit=_ROWS, cursor=screen.query("cursor"), **for_api(screen, wanted))
    return screen.show(
        "jobs.html",
        jobs=found["jobs"],
        following=found["next"],
        wanted=wanted,
        is_first=not screen.query("cursor"),
        states=STATES,
        models=await _models(screen),
        held=await read_pauses(screen, wanted.get("model", "")),
    )


def filter_of(screen: Screen) -> dict[str, str]:
    """What of the list's filter stands in the address or in a form; what nobody understands is left out."""
    given = {name: screen.query(name) or screen.given(name) for name in FILTERS}
    if given["status"] not in STATES:
        given["status"] = ""
    return {
        name: value for name, value in given.items() if value and (name not in _DAYS or _moment(screen, name, value))
    }


def for_api(screen: Screen, wanted: dict[str, str]) -> dict[str, Any]:
    """The same for the API: days are the reader's, and `until` is the last of them."""
    return {**wanted, **{name: _moment(screen, name, wanted[name]) for name in _DAYS if name in wanted}}


def _moment(screen: Screen, name: str, day: str) -> str | None:
    return start_of(day, screen.language.zone, later=_DAYS[name])


async def _models(screen: Screen) -> list[str]:
    """Names to choose from; none where the caller may not see them."""
    try:
        found = await screen.api.get("/v1/models")
    except ApiRefused:
        return []
    return sorted({model["name"] for model in found["models"]})
