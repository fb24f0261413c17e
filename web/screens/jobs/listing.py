"""Jobs: the list, by status, kind, model, text and time, all of which stand in the address."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.responses import Response

from web.frame.api_calls import ApiRefused
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.pauses import read_pauses
from web.words.api_refusals import told_flaw
from web.words.statuses import KINDS, STATES
from web.words.typed import start_of

routes = ScreenRoutes()

FILTERS = ("status", "kind", "model", "name", "since", "until")
_DAYS = {"since": 0, "until": 1}  # of days that are given: how many later the API's moment is
_STATUSES = {  # states of a filter that the API has other words for
    "succeeded": {"status": "succeeded", "errors": "none"},
    "partly": {"status": "succeeded", "errors": "any"},
}
_ROWS = 50
_REFUSED = 422


@routes.get("/jobs")
async def jobs(screen: Screen) -> Response:
    """The caller's jobs, newest first."""
    wanted = filter_of(screen)
    wrong = wrong_days(screen)
    found: dict[str, Any] = {"jobs": [], "next": None}
    if not wrong:
        try:
            asked = for_api(screen, wanted)
            found = await screen.api.get("/v1/jobs", limit=_ROWS, cursor=screen.query("cursor"), **asked)
        except ApiRefused as error:
            if error.status != _REFUSED:
                raise
            flaws = error.problem.get("errors", ())
            wrong = {flaw["pointer"].rpartition("/")[2]: told_flaw(screen.language, flaw) for flaw in flaws}
    return await screen.show(
        "jobs.html",
        status=_REFUSED if wrong else 200,
        typed={name: screen.query(name) for name in FILTERS},
        wrong=wrong,
        jobs=found["jobs"],
        following=found["next"],
        wanted=wanted,
        is_first=not screen.query("cursor"),
        states=STATES,
        kinds=KINDS,
        models=await _models(screen),
        held=await read_pauses(screen, wanted.get("model", "")),
    )


def wrong_days(screen: Screen) -> dict[str, str]:
    """What is wrong with the days of the filter, by field: no day, or none between the two."""
    given = {name: screen.query(name) for name in _DAYS}
    moments = {name: _moment(screen, name, day) for name, day in given.items() if day}
    wrong = {name: screen.say("This is no day.") for name, moment in moments.items() if moment is None}
    since, until = moments.get("since"), moments.get("until")
    if since and until and datetime.fromisoformat(since) >= datetime.fromisoformat(until):
        wrong["until"] = screen.say("This day is before the first one.")
    return wrong


def filter_of(screen: Screen) -> dict[str, str]:
    """What of the list's filter stands in the address or in a form; what nobody understands is left out."""
    given = {name: screen.query(name) or screen.given(name) for name in FILTERS}
    for name, known in (("status", STATES), ("kind", KINDS)):
        if given[name] not in known:
            given[name] = ""
    return {
        name: value for name, value in given.items() if value and (name not in _DAYS or _moment(screen, name, value))
    }


def for_api(screen: Screen, wanted: dict[str, str]) -> dict[str, Any]:
    """The same for the API: days are the reader's, and `until` is the last of them; a state may be two words."""
    days = {name: _moment(screen, name, wanted[name]) for name in _DAYS if name in wanted}
    return {**wanted, **days, **_STATUSES.get(wanted.get("status", ""), {})}


def _moment(screen: Screen, name: str, day: str) -> str | None:
    return start_of(day, screen.language.zone, later=_DAYS[name])


async def _models(screen: Screen) -> list[str]:
    """Names to choose from; none where the caller may not see them."""
    try:
        found = await screen.api.get("/v1/models")
    except ApiRefused:
        return []
    return sorted({model["name"] for model in found["models"]})
