"""Jobs: the list, by status, model, text and time, all of which stand in the address."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from starlette.responses import Response

from web.frame.api_calls import ApiRefused
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.words.statuses import STATES

routes = ScreenRoutes()

FILTERS = ("status", "model", "name", "since", "until")
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
    )


def filter_of(screen: Screen) -> dict[str, str]:
    """What of the list's filter stands in the address or in a form; what nobody understands is left out."""
    given = {name: screen.query(name) or screen.given(name) for name in FILTERS}
    if given["status"] not in STATES:
        given["status"] = ""
    return {name: value for name, value in given.items() if value and (name not in ("since", "until") or _day(value))}


def for_api(screen: Screen, wanted: dict[str, str]) -> dict[str, Any]:
    """The same for the API: days are the reader's, and `until` is the last of them."""
    zone = screen.language.zone
    moments = {}
    for name, days in (("since", 0), ("until", 1)):
        day = _day(wanted.get(name, ""))
        if day:
            moments[name] = datetime.combine(day.date() + timedelta(days=days), time(), zone).isoformat()
    return {**wanted, **moments}


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007 - a day of the reader's, whose zone is added
    except ValueError:
        return None


async def _models(screen: Screen) -> list[str]:
    """Names to choose from; none where the caller may not see them."""
    try:
        found = await screen.api.get("/v1/models")
    except ApiRefused:
        return []
    return sorted({model["name"] for model in found["models"]})
